"""The bytes that an entry takes in a store: for the suite on layers."""

from __future__ import annotations

import tempfile
from pathlib import Path

import values
from adapters.base import Adapter

ENTRIES = 1000
KINDS = ("text", "vector")

Stored = dict[tuple[str, str], float]
"""Bytes an entry, by contender and kind of value."""


async def measure(contenders: list[type[Adapter]]) -> Stored:
    """Fill each store once and look at what it holds."""
    return {(each.name, kind): await _one(each, kind) / ENTRIES for each in contenders for kind in KINDS}


async def _one(contender: type[Adapter], kind: str) -> int:
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory:
        store = contender()
        await store.open(Path(directory), kind)
        try:
            await store.mset({f"stored-{number:06d}": values.make(kind, number) for number in range(ENTRIES)})
            held = await store.held()
        finally:
            await store.close()
        if held is not None:
            return held
        return sum(path.stat().st_size for path in Path(directory).rglob("*") if path.is_file())

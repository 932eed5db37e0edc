"""What many operations leave behind: no memory and no references. `RRAG_LEAK_OPERATIONS` is how many (1000000 for the long form)."""

from __future__ import annotations

import json
import os
import statistics
from typing import TYPE_CHECKING, Any

import pytest
from leak_worker import CHECKPOINTS
from support import run_script

if TYPE_CHECKING:
    from pathlib import Path

OPERATIONS = int(os.environ.get("RRAG_LEAK_OPERATIONS", "50000"))

KINDS = ["memory", "sqlite", "postgres", "redis", "s3"]
if OPERATIONS >= 1_000_000:
    KINDS += ["folder", "mariadb", "redis_cluster"]

NOISE = {"folder": 2_000_000, "s3": 2_000_000}
"""Bytes that come by themselves: object stores remember up to ten thousand names of what will expire."""

LITTLE = 500_000
"""The same, of the others."""


def growth(options: dict[str, Any], operations: int, leak: int = 0) -> tuple[float, float]:
    """By how many bytes, and how many references, the last fifth of the run is above the second."""
    out = run_script("leak_worker.py", operations, leak, json.dumps(options), timeout=3_600)
    figures = [[int(word) for word in line.split()] for line in out.splitlines()]
    assert len(figures) == CHECKPOINTS
    fifth = CHECKPOINTS // 5
    (memory, references), (memory_then, references_then) = (
        [statistics.median(column) for column in zip(*part, strict=True)]
        for part in (figures[-fifth:], figures[fifth : 2 * fifth])
    )
    print(f"{options['url'].partition(':')[0]}: {operations:,} operations, {memory - memory_then:,.0f} bytes more")
    return memory - memory_then, references - references_then


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_leaks(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    local = {"memory": "memory://", "sqlite": f"sqlite:{tmp_path}/memory.db", "folder": f"file://{tmp_path}/objects"}
    options = {"url": local[kind]} if kind in local else request.getfixturevalue(kind).options()
    slow = kind not in ("memory", "sqlite")
    operations = OPERATIONS // 10 if slow else OPERATIONS
    memory, references = growth(options, operations)
    # Three fifths of the operations lie between the two.
    assert memory < max(0.6 * operations, NOISE.get(kind, LITTLE)), f"{memory / operations:.1f} bytes an operation"
    assert references < max(0.001 * operations, 200)


def test_a_leak_is_found() -> None:
    memory, _ = growth({"url": "memory://"}, 20_000, leak=100)
    assert memory > LITTLE

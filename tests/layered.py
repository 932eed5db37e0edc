"""Storages with layers for these tests, and a look at what they hold underneath."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rrag_storage import DatabaseStorage, InMemoryStorage, Key, Storage

if TYPE_CHECKING:
    from pathlib import Path

    from rrag_storage import ManualClock

KEY = Key(bytes(range(32)))
OTHER_KEY = Key(bytes(range(32, 64)))

COMPRESSED: dict[str, Any] = {"compression": "zstd", "compression_threshold": 1}
LZ4: dict[str, Any] = {"compression": "lz4", "compression_threshold": 1}
ENCRYPTED: dict[str, Any] = {"encryption_key": KEY}
HIDDEN: dict[str, Any] = {"encryption_key": KEY, "hide_keys": True}


def offloaded(store: Storage | None = None, threshold: int = 64) -> dict[str, Any]:
    """Options under which values of so many bytes live in `store`, a new one in memory unless told otherwise."""
    return {"large_values": store or InMemoryStorage(), "large_value_threshold": threshold}


def all_three(store: Storage | None = None, threshold: int = 64) -> dict[str, Any]:
    """Compression, encryption and large values."""
    return {**COMPRESSED, **ENCRYPTED, **offloaded(store, threshold)}


def at(path: Path, **options: Any) -> DatabaseStorage:
    """A storage on the SQLite file at `path`."""
    return DatabaseStorage(f"sqlite:{path}", **options)


def in_memory(clock: ManualClock, **options: Any) -> Storage:
    """A storage in memory, its large values in another one on the same clock."""
    if "large_value_threshold" in options:
        options["large_values"] = InMemoryStorage(clock=clock)
    return InMemoryStorage(clock=clock, **options)


def payloads(store: Storage) -> list[str]:
    """What an object store holds."""
    return store.sync.keys()

"""rrag_storage with layers: compression and encryption, in memory and on SQLite."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from rrag_storage import DatabaseStorage, InMemoryStorage, Key, Storage

from .base import SHORT_GETS, WAL_NORMAL
from .rrag import Rrag

LAYERS: dict[str, dict[str, Any]] = {
    "none": {},
    "lz4": {"compression": "lz4"},
    "zstd": {"compression": "zstd"},
    "encrypted": {"encryption_key": Key.generate()},
    "zstd-encrypted": {"compression": "zstd", "encryption_key": Key.generate()},
}


class LayersInMemory(Rrag):
    """InMemoryStorage."""

    suite = "layers"
    layers: ClassVar[dict[str, Any]]

    def make(self, directory: Path) -> Storage:
        return InMemoryStorage(max_keys=None, max_memory_bytes=None, **self.layers)

    async def held(self) -> int | None:
        return (await self.storage.stats()).memory_bytes


class LayersOnSqlite(Rrag):
    """DatabaseStorage on a SQLite file, synchronous NORMAL."""

    suite = "layers"
    durability = WAL_NORMAL
    blocks_loop = SHORT_GETS
    layers: ClassVar[dict[str, Any]]

    def make(self, directory: Path) -> Storage:
        return DatabaseStorage(f"sqlite:{directory / 'memory.db'}", synchronous="normal", **self.layers)


def _contenders(base: type[Rrag], place: str, title: str) -> list[type[Rrag]]:
    return [
        type(
            f"{base.__name__}_{name}",
            (base,),
            {
                "name": f"rrag-{place}-{name}",
                "label": f"rrag_storage {title}, {name.replace('-', ' + ')}",
                "floor": f"rrag-{place}-none",
                "layers": layers,
            },
        )
        for name, layers in LAYERS.items()
    ]


CONTENDERS = (*_contenders(LayersInMemory, "memory", "in memory"), *_contenders(LayersOnSqlite, "sqlite", "SQLite"))

"""rrag_storage: its own methods, called as they are."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from rrag_storage import DatabaseStorage, InMemoryStorage, Storage

from .base import FSYNC, SHORT_GETS, WAL_NORMAL, Adapter


class Rrag(Adapter):
    """What the three have in common."""

    packages = ("rrag-storage",)
    ours = True

    def make(self, directory: Path) -> Storage:
        """The storage to measure, not yet open."""
        raise NotImplementedError

    async def open(self, directory: Path, kind: str) -> None:
        self.storage = storage = await self.make(directory)
        self.get, self.set, self.mget, self.mset = storage.get, storage.set, storage.mget, storage.mset
        self.keys = lambda namespace: storage.keys(namespace=namespace)
        self.count = storage.count
        self.prefix = lambda text: storage.keys(prefix=text)

    async def close(self) -> None:
        await self.storage.close()


class RragMemory(Rrag):
    """InMemoryStorage with limits, as by default, but high enough for what is measured."""

    name = "rrag-memory"
    label = "rrag_storage InMemoryStorage"
    suite = "memory"
    floor = "dict-pickle"

    def make(self, directory: Path) -> Storage:
        return InMemoryStorage(max_keys=10_000_000, max_memory_bytes=10_000_000_000)


class RragSqliteNormal(Rrag):
    """DatabaseStorage on a SQLite file, synchronous NORMAL."""

    name = "rrag-sqlite-normal"
    label = "rrag_storage SQLite, WAL NORMAL"
    suite = "disk"
    durability = WAL_NORMAL
    blocks_loop = SHORT_GETS
    floor = "sqlite3-normal"
    synchronous: ClassVar[str] = "normal"

    def make(self, directory: Path) -> Storage:
        return DatabaseStorage(f"sqlite:{directory / 'memory.db'}", synchronous=self.synchronous)


class RragSqliteFull(RragSqliteNormal):
    """DatabaseStorage on a SQLite file, synchronous FULL, which is its default."""

    name = "rrag-sqlite-full"
    label = "rrag_storage SQLite, WAL FULL"
    durability = FSYNC
    floor = "sqlite3-full"
    synchronous = "full"


CONTENDERS = (RragMemory, RragSqliteNormal, RragSqliteFull)

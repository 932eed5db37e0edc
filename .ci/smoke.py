"""Keeps something in memory and in a SQLite file with the installed package: whether it works on this machine at all."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

import rrag_storage
from rrag_storage import DatabaseStorage, InMemoryStorage, Key, Storage

VALUE = {"text": "héllo", "tags": ("a", b"b"), "when": datetime(2030, 1, 1, tzinfo=timezone.utc), "count": 2**70}


async def use(storage: Storage) -> None:
    async with storage:
        await storage.set("docs::1", VALUE, ttl=3600)
        assert await storage.get("docs::1") == VALUE
        assert await asyncio.gather(*(storage.increment("visits") for _ in range(10))) == list(range(1, 11))
        async with storage.transaction() as tx:
            await tx.set("docs::2", await tx.get("visits"))
        assert await storage.keys() == ["docs::1", "docs::2", "visits"]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:{Path(folder) / 'smoke.db'}"
        key = Key.generate()
        asyncio.run(use(InMemoryStorage()))
        asyncio.run(use(DatabaseStorage(url, compression="zstd", encryption_key=key)))
        with DatabaseStorage(url, encryption_key=key).sync as storage:
            assert storage.get("docs::1") == VALUE
    free_threaded = not getattr(sys, "_is_gil_enabled", lambda: True)()
    print(
        f"rrag_storage {rrag_storage.__version__} works on CPython {sys.version.split()[0]}",
        *["without the global lock"] * free_threaded,
    )


if __name__ == "__main__":
    main()

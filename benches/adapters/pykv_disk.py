"""py-key-value-aio's DiskStore: values are JSON objects, held as JSON text in a diskcache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from key_value.aio.stores.disk import DiskStore

from .base import ALWAYS, JSON_FORM, WAL_NORMAL, Adapter


class PyKeyValueDisk(Adapter):
    """DiskStore. It calls diskcache in the loop's thread, and cannot list keys."""

    name = "pykv-disk"
    label = "py-key-value DiskStore"
    suite = "disk"
    packages = ("py-key-value-aio", "diskcache")
    durability = WAL_NORMAL
    blocks_loop = ALWAYS
    floor = "sqlite3-normal"

    async def open(self, directory: Path, kind: str) -> None:
        self.store = store = DiskStore(directory=directory)
        pack, unpack = JSON_FORM[kind]

        async def get(key: str) -> Any:
            return unpack(await store.get(key))

        async def set(key: str, value: Any) -> None:
            await store.put(key, pack(value))

        async def mget(keys: list[str]) -> list[Any]:
            return [unpack(value) for value in await store.get_many(keys)]

        async def mset(items: dict[str, Any]) -> None:
            await store.put_many(list(items), [pack(value) for value in items.values()])

        self.get, self.set, self.mget, self.mset = get, set, mget, mset

    async def close(self) -> None:
        await self.store.close()


CONTENDERS = (PyKeyValueDisk,)

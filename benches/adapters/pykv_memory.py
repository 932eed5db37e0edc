"""py-key-value-aio's MemoryStore: values are JSON objects, held as JSON text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from key_value.aio.stores.memory import MemoryStore

from .base import JSON_FORM, Adapter

EVERYTHING = 10_000_000


class PyKeyValueMemory(Adapter):
    """MemoryStore; a namespace is a collection, of which it lists 10,000 keys at most."""

    name = "pykv-memory"
    label = "py-key-value MemoryStore"
    suite = "memory"
    packages = ("py-key-value-aio",)
    floor = "dict-pickle"
    one_loop = "its entries lie in a cachetools cache, which changes with each get and takes no lock"

    async def open(self, directory: Path, kind: str) -> None:
        self.store = store = MemoryStore()
        pack, unpack = JSON_FORM[kind]
        self.pack = pack

        async def get(key: str) -> Any:
            return unpack(await store.get(key))

        async def set(key: str, value: Any) -> None:
            await store.put(key, pack(value))

        async def mget(keys: list[str]) -> list[Any]:
            return [unpack(value) for value in await store.get_many(keys)]

        async def mset(items: dict[str, Any]) -> None:
            await store.put_many(list(items), [pack(value) for value in items.values()])

        async def keys(namespace: str) -> list[str]:
            return await store.keys(collection=namespace, limit=EVERYTHING)

        async def count(namespace: str) -> int:
            return len(await store.keys(collection=namespace, limit=EVERYTHING))

        self.get, self.set, self.mget, self.mset, self.keys, self.count = get, set, mget, mset, keys, count

    async def close(self) -> None:
        await self.store.destroy()

    async def fill(self, namespace: str, items: dict[str, Any]) -> None:
        await self.store.put_many(list(items), [self.pack(value) for value in items.values()], collection=namespace)

    def names(self, namespace: str, listed: list[str]) -> list[str]:
        return listed


CONTENDERS = (PyKeyValueMemory,)

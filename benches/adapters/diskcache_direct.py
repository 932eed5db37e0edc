"""diskcache, called straight from a coroutine: it waits in the loop's thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diskcache import Cache

from .base import ALWAYS, WAL_NORMAL, Adapter


class DiskcacheDirect(Adapter):
    """A Cache with its defaults: WAL NORMAL, pickled values. It lists keys by walking all of them."""

    name = "diskcache"
    label = "diskcache"
    suite = "disk"
    packages = ("diskcache",)
    durability = WAL_NORMAL
    blocks_loop = ALWAYS
    floor = "sqlite3-normal"

    async def open(self, directory: Path, kind: str) -> None:
        self.cache = cache = Cache(str(directory))

        async def get(key: str) -> Any:
            return cache.get(key)

        async def set(key: str, value: Any) -> None:
            cache.set(key, value)

        async def mget(keys: list[str]) -> list[Any]:
            return [cache.get(key) for key in keys]

        async def mset(items: dict[str, Any]) -> None:
            with cache.transact():
                for key, value in items.items():
                    cache.set(key, value)

        async def keys(namespace: str) -> list[str]:
            text = f"{namespace}::"
            return [key for key in cache if key.startswith(text)]

        async def count(namespace: str) -> int:
            text = f"{namespace}::"
            return sum(1 for key in cache if key.startswith(text))

        self.get, self.set, self.mget, self.mset, self.keys, self.count = get, set, mget, mset, keys, count

    async def close(self) -> None:
        self.cache.close()


CONTENDERS = (DiskcacheDirect,)

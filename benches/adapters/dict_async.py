"""The floor in memory: an `async def` over a dict, which hands out the caller's own objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .base import SHARING, Adapter


class DictAsync(Adapter):
    """An `async def` over a dict."""

    name = "dict"
    label = "dict in async def"
    suite = "memory"
    isolation = SHARING
    floor = "dict"

    async def open(self, directory: Path, kind: str) -> None:
        data: dict[str, Any] = {}

        async def get(key: str) -> Any:
            return data.get(key)

        async def set(key: str, value: Any) -> None:
            data[key] = value

        async def mget(keys: list[str]) -> list[Any]:
            return [data.get(key) for key in keys]

        async def mset(items: dict[str, Any]) -> None:
            data.update(items)

        self.get, self.set, self.mget, self.mset = get, set, mget, mset
        walk(self, data)


def walk(store: Adapter, data: dict[str, Any]) -> None:
    """The listings of a dict: each walks all keys."""

    async def prefix(text: str) -> list[str]:
        return [key for key in data if key.startswith(text)]

    async def keys(namespace: str) -> list[str]:
        return await prefix(f"{namespace}::")

    async def count(namespace: str) -> int:
        text = f"{namespace}::"
        return sum(1 for key in data if key.startswith(text))

    store.keys, store.count, store.prefix = keys, count, prefix


CONTENDERS = (DictAsync,)

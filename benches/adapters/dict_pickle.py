"""The floor in memory of a store that keeps a copy: a dict of pickles."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from .base import Adapter
from .dict_async import walk


class DictPickle(Adapter):
    """An `async def` over a dict of pickles."""

    name = "dict-pickle"
    label = "dict + pickle"
    suite = "memory"
    floor = "dict-pickle"

    async def open(self, directory: Path, kind: str) -> None:
        data: dict[str, bytes] = {}
        dumps, loads, protocol = pickle.dumps, pickle.loads, pickle.HIGHEST_PROTOCOL

        async def get(key: str) -> Any:
            return loads(data[key])

        async def set(key: str, value: Any) -> None:
            data[key] = dumps(value, protocol)

        async def mget(keys: list[str]) -> list[Any]:
            return [loads(data[key]) for key in keys]

        async def mset(items: dict[str, Any]) -> None:
            data.update({key: dumps(value, protocol) for key, value in items.items()})

        self.get, self.set, self.mget, self.mset = get, set, mget, mset
        walk(self, data)


CONTENDERS = (DictPickle,)

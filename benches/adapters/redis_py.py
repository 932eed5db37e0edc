"""redis-py with hiredis, by hand: values as JSON of orjson, the quickest way to keep a dict there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hiredis  # noqa: F401 - redis-py takes it where it is installed; without it this contender is absent
import orjson
import redis.asyncio

from .base import JSON_FORM, NO_DURABILITY, Adapter

SCANNED = 1000


class RedisPy(Adapter):
    """redis.asyncio.Redis with its own pool, which takes as many connections as calls wait at once."""

    name = "redis-py"
    label = "redis-py with hiredis"
    suite = "redis"
    packages = ("redis", "hiredis", "orjson")
    durability = NO_DURABILITY
    floor = "redis-py"

    async def open(self, directory: Path, kind: str) -> None:
        self.client = client = redis.asyncio.Redis.from_url(self.place())
        dumps, loads = orjson.dumps, orjson.loads
        pack, unpack = JSON_FORM[kind]

        async def get(key: str) -> Any:
            return unpack(loads(await client.get(key)))

        async def set(key: str, value: Any) -> None:
            await client.set(key, dumps(pack(value)))

        async def mget(keys: list[str]) -> list[Any]:
            return [unpack(loads(value)) for value in await client.mget(keys)]

        async def mset(items: dict[str, Any]) -> None:
            await client.mset({key: dumps(pack(value)) for key, value in items.items()})

        async def keys(namespace: str) -> list[str]:
            return [key.decode() async for key in client.scan_iter(match=f"{namespace}::*", count=SCANNED)]

        async def count(namespace: str) -> int:
            found = 0
            async for _ in client.scan_iter(match=f"{namespace}::*", count=SCANNED):
                found += 1
            return found

        self.get, self.set, self.mget, self.mset, self.keys, self.count = get, set, mget, mset, keys, count

    async def close(self) -> None:
        await self.client.aclose()


CONTENDERS = (RedisPy,)

"""valkey-glide, by hand: values as JSON of orjson."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import glide
import orjson

from .base import JSON_FORM, NO_DURABILITY, Adapter

SCANNED = 1000


class ValkeyGlide(Adapter):
    """GlideClient: one connection, on which calls that come together travel together."""

    name = "valkey-glide"
    label = "valkey-glide"
    suite = "redis"
    packages = ("valkey-glide", "orjson")
    durability = NO_DURABILITY
    floor = "redis-py"

    async def open(self, directory: Path, kind: str) -> None:
        url = urlsplit(self.place())
        address = glide.NodeAddress(url.hostname or "", url.port or 0)
        configuration = glide.GlideClientConfiguration([address], database_id=int(url.path[1:]), request_timeout=10_000)
        self.client = client = await glide.GlideClient.create(configuration)
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
            found: list[str] = []
            cursor: Any = b"0"
            while True:
                cursor, part = await client.scan(cursor, match=f"{namespace}::*", count=SCANNED)
                found += [key.decode() for key in part]
                if cursor == b"0":
                    return found

        async def count(namespace: str) -> int:
            found, cursor = 0, b"0"
            while True:
                cursor, part = await client.scan(cursor, match=f"{namespace}::*", count=SCANNED)
                found += len(part)
                if cursor == b"0":
                    return found

        self.get, self.set, self.mget, self.mset, self.keys, self.count = get, set, mget, mset, keys, count

    async def close(self) -> None:
        await self.client.close()


CONTENDERS = (ValkeyGlide,)

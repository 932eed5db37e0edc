"""asyncpg as one would write it by hand: jsonb values, statements that asyncpg prepares and keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import asyncpg

from .base import FSYNC, JSON_FORM, Adapter
from .sql_schema import POOL, POSTGRES_CREATE, span

GET = "SELECT value FROM kv WHERE key = $1"
SET = "INSERT INTO kv VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
MGET = "SELECT key, value FROM kv WHERE key = ANY($1)"
MSET = "INSERT INTO kv SELECT * FROM unnest($1::text[], $2::jsonb[]) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
KEYS = "SELECT key FROM kv WHERE key >= $1 AND key < $2 ORDER BY key"
COUNT = "SELECT count(*) FROM kv WHERE key >= $1 AND key < $2"


async def prepare(connection: Any) -> None:
    """Take jsonb as Python objects, as asyncpg's documentation shows it."""
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


class AsyncpgOne(Adapter):
    """One connection: one call at a time. The floor."""

    name = "asyncpg-one"
    label = "asyncpg, one connection"
    suite = "postgres"
    packages = ("asyncpg",)
    durability = FSYNC
    concurrent = False
    floor = "asyncpg-one"

    async def connect(self) -> Any:
        """What has asyncpg's calls: a connection, or a pool of them."""
        connection = await asyncpg.connect(self.place())
        await prepare(connection)
        return connection

    async def open(self, directory: Path, kind: str) -> None:
        self.connection = connection = await self.connect()
        await connection.execute(POSTGRES_CREATE)
        fetchval, fetch, execute = connection.fetchval, connection.fetch, connection.execute
        pack, unpack = JSON_FORM[kind]

        async def get(key: str) -> Any:
            return unpack(await fetchval(GET, key))

        async def set(key: str, value: Any) -> None:
            await execute(SET, key, pack(value))

        async def mget(keys: list[str]) -> list[Any]:
            rows = dict(await fetch(MGET, keys))
            return [unpack(rows[key]) for key in keys]

        async def mset(items: dict[str, Any]) -> None:
            await execute(MSET, list(items), [pack(value) for value in items.values()])

        async def keys(namespace: str) -> list[str]:
            return [row[0] for row in await fetch(KEYS, *span(namespace))]

        async def count(namespace: str) -> int:
            return await fetchval(COUNT, *span(namespace))

        self.get, self.set, self.mget, self.mset, self.keys, self.count = get, set, mget, mset, keys, count

    async def close(self) -> None:
        await self.connection.close()


class AsyncpgPool(AsyncpgOne):
    """The pool, called directly: each call takes a connection and resets it before it gives it back."""

    name = "asyncpg-pool"
    label = f"asyncpg, pool of {POOL}"
    concurrent = True

    async def connect(self) -> Any:
        return await asyncpg.create_pool(self.place(), min_size=POOL, max_size=POOL, init=prepare)


CONTENDERS = (AsyncpgOne, AsyncpgPool)

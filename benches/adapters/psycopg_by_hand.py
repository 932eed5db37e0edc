"""psycopg 3 as one would write it by hand: a pool, jsonb values, statements that are prepared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from .base import FSYNC, JSON_FORM, Adapter
from .sql_schema import POOL, POSTGRES_CREATE, span

GET = "SELECT value FROM kv WHERE key = %s"
SET = "INSERT INTO kv VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
MGET = "SELECT key, value FROM kv WHERE key = ANY(%s)"
KEYS = "SELECT key FROM kv WHERE key >= %s AND key < %s ORDER BY key"
COUNT = "SELECT count(*) FROM kv WHERE key >= %s AND key < %s"


class PsycopgPool(Adapter):
    """AsyncConnectionPool of connections in autocommit."""

    name = "psycopg-pool"
    label = f"psycopg 3, pool of {POOL}"
    suite = "postgres"
    packages = ("psycopg", "psycopg-binary", "psycopg-pool")
    durability = FSYNC
    floor = "asyncpg-one"

    async def open(self, directory: Path, kind: str) -> None:
        options = {"autocommit": True, "prepare_threshold": 0}
        self.pool = pool = AsyncConnectionPool(self.place(), min_size=POOL, max_size=POOL, kwargs=options, open=False)
        await pool.open(wait=True)
        lend = pool.connection
        pack, unpack = JSON_FORM[kind]
        async with lend() as connection:
            await connection.execute(POSTGRES_CREATE)

        async def get(key: str) -> Any:
            async with lend() as connection:
                row = await (await connection.execute(GET, (key,))).fetchone()
            return unpack(row[0])

        async def set(key: str, value: Any) -> None:
            async with lend() as connection:
                await connection.execute(SET, (key, Jsonb(pack(value))))

        async def mget(keys: list[str]) -> list[Any]:
            async with lend() as connection:
                rows = dict(await (await connection.execute(MGET, (keys,))).fetchall())
            return [unpack(rows[key]) for key in keys]

        async def mset(items: dict[str, Any]) -> None:
            async with lend() as connection, connection.transaction(), connection.cursor() as cursor:
                await cursor.executemany(SET, [(key, Jsonb(pack(value))) for key, value in items.items()])

        async def keys(namespace: str) -> list[str]:
            async with lend() as connection:
                return [row[0] for row in await (await connection.execute(KEYS, span(namespace))).fetchall()]

        async def count(namespace: str) -> int:
            async with lend() as connection:
                row = await (await connection.execute(COUNT, span(namespace))).fetchone()
            return row[0]

        self.get, self.set, self.mget, self.mset, self.keys, self.count = get, set, mget, mset, keys, count

    async def close(self) -> None:
        await self.pool.close()


CONTENDERS = (PsycopgPool,)

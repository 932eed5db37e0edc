"""asyncmy as one would write it by hand: a pool of connections in autocommit, JSON values."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncmy

from . import sql_schema as sql
from .base import FSYNC, JSON_FORM, Adapter


class AsyncmyOne(Adapter):
    """One connection and one cursor: one call at a time. The floor."""

    name = "asyncmy-one"
    label = "asyncmy, one connection"
    suite = "mysql"
    packages = ("asyncmy",)
    durability = FSYNC
    concurrent = False
    floor = "asyncmy-one"
    connections = 1

    async def open(self, directory: Path, kind: str) -> None:
        url = urlsplit(self.place())
        self.pool = await asyncmy.create_pool(
            host=url.hostname,
            port=url.port,
            user=url.username,
            password=url.password,
            db=url.path[1:],
            minsize=self.connections,
            maxsize=self.connections,
            autocommit=True,
        )
        self.stack = contextlib.AsyncExitStack()
        lend = await self.lender()
        pack, unpack = JSON_FORM[kind]
        dumps, loads = json.dumps, json.loads
        async with lend() as cursor:
            await cursor.execute(sql.MYSQL_CREATE)

        async def get(key: str) -> Any:
            async with lend() as cursor:
                await cursor.execute(sql.MYSQL_GET, (key,))
                row = await cursor.fetchone()
            return unpack(loads(row[0]))

        async def set(key: str, value: Any) -> None:
            async with lend() as cursor:
                await cursor.execute(sql.MYSQL_SET, (key, dumps(pack(value))))

        async def mget(keys: list[str]) -> list[Any]:
            statement = f"SELECT name, value FROM kv WHERE name IN ({','.join(['%s'] * len(keys))})"
            async with lend() as cursor:
                await cursor.execute(statement, keys)
                rows = dict(await cursor.fetchall())
            return [unpack(loads(rows[key])) for key in keys]

        async def mset(items: dict[str, Any]) -> None:
            async with lend() as cursor:  # executemany makes one statement of them
                await cursor.executemany(sql.MYSQL_SET, [(key, dumps(pack(value))) for key, value in items.items()])

        async def keys(namespace: str) -> list[str]:
            async with lend() as cursor:
                await cursor.execute(sql.MYSQL_KEYS, sql.span(namespace))
                return [row[0] for row in await cursor.fetchall()]

        async def count(namespace: str) -> int:
            async with lend() as cursor:
                await cursor.execute(sql.MYSQL_COUNT, sql.span(namespace))
                row = await cursor.fetchone()
            return row[0]

        self.get, self.set, self.mget, self.mset, self.keys, self.count = get, set, mget, mset, keys, count

    async def lender(self) -> Any:
        """What lends a cursor for a block."""
        connection = await self.stack.enter_async_context(self.pool.acquire())
        return connection.cursor

    async def close(self) -> None:
        await self.stack.aclose()
        self.pool.close()
        await self.pool.wait_closed()


class AsyncmyPool(AsyncmyOne):
    """A connection of the pool, and a cursor on it, for each call."""

    name = "asyncmy-pool"
    label = f"asyncmy, pool of {sql.POOL}"
    concurrent = True
    connections = sql.POOL

    async def lender(self) -> Any:
        pool = self.pool

        @contextlib.asynccontextmanager
        async def lend() -> AsyncIterator[Any]:
            async with pool.acquire() as connection, connection.cursor() as cursor:
                yield cursor

        return lend


CONTENDERS = (AsyncmyOne, AsyncmyPool)

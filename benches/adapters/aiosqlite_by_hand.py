"""aiosqlite as one would write it by hand: one connection with a thread of its own, one trip to it a call."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import aiosqlite

from . import sqlite_schema as sql
from .base import FSYNC, WAL_NORMAL, Adapter


class AiosqliteNormal(Adapter):
    """One aiosqlite connection, WAL, synchronous NORMAL."""

    name = "aiosqlite-normal"
    label = "aiosqlite by hand, WAL NORMAL"
    suite = "disk"
    packages = ("aiosqlite",)
    durability = WAL_NORMAL
    floor = "sqlite3-normal"
    synchronous: ClassVar[str] = "NORMAL"

    async def open(self, directory: Path, kind: str) -> None:
        self.connection = connection = await aiosqlite.connect(directory / "kv.db", isolation_level=None)
        for statement in (*sql.pragmas(self.synchronous), sql.CREATE):
            await connection.execute_fetchall(statement)
        fetch, execute, dumps, loads = connection.execute_fetchall, connection.execute, sql.dumps, sql.loads

        async def get(key: str) -> Any:
            [row] = await fetch(sql.GET, (key,))
            return loads(row[0])

        async def set(key: str, value: Any) -> None:
            await execute(sql.SET, (key, dumps(value)))

        async def mget(keys: list[str]) -> list[Any]:
            rows = dict(await fetch(sql.mget_statement(len(keys)), keys))
            return [loads(rows[key]) for key in keys]

        async def mset(items: dict[str, Any]) -> None:
            await execute("BEGIN IMMEDIATE")
            await connection.executemany(sql.SET, [(key, dumps(value)) for key, value in items.items()])
            await execute("COMMIT")

        async def keys(namespace: str) -> list[str]:
            return [row[0] for row in await fetch(sql.KEYS, sql.span(namespace))]

        async def count(namespace: str) -> int:
            [row] = await fetch(sql.COUNT, sql.span(namespace))
            return row[0]

        self.get, self.set, self.mget, self.mset, self.keys, self.count = get, set, mget, mset, keys, count

    async def close(self) -> None:
        await self.connection.close()


class AiosqliteFull(AiosqliteNormal):
    """One aiosqlite connection, WAL, synchronous FULL."""

    name = "aiosqlite-full"
    label = "aiosqlite by hand, WAL FULL"
    durability = FSYNC
    floor = "sqlite3-full"
    synchronous = "FULL"


CONTENDERS = (AiosqliteNormal, AiosqliteFull)

"""The floor on disk: sqlite3 in the loop's thread, which waits for each call."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, ClassVar

from . import sqlite_schema as sql
from .base import ALWAYS, FSYNC, WAL_NORMAL, Adapter


class RawSqliteNormal(Adapter):
    """One sqlite3 connection, WAL, synchronous NORMAL."""

    name = "sqlite3-normal"
    label = "sqlite3 in the loop's thread, WAL NORMAL"
    suite = "disk"
    durability = WAL_NORMAL
    blocks_loop = ALWAYS
    floor = "sqlite3-normal"
    synchronous: ClassVar[str] = "NORMAL"

    async def open(self, directory: Path, kind: str) -> None:
        self.connection = connection = sqlite3.connect(directory / "kv.db", isolation_level=None)
        for statement in (*sql.pragmas(self.synchronous), sql.CREATE):
            connection.execute(statement)
        execute, dumps, loads = connection.execute, sql.dumps, sql.loads

        async def get(key: str) -> Any:
            return loads(execute(sql.GET, (key,)).fetchone()[0])

        async def set(key: str, value: Any) -> None:
            execute(sql.SET, (key, dumps(value)))

        async def mget(keys: list[str]) -> list[Any]:
            rows = dict(execute(sql.mget_statement(len(keys)), keys).fetchall())
            return [loads(rows[key]) for key in keys]

        async def mset(items: dict[str, Any]) -> None:
            execute("BEGIN IMMEDIATE")
            connection.executemany(sql.SET, [(key, dumps(value)) for key, value in items.items()])
            execute("COMMIT")

        async def keys(namespace: str) -> list[str]:
            return [row[0] for row in execute(sql.KEYS, sql.span(namespace))]

        async def count(namespace: str) -> int:
            return execute(sql.COUNT, sql.span(namespace)).fetchone()[0]

        self.get, self.set, self.mget, self.mset, self.keys, self.count = get, set, mget, mset, keys, count

    async def close(self) -> None:
        self.connection.close()


class RawSqliteFull(RawSqliteNormal):
    """One sqlite3 connection, WAL, synchronous FULL."""

    name = "sqlite3-full"
    label = "sqlite3 in the loop's thread, WAL FULL"
    durability = FSYNC
    floor = "sqlite3-full"
    synchronous = "FULL"


CONTENDERS = (RawSqliteNormal, RawSqliteFull)

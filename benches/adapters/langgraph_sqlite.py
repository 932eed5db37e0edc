"""LangGraph's AsyncSqliteStore: values are JSON objects, concurrent calls are gathered into one batch."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, ClassVar

from langgraph.store.base import GetOp, PutOp
from langgraph.store.sqlite.aio import AsyncSqliteStore

from .base import FSYNC, JSON_FORM, WAL_NORMAL, Adapter

EVERYTHING = 10_000_000


class LangGraphSqlite(Adapter):
    """AsyncSqliteStore as `from_conn_string` opens it: a rollback journal and SQLite's default, FULL."""

    name = "langgraph-sqlite"
    label = "LangGraph AsyncSqliteStore (default)"
    suite = "disk"
    packages = ("langgraph-checkpoint-sqlite", "aiosqlite")
    durability = FSYNC
    floor = "sqlite3-full"
    pragmas: ClassVar[tuple[str, ...]] = ()

    async def open(self, directory: Path, kind: str) -> None:
        self.stack = AsyncExitStack()
        opening = AsyncSqliteStore.from_conn_string(str(directory / "store.db"))
        self.store = store = await self.stack.enter_async_context(opening)
        for pragma in self.pragmas:
            await store.conn.execute_fetchall(pragma)
        await store.setup()
        pack, unpack = JSON_FORM[kind]
        self.pack = pack
        default = ("bench",)

        async def get(key: str) -> Any:
            return unpack((await store.aget(default, key)).value)

        async def set(key: str, value: Any) -> None:
            await store.aput(default, key, pack(value))

        async def mget(keys: list[str]) -> list[Any]:
            return [unpack(item.value) for item in await store.abatch([GetOp(default, key) for key in keys])]

        async def mset(items: dict[str, Any]) -> None:
            await store.abatch([PutOp(default, key, pack(value)) for key, value in items.items()])

        async def keys(namespace: str) -> list[str]:
            return [item.key for item in await store.asearch((namespace,), limit=EVERYTHING)]

        async def count(namespace: str) -> int:
            return len(await store.asearch((namespace,), limit=EVERYTHING))

        self.get, self.set, self.mget, self.mset, self.keys, self.count = get, set, mget, mset, keys, count

    async def close(self) -> None:
        await self.stack.aclose()

    async def fill(self, namespace: str, items: dict[str, Any]) -> None:
        await self.store.abatch([PutOp((namespace,), name, self.pack(value)) for name, value in items.items()])

    def names(self, namespace: str, listed: list[str]) -> list[str]:
        return listed


class LangGraphSqliteNormal(LangGraphSqlite):
    """The same store on a file switched to WAL, synchronous NORMAL."""

    name = "langgraph-sqlite-normal"
    label = "LangGraph AsyncSqliteStore, WAL NORMAL"
    durability = WAL_NORMAL
    floor = "sqlite3-normal"
    pragmas = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL")


class LangGraphSqliteFull(LangGraphSqlite):
    """The same store on a file switched to WAL, synchronous FULL."""

    name = "langgraph-sqlite-full"
    label = "LangGraph AsyncSqliteStore, WAL FULL"
    pragmas = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL")


CONTENDERS = (LangGraphSqliteNormal, LangGraphSqlite, LangGraphSqliteFull)

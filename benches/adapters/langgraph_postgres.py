"""LangGraph's AsyncPostgresStore: values are JSON objects, concurrent calls are gathered into one batch."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from langgraph.store.base import GetOp, PutOp
from langgraph.store.postgres.aio import AsyncPostgresStore

from .base import FSYNC, JSON_FORM, Adapter

EVERYTHING = 10_000_000


class LangGraphPostgres(Adapter):
    """AsyncPostgresStore as `from_conn_string` opens it: one connection."""

    name = "langgraph-postgres"
    label = "LangGraph AsyncPostgresStore"
    suite = "postgres"
    packages = ("langgraph-checkpoint-postgres", "psycopg")
    durability = FSYNC
    floor = "asyncpg-one"

    async def open(self, directory: Path, kind: str) -> None:
        self.stack = AsyncExitStack()
        opening = AsyncPostgresStore.from_conn_string(self.place())
        self.store = store = await self.stack.enter_async_context(opening)
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


CONTENDERS = (LangGraphPostgres,)

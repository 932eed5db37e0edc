# pyright: strict
"""Every call of the package, for type checkers: `mypy --strict` and `pyright` read it, nothing runs it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict
from uuid import UUID

import numpy as np
import pandas as pd
import rrag_storage
from rrag_storage import (
    BackendUnavailableError,
    Compression,
    ConfigurationError,
    ConflictError,
    CopyProgress,
    CorruptedDataError,
    DatabaseConfig,
    DatabaseStorage,
    DecryptionError,
    InMemoryConfig,
    InMemoryStorage,
    InvalidKeyError,
    InvalidValueError,
    Key,
    LimitExceededError,
    ManualClock,
    MemoryEntry,
    MemoryQuery,
    MemoryStats,
    MemoryValue,
    ObjectConfig,
    ObjectStorage,
    Operation,
    OperationTimeoutError,
    PartialWriteError,
    RedisConfig,
    RedisStorage,
    RotateProgress,
    SortOrder,
    Storage,
    StorageClosedError,
    StorageError,
    SyncStorage,
    SyncTransaction,
    SyncTypedTransaction,
    SyncTypedView,
    Transaction,
    TypedEntry,
    TypedTransaction,
    TypedView,
    UnsupportedOperationError,
    UnsupportedTypeError,
    connect,
    copy,
)
from typing_extensions import assert_type

if TYPE_CHECKING:
    from rrag_storage._native import Ttl, Value


class Document(TypedDict):
    text: str
    page: int


async def make_storages() -> None:
    assert_type(rrag_storage.__version__, str)
    clock = ManualClock()
    assert_type(ManualClock(datetime(2030, 1, 1, tzinfo=timezone.utc)).now(), datetime)
    clock.advance(1.5)
    clock.advance(timedelta(days=1))

    assert_type(InMemoryStorage(), InMemoryStorage)
    InMemoryStorage("memory://", max_keys=10, max_memory_bytes=None, eviction="lru", clock=clock)
    config = InMemoryConfig(max_keys=None, max_memory_bytes=1_000, eviction="lru")
    assert_type(config.max_keys, "int | None")
    assert_type(config.max_memory_bytes, "int | None")
    print(config.eviction)
    assert_type(InMemoryStorage.with_config(config), InMemoryStorage)
    assert_type(await InMemoryStorage.with_config(config), InMemoryStorage)

    assert_type(await DatabaseStorage("sqlite:memory.db"), DatabaseStorage)
    DatabaseStorage(
        "sqlite:memory.db",
        max_connections=2,
        connection_timeout=timedelta(seconds=5),
        enable_query_logging=True,
        table="notes",
        synchronous="normal",
        root_certificate=Path("roots.pem"),
        clock=clock,
    )
    assert_type(await DatabaseStorage.connect("sqlite:memory.db", connection_timeout=5), DatabaseStorage)
    database = DatabaseConfig(
        connection_string="sqlite:memory.db",
        max_connections=2,
        connection_timeout=2.5,
        enable_query_logging=False,
        table="notes",
        synchronous="full",
    )
    assert_type(database.connection_string, str)
    assert_type(database.max_connections, int)
    assert_type(database.connection_timeout, float)
    assert_type(database.enable_query_logging, bool)
    assert_type(database.table, str)
    print(database.synchronous)
    assert_type(database.root_certificate, "str | None")
    assert_type(await DatabaseStorage.with_config(database), DatabaseStorage)

    assert_type(await RedisStorage("redis://localhost", key_prefix="docs", root_certificate="roots.pem"), RedisStorage)
    assert_type(await RedisStorage.connect("redis+cluster://localhost", max_connections=2, clock=clock), RedisStorage)
    redis = RedisConfig("rediss://localhost", key_prefix="docs", connection_timeout=timedelta(seconds=5))
    assert_type(redis.connection_string, str)
    assert_type(redis.key_prefix, str)
    assert_type(RedisStorage.with_config(redis), RedisStorage)

    options = {"aws_region": "eu-west-1"}
    assert_type(await ObjectStorage("s3://bucket/memory", storage_options=options, allow_http=True), ObjectStorage)
    assert_type(await ObjectStorage.connect("file:///var/memory", max_connections=8, clock=clock), ObjectStorage)
    objects = ObjectConfig("gs://bucket", storage_options=options, allow_http=False, enable_query_logging=True)
    assert_type(objects.storage_options, dict[str, str])
    assert_type(objects.allow_http, bool)
    assert_type(ObjectStorage.with_config(objects), ObjectStorage)

    assert_type(connect("memory://", max_keys=5), Storage)
    assert_type(await connect("sqlite:memory.db", synchronous="normal"), Storage)
    assert_type(await connect("redis://localhost", key_prefix="docs"), Storage)

    done = await copy(connect("memory://"), connect("sqlite:memory.db"), progress=print, namespace="docs")
    assert_type(done, CopyProgress)
    assert_type(done.copied + done.skipped, int)
    assert_type(done.last_key, "str | None")
    await copy(InMemoryStorage(), InMemoryStorage(), MemoryQuery(), overwrite=False, page_size=10)

    await make_layers()
    async with InMemoryStorage() as storage:
        assert_type(storage, InMemoryStorage)
        await every_operation(storage)


async def make_layers() -> None:
    key = Key.generate()
    assert_type(key, Key)
    assert_type(Key(bytes(32)), Key)
    assert_type(Key.from_passphrase("correct horse", b"0123456789abcdef"), Key)
    assert_type(Key.from_env("MEMORY_KEY"), Key)
    assert_type(key.export(), str)
    assert_type(key.fingerprint, str)

    zstd = Compression("zstd", level=9)
    assert_type(zstd, Compression)
    assert_type(Compression("lz4"), Compression)
    assert_type(Compression.train([{"a": 1}, {"a": 2}], level=3), Compression)
    assert_type(Compression(dictionary=b"").dictionary, "bytes | None")
    assert_type(zstd.level, "int | None")
    method: str = zstd.method
    print(method)

    objects = ObjectStorage("s3://bucket/memory", encryption_key=key)
    InMemoryStorage(
        compression="lz4",
        compression_threshold=100,
        encryption_key=bytes(32),
        require_encryption=False,
        hide_keys=True,
        large_values=objects,
        large_value_threshold=100_000,
    )
    DatabaseStorage(
        "sqlite:memory.db", compression=zstd, encryption_key={"old": bytes(32), "new": key}, active_key="new"
    )
    assert_type(await DatabaseStorage.connect("sqlite:memory.db", compression="zstd"), DatabaseStorage)
    assert_type(await RedisStorage.connect("redis://localhost", large_values=objects, hide_keys=False), RedisStorage)
    assert_type(await ObjectStorage.connect("s3://bucket/memory", encryption_key=key), ObjectStorage)
    assert_type(await InMemoryStorage.connect(encryption_key=key), InMemoryStorage)
    assert_type(await connect("memory://", encryption_key=key, compression="zstd"), Storage)

    assert_type(InMemoryStorage.with_config(InMemoryConfig(), compression="zstd"), InMemoryStorage)
    database = DatabaseConfig("sqlite:memory.db")
    assert_type(DatabaseStorage.with_config(database, encryption_key=key, clock=ManualClock()), DatabaseStorage)
    assert_type(RedisStorage.with_config(RedisConfig("redis://localhost"), large_values=objects), RedisStorage)
    assert_type(ObjectStorage.with_config(ObjectConfig("s3://bucket"), compression=zstd), ObjectStorage)


async def every_operation(s: Storage) -> None:
    assert_type(s.backend_name, str)
    assert_type(s.url, str)
    assert_type(s.closed, bool)
    assert_type(await s.open(), Storage)
    assert_type(s.typed(User), TypedView[User])
    assert_type(await s.to_pandas(namespace="users", limit=5), pd.DataFrame)
    assert_type(await s.to_pandas(MemoryQuery(prefix="a")), pd.DataFrame)

    ttl: Ttl = timedelta(hours=1)
    values: list[Value] = [
        None, True, 1, 1.5, "text", b"bytes", [1, "a"], {"a": 1}, (1, 2), {1, 2}, frozenset({1}), date.today(),
        datetime.now(timezone.utc), time(1), timedelta(1), Decimal("1.5"), UUID(int=1), np.zeros(3, dtype=np.float32),
        np.float32(1), MemoryValue.json({"a": [1]}),
    ]  # fmt: skip
    for value in values:
        assert_type(await s.set("k", value), None)
    document: Document = {"text": "hello", "page": 1}
    await s.set("k", document, ttl)
    await s.set("k", ["typed", "list"], ttl=60)
    await s.set("k", {"typed": "dict"}, ttl=0.5)

    assert_type(await s.get("k"), "Any | None")
    assert_type(await s.get("k", 0, refresh_ttl=60), "Any | int")
    assert_type(await s.get_value("k"), "MemoryValue | None")
    assert_type(await s.get_entry("k"), "MemoryEntry | None")
    assert_type(await s.get_entries(["a", "b"]), "list[MemoryEntry | None]")
    assert_type(await s.pop("k"), "Any | None")
    assert_type(await s.pop("k", "gone"), "Any | str")
    assert_type(await s.delete("k"), bool)
    assert_type(await s.exists("k"), bool)

    assert_type(await s.mset({"a": 1, "b": "two"}), None)
    await s.mset([("a", 1), ("b", 2)], ttl=timedelta(seconds=1))
    await s.mset((f"k{i}", np.zeros(3)) for i in range(3))
    assert_type(await s.mget(["a", "b"]), "list[Any | None]")
    assert_type(await s.mget((k for k in "ab"), 0, refresh_ttl=1), "list[Any | int]")
    assert_type(await s.mdelete({"a", "b"}), int)

    query = (
        MemoryQuery(namespace="users", limit=10)
        .with_namespace("users")
        .with_prefix("a")
        .with_pattern("a*")
        .with_after("a")
        .with_limit(5)
        .with_offset(1)
        .with_sort_order(SortOrder.CREATED_DESC)
    )
    assert_type(query.namespace, "str | None")
    assert_type(query.prefix, "str | None")
    assert_type(query.pattern, "str | None")
    assert_type(query.after, "str | None")
    assert_type(query.limit, "int | None")
    assert_type(query.offset, int)
    assert_type(query.sort_order, SortOrder)
    assert_type(await s.keys(), "list[str]")
    assert_type(await s.keys(query), "list[str]")
    await s.keys(
        namespace="users", prefix="a", pattern="a*", after="a", limit=1, offset=1, sort_order=SortOrder.KEY_ASC
    )
    async for key, item in s.items(namespace="users", sort_order=SortOrder.KEY_DESC):
        assert_type(key, str)
        assert_type(item, Any)
    async for entry in s.entries(query):
        assert_type(entry, MemoryEntry)
    iterator: AsyncIterator[MemoryEntry] = s.entries(limit=1, sort_order=SortOrder.CREATED_ASC)
    print([entry async for entry in iterator])
    assert_type(await s.namespaces(), "list[str]")
    await s.namespaces("users", max_depth=2)
    assert_type(await s.count(), int)
    await s.count("users", prefix="a")
    assert_type(await s.clear("users", prefix="a"), int)

    assert_type(await s.set_if_absent("k", 1, ttl=60), bool)
    assert_type(await s.compare_and_set("k", 1, 12345, ttl=60), bool)
    assert_type(await s.increment("n", 2), int)
    assert_type(await s.expire("k", 60), bool)
    assert_type(await s.persist("k"), bool)
    assert_type(await s.ttl("k"), "float | None")

    async with s.transaction() as tx:
        await every_step(tx)

    async def double(tx: Transaction) -> int:
        return await tx.increment("n", await tx.get("n", 0))

    assert_type(await s.transact(double), int)
    assert_type(await s.transact(double, max_attempts=3), int)

    done = await s.rotate()
    assert_type(done, RotateProgress)
    assert_type(done.seen + done.rewritten, int)

    async def told(progress: RotateProgress) -> None:
        print(progress)

    await s.rotate(progress=told, page_size=100)
    assert_type(await s.collect_garbage(), int)
    await s.collect_garbage(older_than=timedelta(days=1))

    assert_type(await s.health_check(), bool)
    stats = await s.stats()
    assert_type(stats, MemoryStats)
    assert_type(stats.total_keys, int)
    assert_type(stats.memory_bytes, int)
    assert_type(stats.backend_type, str)
    assert_type(stats.namespace_count, int)
    assert_type(stats.last_updated, datetime)
    assert_type(stats.extra, "dict[str, float]")

    assert_type(s.namespace("users"), Storage)
    assert_type(s.namespace("users").namespace("ada").sync, SyncStorage)
    every_blocking_call(s.sync)
    await as_coroutines(s)
    assert_type(await s.close(), None)


async def every_step(tx: Transaction) -> None:
    assert_type(await tx.get("k"), "Any | None")
    assert_type(await tx.get("k", 0), "Any | int")
    assert_type(await tx.get_entry("k"), "MemoryEntry | None")
    assert_type(await tx.mget(["a"]), "list[Any | None]")
    assert_type(await tx.mget(["a"], 0), "list[Any | int]")
    assert_type(await tx.exists("k"), bool)
    assert_type(await tx.set("k", 1, ttl=60), None)
    assert_type(await tx.set_if_absent("k", 1, ttl=60), bool)
    assert_type(await tx.mset({"a": 1}, ttl=60), None)
    assert_type(await tx.delete("k"), bool)
    assert_type(await tx.mdelete(["a"]), int)
    assert_type(await tx.increment("n", 2), int)


@dataclass
class User:
    name: str


async def every_typed_call(s: Storage) -> None:
    view = s.typed(User)
    ada = User("Ada")
    assert_type(view, TypedView[User])
    assert_type(view.model, type[User])
    assert_type(view.storage, Storage)
    assert_type(view.sync, SyncTypedView[User])
    assert_type(await view.set("k", ada, ttl=60), None)
    assert_type(await view.get("k"), "User | None")
    assert_type(await view.get("k", 0, refresh_ttl=60), "User | int")
    assert_type(await view.get_entry("k"), "TypedEntry[User] | None")
    assert_type(await view.get_entries(["k"]), "list[TypedEntry[User] | None]")
    assert_type(await view.pop("k"), "User | None")
    assert_type(await view.pop("k", 0), "User | int")
    assert_type(await view.mset({"k": ada}), None)
    assert_type(await view.mget(["k"]), "list[User | None]")
    assert_type(await view.mget(["k"], 0), "list[User | int]")
    assert_type(await view.set_if_absent("k", ada), bool)
    assert_type(await view.compare_and_set("k", ada, 1), bool)
    async for key, user in view.items(namespace="users"):
        print(key, user.name)
    async for entry in view.entries(limit=1):
        assert_type(entry.value, User)
    assert_type(view.namespace("users"), TypedView[User])
    async with view.transaction() as tx:
        await every_typed_step(tx)
    assert_type(await view.transact(every_typed_step), None)
    assert_type(s.typed(Document), TypedView[Document])


async def every_typed_step(tx: TypedTransaction[User]) -> None:
    assert_type(await tx.get("k"), "User | None")
    assert_type(await tx.mget(["k"], 0), "list[User | int]")
    assert_type(await tx.set("k", User("Ada")), None)
    assert_type(tx.transaction, Transaction)


def every_blocking_typed_call(s: SyncStorage) -> None:
    view = s.typed(User)
    assert_type(view, SyncTypedView[User])
    assert_type(view.get("k"), "User | None")
    assert_type(view.pop("k", 0), "User | int")
    assert_type(view.mget(["k"], 0), "list[User | int]")
    for key, user in view.items():
        print(key, user.name)

    def rename(tx: SyncTypedTransaction[User]) -> str:
        tx.set("k", User("Bob"))
        return "Bob"

    assert_type(view.transact(rename), str)
    assert_type(view.storage, SyncStorage)


def every_typed_entry(entry: TypedEntry[User]) -> None:
    assert_type(entry.value, User)
    assert_type(entry.expires_at, "datetime | None")


async def as_coroutines(s: Storage) -> None:
    operation: Operation[bool] = s.exists("k")
    assert_type(await asyncio.create_task(operation), bool)
    assert_type(await asyncio.wait_for(s.exists("k"), timeout=1), bool)
    found, count = await asyncio.gather(s.exists("k"), s.count())
    assert_type(found, bool)
    assert_type(count, int)
    assert_type(s.exists("k").wait(), bool)
    assert_type(asyncio.run(s.count()), int)
    s.exists("k").close()


def every_blocking_call(s: SyncStorage) -> None:
    print(s.backend_name, s.url, s.closed)
    assert_type(s.set("k", 1, ttl=60), None)
    print(s.get("k"), s.get("k", 0, refresh_ttl=60), s.pop("k"), s.pop("k", 0))
    assert_type(s.get_value("k"), "MemoryValue | None")
    assert_type(s.get_entry("k"), "MemoryEntry | None")
    assert_type(s.get_entries(["k"]), "list[MemoryEntry | None]")
    assert_type(s.delete("k"), bool)
    assert_type(s.exists("k"), bool)
    assert_type(s.mset({"a": 1}, ttl=60), None)
    print(s.mget(["a"]), s.mget(["a"], 0, refresh_ttl=60))
    assert_type(s.mdelete(["a"]), int)
    assert_type(s.keys(), "list[str]")
    s.keys(MemoryQuery(prefix="a"))
    s.keys(prefix="a", sort_order=SortOrder.KEY_DESC)
    items: Iterator[tuple[str, Any]] = s.items(namespace="users")
    entries: Iterator[MemoryEntry] = s.entries(limit=1)
    print(list(items), list(entries))
    assert_type(s.namespaces("users", max_depth=1), "list[str]")
    assert_type(s.count("users", prefix="a"), int)
    assert_type(s.clear("users", prefix="a"), int)
    assert_type(s.set_if_absent("k", 1, ttl=60), bool)
    assert_type(s.compare_and_set("k", 1, 12345, ttl=60), bool)
    assert_type(s.increment("n", 2), int)
    assert_type(s.expire("k", 60), bool)
    assert_type(s.persist("k"), bool)
    assert_type(s.ttl("k"), "float | None")
    with s.transaction() as tx:
        every_blocking_step(tx)
    print(s.transact(lambda tx: tx.increment("n"), max_attempts=3))
    assert_type(s.rotate(progress=print, page_size=10), RotateProgress)
    assert_type(s.collect_garbage(older_than=60), int)
    assert_type(s.health_check(), bool)
    assert_type(s.stats(), MemoryStats)
    assert_type(s.namespace("users"), SyncStorage)
    s.open()
    assert_type(s.typed(User), SyncTypedView[User])
    assert_type(s.to_pandas(namespace="users"), pd.DataFrame)
    with s as same:
        assert_type(same, SyncStorage)
    assert_type(s.close(), None)


def every_blocking_step(tx: SyncTransaction) -> None:
    print(tx.get("k"), tx.get("k", 0), tx.mget(["a"]), tx.mget(["a"], 0))
    assert_type(tx.get_entry("k"), "MemoryEntry | None")
    assert_type(tx.exists("k"), bool)
    assert_type(tx.set("k", 1, ttl=60), None)
    assert_type(tx.set_if_absent("k", 1, ttl=60), bool)
    assert_type(tx.mset({"a": 1}, ttl=60), None)
    assert_type(tx.delete("k"), bool)
    assert_type(tx.mdelete(["a"]), int)
    assert_type(tx.increment("n", 2), int)


def every_value(value: MemoryValue, entry: MemoryEntry, other: MemoryEntry) -> None:
    assert_type(MemoryValue.from_python({"a": 1}), MemoryValue)
    assert_type(MemoryValue.json([1, None]), MemoryValue)
    assert_type(value.to_python(), Any)
    kind: str = value.kind
    assert_type(value.as_string(), "str | None")
    assert_type(value.as_integer(), "int | None")
    assert_type(value.as_float(), "float | None")
    assert_type(value.as_boolean(), "bool | None")
    assert_type(value.as_json(), "Any | None")
    assert_type(value.as_bytes(), "bytes | None")
    print(kind, value == 1, hash(value))

    assert_type(entry.key, str)
    assert_type(entry.value, Any)
    assert_type(entry.created_at, datetime)
    assert_type(entry.updated_at, datetime)
    assert_type(entry.expires_at, "datetime | None")
    assert_type(entry.version, int)
    assert_type(entry.size_bytes, int)
    print(entry.kind, entry == other)


def every_error() -> list[StorageError]:
    try:
        InMemoryStorage().sync.get("k")
    except StorageError as error:
        assert_type(error.key, "str | None")
        assert_type(error.retryable, bool)
    value_errors: list[ValueError] = [InvalidKeyError(), InvalidValueError(), ConfigurationError()]
    type_errors: list[TypeError] = [UnsupportedTypeError()]
    connection_errors: list[ConnectionError] = [BackendUnavailableError()]
    timeout_errors: list[TimeoutError] = [OperationTimeoutError()]
    print(InvalidValueError().stored)
    print(value_errors, type_errors, connection_errors, timeout_errors)
    assert_type(PartialWriteError().written, "list[str]")
    return [
        StorageClosedError(),
        LimitExceededError(),
        ConflictError(),
        DecryptionError(),
        CorruptedDataError(),
        UnsupportedOperationError(),
    ]

"""Urls, options and configuration classes: what is taken, and how what isn't is refused."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import rrag_storage
from rrag_storage import (
    ConfigurationError,
    DatabaseConfig,
    DatabaseStorage,
    DecryptionError,
    InMemoryConfig,
    InMemoryStorage,
    Key,
    ManualClock,
    ObjectConfig,
    ObjectStorage,
    RedisConfig,
    RedisStorage,
    Storage,
    StorageError,
    UnsupportedOperationError,
    connect,
)
from rrag_storage.testing import asynchronous

SECRET = "hunter2"

# An option of the wrong type is a wrong type and a wrong option.
WRONG_TYPE = (TypeError, ConfigurationError)


@asynchronous
async def test_connect_picks_the_class(tmp_path: Path) -> None:
    for url, kind, name in (
        ("memory://", InMemoryStorage, "in_memory"),
        ("sqlite::memory:", DatabaseStorage, "sqlite"),
        (f"sqlite:{tmp_path}/a.db", DatabaseStorage, "sqlite"),
    ):
        storage = connect(url)
        assert type(storage) is kind
        assert isinstance(storage, Storage)
        assert storage.backend_name == name
        assert storage.closed is False
        assert await storage is storage
        await storage.set("key", 1)
        assert await storage.get("key") == 1
        await storage.close()


@pytest.mark.parametrize(
    ("url", "kind", "name", "shown"),
    [
        (f"postgres://ada:{SECRET}@h/d", DatabaseStorage, "postgres", "postgres://h:5432/d"),
        (f"postgresql://ada:{SECRET}@h:1/d?sslmode=verify-full", DatabaseStorage, "postgres", "postgres://h:1/d"),
        (f"mysql://ada:{SECRET}@h/d", DatabaseStorage, "mysql", "mysql://h:3306/d"),
        (f"mariadb://ada:{SECRET}@[::1]:7/d", DatabaseStorage, "mysql", "mysql://[::1]:7/d"),
        (f"redis://ada:{SECRET}@h/3", RedisStorage, "redis", "redis://h:6379/3"),
        (f"rediss://:{SECRET}@h", RedisStorage, "redis", "rediss://h:6379/0"),
        (f"redis+cluster://ada:{SECRET}@a:1,b:2", RedisStorage, "redis", "redis+cluster://a:1,b:2"),
        (f"unix:///run/r.sock?pass={SECRET}", RedisStorage, "redis", "unix:///run/r.sock"),
        ("s3://bucket/memory", ObjectStorage, "object", "s3://bucket/memory"),
    ],
)
def test_connect_picks_the_class_of_a_server_and_asks_it_nothing(url: str, kind: Any, name: str, shown: str) -> None:
    storage = connect(url)
    assert type(storage) is kind
    assert (storage.backend_name, storage.url) == (name, shown)
    assert SECRET not in repr(storage)


@asynchronous
async def test_connect_hands_its_options_on(tmp_path: Path) -> None:
    clock = ManualClock()
    storage = connect("memory://", max_keys=1, clock=clock)
    await storage.set("key", 1, ttl=5)
    with pytest.raises(rrag_storage.LimitExceededError):
        await storage.set("other", 1)
    clock.advance(6)
    await storage.set("other", 1)
    table = await connect(f"sqlite:{tmp_path}/a.db", table="mine", synchronous="normal", connection_timeout=5)
    await table.set("key", 1)
    await table.close()
    assert await DatabaseStorage(f"sqlite:{tmp_path}/a.db").exists("key") is False
    assert await DatabaseStorage(f"sqlite:{tmp_path}/a.db", table="mine").exists("key") is True


@pytest.mark.parametrize(
    ("prefix", "absolute"), [("sqlite:", True), ("sqlite://", True), ("sqlite:", False), ("sqlite://", False)]
)
@pytest.mark.parametrize(
    "name",
    ["memory.db", "with blank.db", "50%25.db", "a%20b", "caf\u00e9.db", "#1", "a&b=c", "it's.db", 'a"b', "-", "x y/z"],
)
def test_a_path_is_literal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str, absolute: bool, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    target = tmp_path / name
    target.parent.mkdir(exist_ok=True)
    with DatabaseStorage(prefix + (str(target) if absolute else name)).sync as storage:
        storage.set("key", 1)
        assert target.is_file()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [target]


def test_a_relative_path_is_that_of_the_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    monkeypatch.chdir(one)
    with DatabaseStorage("sqlite:memory.db").sync as storage:
        storage.set("key", 1)
        monkeypatch.chdir(other)
        assert storage.get("key") == 1
        storage.set("key", 2)
    assert (one / "memory.db").is_file()
    assert list(other.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "memory",
        "/a/path.db",
        "sqlite",
        "sqlite:",
        "sqlite://",
        "sqlite:file.db?mode=ro",
        "sqlite:file.db?cache=shared&mode=memory",
        "sqlite::memory:?cache=shared",
        "sqlite:nul\0.db",
        "memory://host",
        "memory://?max_keys=1",
        "http://example.org",
        "file.db",
        ":memory:",
        "sqlite3:file.db",
        "pickle:file",
    ],
)
def test_a_url_that_is_refused(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError) as refused:
        connect(url)
    assert isinstance(refused.value, ConfigurationError | UnsupportedOperationError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        f"postgres://ada:{SECRET}@localhost/db",
        f"postgresql://ada:{SECRET}@localhost/db?sslmode=require",
        f"mysql://ada:{SECRET}@localhost/db",
        f"mariadb://ada:{SECRET}@localhost/db",
        f"redis://:{SECRET}@localhost:6379/0",
        f"rediss://ada:{SECRET}@localhost",
        f"redis+cluster://ada:{SECRET}@localhost",
        f"s3://{SECRET}:{SECRET}@bucket/prefix",
        f"unknown://ada:{SECRET}@localhost",
        f"{SECRET}",
        f"{SECRET}://x",
        f"sqlite:memory.db?key={SECRET}",
        f"memory://ada:{SECRET}@localhost",
    ],
)
def test_a_refusal_never_repeats_a_secret(url: str) -> None:
    try:
        storage = connect(url)
    except (ConfigurationError, UnsupportedOperationError) as refused:
        shown = [str(refused), repr(refused), repr(refused.__cause__), repr(refused.__context__)]
        if not url.startswith(SECRET):
            assert not any(SECRET in text for text in shown)
        assert len(str(refused)) > 20
    else:
        assert SECRET not in repr(storage)
        assert SECRET not in storage.url
        assert SECRET not in storage._repr_html_()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_keys": 0}, ConfigurationError),
        ({"max_keys": -1}, ConfigurationError),
        ({"max_keys": "3"}, WRONG_TYPE),
        ({"max_keys": 1.5}, WRONG_TYPE),
        ({"max_memory_bytes": 0}, ConfigurationError),
        ({"max_memory_bytes": -5}, ConfigurationError),
        ({"max_memory_bytes": "1 GB"}, WRONG_TYPE),
        ({"eviction": "lfu"}, ConfigurationError),
        ({"eviction": ""}, ConfigurationError),
        ({"eviction": 1}, WRONG_TYPE),
        ({"clock": 5}, WRONG_TYPE),
        ({"table": "x"}, WRONG_TYPE),
        ({"maximum": 5}, TypeError),
    ],
    ids=str,
)
def test_options_in_memory_that_are_refused(options: dict[str, Any], error: Any) -> None:
    (name,) = options
    with pytest.raises(error, match=name) as refused:
        InMemoryStorage(**options)
    if isinstance(refused.value, ConfigurationError):
        assert isinstance(refused.value, ValueError)
    with pytest.raises(error):
        connect("memory://", **options)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_connections": 0}, ConfigurationError),
        ({"max_connections": -1}, ConfigurationError),
        ({"max_connections": "4"}, WRONG_TYPE),
        ({"connection_timeout": 0}, ConfigurationError),
        ({"connection_timeout": -1.5}, ConfigurationError),
        ({"connection_timeout": float("nan")}, ConfigurationError),
        ({"connection_timeout": float("inf")}, ConfigurationError),
        ({"connection_timeout": timedelta(0)}, ConfigurationError),
        ({"connection_timeout": "30"}, WRONG_TYPE),
        ({"connection_timeout": True}, WRONG_TYPE),
        ({"enable_query_logging": "yes"}, WRONG_TYPE),
        ({"table": ""}, ConfigurationError),
        ({"table": "a b"}, ConfigurationError),
        ({"table": "a;b"}, ConfigurationError),
        ({"table": 1}, WRONG_TYPE),
        ({"synchronous": "off"}, ConfigurationError),
        ({"synchronous": ""}, ConfigurationError),
        ({"synchronous": 2}, WRONG_TYPE),
        ({"clock": 5}, WRONG_TYPE),
        ({"max_keys": 5}, WRONG_TYPE),
        ({"maximum": 5}, TypeError),
    ],
    ids=str,
)
def test_options_of_databases_that_are_refused(options: dict[str, Any], error: Any, tmp_path: Path) -> None:
    (name,) = options
    url = f"sqlite:{tmp_path}/a.db"
    with pytest.raises(error, match=name):
        DatabaseStorage(url, **options)
    with pytest.raises(error):
        connect(url, **options)
    with pytest.raises(error):
        asyncio.run(DatabaseStorage.connect(url, **options))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", [None, 1, b"memory://", Path("memory.db")], ids=repr)
def test_a_url_that_is_no_str(url: Any) -> None:
    for make in (connect, DatabaseStorage, InMemoryStorage):
        with pytest.raises(TypeError):
            make(url)


@pytest.mark.parametrize("kind", [InMemoryStorage, DatabaseStorage, RedisStorage, ObjectStorage])
def test_a_class_refuses_the_urls_of_the_others(kind: Any) -> None:
    urls = {
        "memory://": InMemoryStorage,
        "sqlite::memory:": DatabaseStorage,
        f"postgres://ada:{SECRET}@h/d": DatabaseStorage,
        f"redis://:{SECRET}@h": RedisStorage,
        "s3://bucket": ObjectStorage,
    }
    for url, own in urls.items():
        if own is not kind:
            with pytest.raises(ConfigurationError) as refused:
                kind(url)
            assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "options", "error"),
    [
        ("redis://h", {"key_prefix": ""}, ConfigurationError),
        ("redis://h", {"key_prefix": "a{b"}, ConfigurationError),
        ("redis://h", {"key_prefix": 1}, WRONG_TYPE),
        ("redis://h", {"max_connections": 0}, ConfigurationError),
        ("redis://h", {"connection_timeout": 0}, ConfigurationError),
        ("redis://h", {"root_certificate": 5}, WRONG_TYPE),
        ("redis://h", {"root_certificate": "no such file"}, ConfigurationError),
        ("redis://h", {"table": "a"}, TypeError),
        ("postgres://u@h/d", {"max_connections": 0}, ConfigurationError),
        ("postgres://u@h/d", {"table": "a;b"}, ConfigurationError),
        ("postgres://u@h/d", {"synchronous": "normal"}, ConfigurationError),
        ("mysql://u@h/d", {"key_prefix": "a"}, TypeError),
        ("sqlite::memory:", {"root_certificate": "roots.pem"}, ConfigurationError),
        ("s3://bucket", {"storage_options": "region"}, WRONG_TYPE),
        ("s3://bucket", {"storage_options": {"aws_region": 1}}, WRONG_TYPE),
        ("s3://bucket", {"storage_options": {"no_such_option": "1"}}, ConfigurationError),
        ("s3://bucket", {"allow_http": "yes"}, WRONG_TYPE),
        ("s3://bucket", {"max_connections": 0}, ConfigurationError),
    ],
    ids=str,
)
def test_options_of_servers_that_are_refused(url: str, options: dict[str, Any], error: Any) -> None:
    (name,) = options
    with pytest.raises(error, match=name):
        connect(url, **options)


@pytest.mark.parametrize(
    "config",
    [
        DatabaseConfig(f"postgres://ada:{SECRET}@h/d", root_certificate=Path("roots.pem"), table="mine"),
        RedisConfig(f"redis://ada:{SECRET}@h", key_prefix="mine", max_connections=2),
        RedisConfig(f"unix:///s?pass={SECRET}"),
        ObjectConfig("s3://bucket/a", storage_options={"aws_secret_access_key": SECRET}, allow_http=True),
    ],
    ids=repr,
)
def test_a_config_of_a_server_shows_no_secret(config: Any) -> None:
    storages = {DatabaseConfig: DatabaseStorage, RedisConfig: RedisStorage, ObjectConfig: ObjectStorage}
    assert SECRET not in repr(config)
    assert type(config).__name__ in repr(config)
    storage: Storage = storages[type(config)].with_config(config)  # type: ignore[attr-defined]  # each has it
    assert type(storage) is storages[type(config)]
    assert SECRET not in repr(storage)


@pytest.mark.parametrize("timeout", [5, 5.0, timedelta(seconds=5)], ids=repr)
@asynchronous
async def test_a_timeout_is_seconds_or_a_timedelta(timeout: Any, tmp_path: Path) -> None:
    async with DatabaseStorage(f"sqlite:{tmp_path}/a.db", connection_timeout=timeout) as storage:
        assert await storage.health_check() is True
    config = DatabaseConfig("sqlite::memory:", connection_timeout=timeout)
    assert config.connection_timeout == 5.0


@asynchronous
async def test_in_memory_config() -> None:
    config = InMemoryConfig()
    assert (config.max_keys, config.max_memory_bytes, config.eviction) == (100_000, 1_000_000_000, None)
    config = InMemoryConfig(max_keys=2, max_memory_bytes=10_000, eviction="lru")
    assert config == InMemoryConfig(max_keys=2, max_memory_bytes=10_000, eviction="lru")
    assert config != InMemoryConfig()
    assert "max_keys=2" in repr(config)
    storage = await InMemoryStorage.with_config(config)
    assert type(storage) is InMemoryStorage
    await storage.mset({"a": 1, "b": 2})
    await storage.set("c", 3)
    assert await storage.keys() == ["b", "c"]


@asynchronous
async def test_database_config(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/a.db"
    config = DatabaseConfig(connection_string=url)
    assert (config.connection_string, config.max_connections, config.connection_timeout) == (url, 4, 30.0)
    assert (config.enable_query_logging, config.table, config.synchronous) == (False, "rrag_storage", "full")
    config = DatabaseConfig(
        connection_string=url,
        max_connections=2,
        connection_timeout=1.5,
        enable_query_logging=False,
        table="mine",
        synchronous="normal",
    )
    assert config == DatabaseConfig(url, max_connections=2, connection_timeout=1.5, table="mine", synchronous="normal")
    assert config != DatabaseConfig(url)
    assert "table='mine'" in repr(config).replace('"', "'")
    storage = await DatabaseStorage.with_config(config)
    assert type(storage) is DatabaseStorage
    await storage.set("key", 1)
    await storage.close()
    lazy = DatabaseStorage.with_config(config)
    assert await lazy.get("key") == 1
    await lazy.close()


@asynchronous
async def test_layers_beside_a_config(tmp_path: Path) -> None:
    config = DatabaseConfig(f"sqlite:{tmp_path}/a.db", table="mine")
    key, clock = Key.generate(), ManualClock()
    async with DatabaseStorage.with_config(config, encryption_key=key, compression="zstd", clock=clock) as storage:
        await storage.set("key", "value" * 1000, ttl=5)
        clock.advance(4)
        assert await storage.get("key") == "value" * 1000
    async with DatabaseStorage.with_config(config, clock=clock) as storage:
        with pytest.raises(DecryptionError, match=key.fingerprint):
            await storage.get("key")
    small = InMemoryStorage.with_config(InMemoryConfig(max_memory_bytes=20_000), compression="lz4")
    await small.set("key", "value" * 10_000)
    with pytest.raises(rrag_storage.LimitExceededError):
        await InMemoryStorage.with_config(InMemoryConfig(max_memory_bytes=20_000)).set("key", "value" * 10_000)


CONFIGS = [
    (InMemoryStorage, InMemoryConfig(), "max_keys"),
    (DatabaseStorage, DatabaseConfig("sqlite::memory:"), "table"),
    (RedisStorage, RedisConfig("redis://localhost"), "key_prefix"),
    (ObjectStorage, ObjectConfig("s3://bucket"), "allow_http"),
]


@pytest.mark.parametrize(("kind", "config", "name"), CONFIGS, ids=lambda given: getattr(given, "__name__", ""))
def test_what_a_config_takes_beside_it(kind: Any, config: Any, name: str) -> None:
    assert type(kind.with_config(config, encryption_key=Key.generate(), hide_keys=True)) is kind
    with pytest.raises(ConfigurationError, match="hide_keys needs encryption_key"):
        kind.with_config(config, hide_keys=True)
    with pytest.raises(TypeError, match=f"{name} from the configuration"):
        kind.with_config(config, **{name: getattr(config, name)})
    with pytest.raises(TypeError, match=f"{kind.__name__}.*'color'"):
        kind.with_config(config, color="red")


@pytest.mark.parametrize("options", [{"max_keys": 0}, {"eviction": "lfu"}, {"max_memory_bytes": -1}], ids=str)
def test_an_in_memory_config_that_is_refused(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(ConfigurationError, match=name):
        InMemoryStorage.with_config(InMemoryConfig(**options))


@pytest.mark.parametrize(
    "options", [{"max_connections": 0}, {"connection_timeout": -1}, {"table": ";"}, {"synchronous": "off"}], ids=str
)
def test_a_database_config_that_is_refused(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(ConfigurationError, match=name):
        DatabaseStorage.with_config(DatabaseConfig("sqlite::memory:", **options))


def test_a_config_of_the_other_class() -> None:
    with pytest.raises(TypeError):
        InMemoryStorage.with_config(DatabaseConfig("sqlite::memory:"))
    with pytest.raises(TypeError):
        DatabaseStorage.with_config(InMemoryConfig())


def test_query_logging_shows_operations_and_no_values(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level("DEBUG"),
        DatabaseStorage(f"sqlite:{tmp_path}/a.db", enable_query_logging=True).sync as storage,
    ):
        storage.set("key", {"password": SECRET})
        storage.get("key")
    assert caplog.records
    assert SECRET not in caplog.text
    caplog.clear()
    with caplog.at_level("DEBUG"), DatabaseStorage(f"sqlite:{tmp_path}/a.db").sync as storage:
        storage.set("key", 1)
    assert not caplog.records


@asynchronous
async def test_a_manual_clock() -> None:
    clock = ManualClock()
    before = clock.now()
    assert before.utcoffset() == timedelta(0)
    clock.advance(1.5)
    clock.advance(timedelta(milliseconds=250))
    assert clock.now() - before == timedelta(seconds=1.75)
    for by in ("1", None, object()):
        with pytest.raises(TypeError):
            clock.advance(by)
    one, other = InMemoryStorage(clock=clock), InMemoryStorage(clock=clock)
    await one.set("key", 1, ttl=5)
    await other.set("key", 1, ttl=50)
    clock.advance(6)
    assert (await one.exists("key"), await other.exists("key")) == (False, True)


def test_the_version_is_the_distributions() -> None:
    assert isinstance(rrag_storage.__version__, str)
    assert rrag_storage.__version__[0].isdigit()
    assert set(rrag_storage.__all__) <= set(dir(rrag_storage))


def test_a_manual_clock_starts_when_it_is_told_to() -> None:
    for millis in range(0, 1_000, 7):
        start = datetime(2024, 2, 29, 12, 0, 0, millis * 1_000, tzinfo=timezone.utc)
        clock = ManualClock(start)
        assert clock.now() == start
        clock.advance(timedelta(days=3650, microseconds=1))
        assert clock.now() == start + timedelta(days=3650, microseconds=1)

"""Servers that take no writes, or none so large: reads go on, writes raise the server's words, and later it passes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from rrag_storage import ObjectStorage, Storage, StorageError, UnsupportedTypeError, connect
from rrag_storage.testing import asynchronous, eventually
from servers import PASSWORD, MariaDB, Postgres, Redis
from servers.process import USER, program

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

ENTRIES = {f"n::{number}": [number] for number in range(20)}


class Standby(Postgres):
    """A copy of another PostgreSQL server that follows it, and answers questions meanwhile."""

    def __init__(self, primary: Postgres) -> None:
        super().__init__(durable=False)
        self.primary = primary

    def prepare(self) -> None:
        address = f"host=127.0.0.1 port={self.primary.port} user={USER}"
        copy = [
            program("pg_basebackup", self.package),
            "-R",
            "-c",
            "fast",
            "--no-sync",
            "-D",
            str(self.folder / "data"),
        ]
        self.run(*copy, "-d", f"{address} password={PASSWORD}")


@pytest.fixture(scope="module")
def primary() -> Iterator[Postgres]:
    with Postgres(durable=False) as server:
        yield server


@pytest.fixture(scope="module")
def own_mariadb() -> Iterator[MariaDB]:
    with MariaDB(durable=False) as server:
        yield server


async def refused(operation: Awaitable[Any]) -> str:
    """What the server says of a write."""
    with pytest.raises(StorageError) as error:
        await operation
    assert PASSWORD not in str(error.value)
    return str(error.value)


async def add(tx: Any) -> None:
    await tx.increment("n::count")


WRITES: list[Callable[[Storage], Awaitable[Any]]] = [
    lambda storage: storage.set("n::0", "changed"),
    lambda storage: storage.set("n::new", 1),
    lambda storage: storage.mset({"n::0": "changed", "n::new": 1}),
    lambda storage: storage.increment("n::count"),
    lambda storage: storage.set_if_absent("n::new", 1),
    lambda storage: storage.delete("n::0"),
    lambda storage: storage.pop("n::0"),
    lambda storage: storage.expire("n::0", 60),
    lambda storage: storage.clear("n"),
    lambda storage: storage.transact(add),
]


async def assert_reads_only(storage: Storage, *words: str) -> None:
    """Fails where a read gives another answer than before, or a write any but a refusal in the server's words."""
    for write in WRITES:
        said = await refused(write(storage))
        assert any(word in said for word in words), said
        assert await storage.get("n::0") == [0]
    assert await storage.mget(list(ENTRIES)) == list(ENTRIES.values())
    assert await storage.keys() == sorted(ENTRIES)
    assert {key: value async for key, value in storage.items()} == ENTRIES
    assert await storage.count() == len(ENTRIES)
    assert await storage.namespaces() == ["n"]
    assert await storage.exists("n::new") is False
    assert (await storage.stats()).total_keys == len(ENTRIES)
    assert await storage.health_check() is True


@asynchronous
async def test_postgres_that_takes_no_writes_by_default(primary: Postgres) -> None:
    options = primary.options()
    async with connect(**options) as storage, connect(**options) as fresh:
        await storage.mset(ENTRIES)

        def switch(to: str, state: str) -> None:
            # A statement that is sent alone: ALTER SYSTEM has no place in a transaction.
            primary.query(f"ALTER SYSTEM {to}")
            primary.query("SELECT pg_reload_conf()")
            eventually(lambda: primary.query("SHOW default_transaction_read_only") == state, f"it is {state}")
            primary.cut()

        switch("SET default_transaction_read_only = on", "on")
        try:
            await assert_reads_only(storage, "read-only")
            await assert_reads_only(fresh, "read-only")
        finally:
            switch("RESET default_transaction_read_only", "off")
        await storage.set("n::0", "changed")
        assert await fresh.get("n::0") == "changed"


@asynchronous
async def test_a_standby_of_postgres(primary: Postgres) -> None:
    options = primary.options()
    async with connect(**options) as storage:
        await storage.mset(ENTRIES)
        with Standby(primary) as standby:
            async with connect(**{**options, "url": standby.url}) as follower:
                await assert_reads_only(follower, "read-only", "recovery")
                await storage.set("n::later", 1)
                lag = "SELECT pg_last_wal_replay_lsn() >= '{}'::pg_lsn"
                at = primary.query("SELECT pg_current_wal_lsn()")
                eventually(lambda: standby.query(lag.format(at)) == "t", "it has followed", deadline=60)
                assert await follower.get("n::later") == 1
                # It takes the place of the other: what is open goes on.
                primary.stop()
                try:
                    assert standby.query("SELECT pg_promote()") == "t"
                    await follower.set("n::later", 2)
                    assert await follower.increment("n::count") == 1
                    assert await follower.get("n::later") == 2
                finally:
                    primary.cont()


@asynchronous
async def test_mariadb_that_is_read_only(own_mariadb: MariaDB) -> None:
    options = own_mariadb.options()
    async with connect(**options) as storage:
        await storage.mset(ENTRIES)
        own_mariadb.query("SET GLOBAL read_only = 1")
        try:
            async with connect(**options) as fresh:
                await assert_reads_only(storage, "read-only")
                await assert_reads_only(fresh, "read-only")
        finally:
            own_mariadb.query("SET GLOBAL read_only = 0")
        await storage.set("n::0", "changed")
        assert await storage.get("n::0") == "changed"


@asynchronous
async def test_a_replica_of_redis() -> None:
    with Redis(durable=False) as master, Redis(durable=False) as replica:
        options = master.options()
        async with connect(**options) as storage:
            await storage.mset(ENTRIES)
            replica.ask("CONFIG", "SET", "masteruser", USER)
            replica.ask("CONFIG", "SET", "masterauth", PASSWORD)
            replica.ask("REPLICAOF", "127.0.0.1", master.port)
            linked = "master_link_status:up"
            eventually(lambda: linked in replica.ask("INFO", "replication"), "it follows", deadline=60)
            async with connect(**{**options, "url": replica.url}) as follower:
                await assert_reads_only(follower, "READONLY")
                replica.ask("REPLICAOF", "NO", "ONE")
                await follower.set("n::0", "changed")
                assert await follower.get("n::0") == "changed"


@asynchronous
async def test_a_value_larger_than_max_allowed_packet(own_mariadb: MariaDB, tmp_path: Path) -> None:
    own_mariadb.query("SET GLOBAL max_allowed_packet = 4194304")
    try:
        options = own_mariadb.options()
        async with connect(**options) as storage:
            await storage.mset(ENTRIES)
            large = b"x" * 5_000_000
            for too_large in ({"n::0": large}, {"n::new": large}, {"n::new": 1, "n::0": large}):
                said = await refused(storage.mset(too_large))
                assert "max_allowed_packet" in said
                assert "large_values" in said
            with pytest.raises(UnsupportedTypeError):
                await storage.set("n::0", [large, object()])
            assert await storage.mget([*ENTRIES, "n::new"]) == [*ENTRIES.values(), None]
            # Many that fit each are more than fits, all together.
            many = {f"many::{number}": bytes([number]) * 200_000 for number in range(50)}
            await storage.mset(many)
            assert await storage.mget(list(many)) == list(many.values())
            assert {key: value async for key, value in storage.items(namespace="many")} == many
        with_folder = {**options, "large_values": ObjectStorage(f"file://{tmp_path}/large")}
        async with connect(**with_folder) as storage:
            await storage.set("n::0", large)
            assert await storage.get("n::0") == large
    finally:
        own_mariadb.query("SET GLOBAL max_allowed_packet = 67108864")

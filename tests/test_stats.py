"""What a storage says of its own work: batches, queues, what expired and what was evicted."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from rrag_storage import InMemoryStorage, ManualClock, Storage, connect
from rrag_storage.testing import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVERS = ["postgres", "mariadb", "redis", "redis_cluster"]
BATCHING = ["sqlite", *SERVERS]


def open_storage(kind: str, request: pytest.FixtureRequest, clock: ManualClock) -> Storage:
    folder: Path = request.getfixturevalue("tmp_path")
    urls = {"memory": "memory://", "sqlite": f"sqlite:{folder / 'storage.db'}", "sqlite_memory": "sqlite::memory:"}
    urls["folder"] = (folder / "objects").as_uri()
    if kind in urls:
        return connect(urls[kind], clock=clock)
    options = request.getfixturevalue(kind).options()
    return connect(options.pop("url"), clock=clock, **options)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def storage(request: pytest.FixtureRequest, clock: ManualClock) -> Iterator[Storage]:
    opened = open_storage(request.param, request, clock)
    yield opened
    opened.sync.clear()
    opened.sync.close()


@pytest.mark.parametrize("storage", ["memory", "sqlite", "sqlite_memory", "folder", *SERVERS], indirect=True)
def test_what_expired_is_counted(storage: Storage, clock: ManualClock) -> None:
    async def main() -> None:
        for number in range(3):
            await storage.set(f"key-{number}", number, ttl=5)
        assert (await storage.stats()).extra["expiries"] == 0
        clock.advance(6)
        # Freed without a call, in the backend's own time.
        deadline = time.monotonic() + 60
        while (freed := (await storage.stats()).extra["expiries"]) < 3 and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        assert freed == 3

    run(main())


@pytest.mark.parametrize("storage", BATCHING, indirect=True)
def test_calls_that_went_out_together_are_counted(storage: Storage) -> None:
    async def main() -> None:
        await storage.set("first", 0)
        await asyncio.gather(*(storage.set(f"key-{number}", number) for number in range(100)))
        extra = (await storage.stats()).extra
        assert extra["queue_depth"] == 0
        assert 2 <= extra["batches"] < 100
        assert 1 < extra["batch_size_mean"] <= extra["batch_size_max"] <= 100

    run(main())


def test_evictions_are_counted() -> None:
    storage = InMemoryStorage(max_keys=10, eviction="lru").sync
    for number in range(13):
        storage.set(f"key-{number}", number)
    assert storage.stats().extra["evictions"] == 3


def test_views_count_for_the_whole() -> None:
    storage = InMemoryStorage().sync
    view = storage.namespace("users")
    view.set("ada", 1)
    view.get("ada")
    view.get("bob")
    for each in (storage, view):
        extra = each.stats().extra
        assert (extra["hits"], extra["misses"], extra["set.calls"]) == (1, 1, 1)


def test_calls_of_a_transaction_are_counted() -> None:
    storage = InMemoryStorage().sync
    with storage.transaction() as tx:
        tx.set("a", 1)
    with pytest.raises(ZeroDivisionError), storage.transaction() as tx:
        tx.set("a", 1 // 0)
    extra = storage.stats().extra
    assert (extra["commit.calls"], extra["rollback.calls"], extra["set.calls"]) == (1, 1, 1)

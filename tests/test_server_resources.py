"""Connections, threads and descriptors of storages on servers: as many after many uses as after a few."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest
from rrag_storage import Storage
from rrag_storage.testing import eventually, in_threads, run
from support import open_files, threads

if TYPE_CHECKING:
    from servers import Places

SOON = 20.0
"""Seconds within which a server has noticed that a connection is closed."""

SHARED = ["postgres", "mariadb", "redis", "redis_cluster", "s3"]


@pytest.fixture(params=SHARED)
def shared(request: pytest.FixtureRequest) -> Any:
    """A server that is shared with other tests."""
    return request.getfixturevalue(request.param)


async def use(storage: Storage) -> None:
    """Some calls at once."""
    await asyncio.gather(*(storage.set(f"key-{number}", number) for number in range(20)))
    assert await asyncio.gather(*(storage.get(f"key-{number}") for number in range(20))) == list(range(20))


def test_a_closed_storage_has_no_connection(shared: Places) -> None:
    gc.collect()
    eventually(lambda: shared.connections() == 0, "those of earlier tests are closed", deadline=SOON)

    async def main() -> None:
        async with shared.storage(max_connections=3) as storage:
            await use(storage)
            assert shared.connections() > 0

    for _ in range(3):
        run(main())
        eventually(lambda: shared.connections() == 0, "closed", deadline=SOON)


def test_a_storage_that_nobody_closes_has_no_connection(shared: Places) -> None:
    def leave() -> None:
        storage = shared.storage()
        storage.sync.set("key", 1)
        assert shared.connections() > 0

    for _ in range(3):
        leave()
        gc.collect()
        eventually(lambda: shared.connections() == 0, "closed", deadline=SOON)


def test_no_more_connections_than_allowed(shared: Places) -> None:
    with shared.storage(max_connections=2).sync as storage:
        in_threads(8, lambda thread: [storage.set(f"{thread}::{number}", number) for number in range(20)])
        in_threads(8, lambda thread: [storage.get(f"{thread}::{number}") for number in range(20)])
        nodes = len(getattr(shared, "nodes", [shared]))
        assert 0 < shared.connections() <= 2 * nodes


def test_threads_and_descriptors_come_and_go(shared: Places) -> None:
    async def main() -> None:
        async with shared.storage() as storage:
            await use(storage)

    for _ in range(3):
        run(main())
    gc.collect()
    files, many = open_files(), threads()
    for _ in range(20):
        run(main())
    gc.collect()
    eventually(lambda: open_files() <= files, "the descriptors are let go of", deadline=SOON)
    eventually(lambda: threads() <= many, "the threads are let go of", deadline=SOON)

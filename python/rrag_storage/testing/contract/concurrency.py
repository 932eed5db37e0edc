"""One storage, many threads, each with a loop of its own."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from rrag_storage import Storage, StorageClosedError
from rrag_storage.testing.capabilities import requires
from rrag_storage.testing.loops import in_threads, run

from .base import Contract

if TYPE_CHECKING:
    from collections.abc import Callable


class Concurrency(Contract):
    """Threads and loops at once, on every operation."""

    @requires("listings")
    def test_ten_threads_with_a_loop_each(self, storage: Storage) -> None:
        def work(thread: int) -> None:
            async def main() -> None:
                view = storage.namespace(f"thread-{thread}")
                for number in range(10):
                    await asyncio.gather(*(view.set(f"{number}-{each}", [thread, each]) for each in range(10)))
                    await storage.increment("count")
                    values = await asyncio.gather(*(view.get(f"{number}-{each}") for each in range(10)))
                    assert values == [[thread, each] for each in range(10)]
                assert await view.count() == 100

            run(main())

        in_threads(10, work)
        assert storage.sync.get("count") == 100
        assert storage.sync.count() == 1_001

    def test_ten_threads_with_loops_that_come_and_go(self, storage: Storage) -> None:
        def work(thread: int) -> None:
            for number in range(10):
                run(storage.set(f"{thread}::{number}", number))
                assert run(storage.get(f"{thread}::{number}")) == number

        in_threads(10, work)
        assert storage.sync.count() == 100

    @requires("listings")
    def test_every_operation_in_many_threads(self, storage: Storage) -> None:
        seed = 20_240_229
        keys = [f"n{number % 3}::key-{number}" for number in range(12)]

        def work(thread: int) -> None:
            rng = random.Random(seed + thread)
            sync = storage.sync

            def read(key: str) -> None:
                assert sync.get(key, [key])[0] == key

            def read_many(key: str) -> None:
                assert [value[0] for value in sync.mget([key, key], [key])] == [key, key]

            def walk(_: str) -> None:
                assert all(value[0] == key for key, value in sync.items(prefix="n"))

            calls: list[Callable[[str], object]] = [
                read,
                read_many,
                walk,
                lambda key: sync.set(key, [key, thread]),
                lambda key: sync.mset({key: [key, 1], f"{key[:2]}::shared": [f"{key[:2]}::shared"]}),
                lambda key: sync.pop(key),
                lambda key: sync.delete(key),
                lambda key: sync.set_if_absent(key, [key], ttl=1_000),
                lambda _: sync.increment("count"),
                lambda key: sync.expire(key, 1_000),
                lambda key: sync.keys(namespace=key[:2]),
                lambda _: sync.count(),
                lambda _: sync.stats(),
                lambda _: sync.clear("n2"),
            ]
            for _ in range(150):
                rng.choice(calls)(rng.choice(keys))

        in_threads(6, work)
        assert sorted(storage.sync.keys()) == storage.sync.keys()
        assert storage.sync.count() == len(storage.sync.keys())

    def test_many_threads_open_one_storage(self, make_storage: Callable[[], Storage]) -> None:
        for _ in range(5):
            storage = make_storage()
            in_threads(8, lambda thread, storage=storage: storage.sync.set(f"key-{thread}", thread))
            assert storage.sync.count() == 8
            storage.sync.close()

    def test_close_while_others_call(self, make_storage: Callable[[], Storage]) -> None:
        for _ in range(5):
            storage = make_storage()
            storage.sync.set("key", 0)

            def work(thread: int, storage: Storage = storage) -> int:
                done = 0
                try:
                    for number in range(2_000):
                        if thread == 0 and number == 20:
                            storage.sync.close()
                        storage.sync.set(f"{thread}::{number}", number)
                        assert storage.sync.get(f"{thread}::{number}") == number
                        done += 1
                except StorageClosedError:
                    return done
                return done

            assert min(in_threads(4, work)[:1]) == 20
            assert storage.closed is True

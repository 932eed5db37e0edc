"""Cancelled at any await: at once, the write whole or not at all, and the next call gets its own answer."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import pytest

from rrag_storage import Storage
from rrag_storage.testing import operations
from rrag_storage.testing.capabilities import requires
from rrag_storage.testing.loops import asynchronous, cancelled_at, run

from .base import Contract

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

PAIR = ["pair::left", "pair::right"]


async def assert_whole(storage: Storage, number: int, pair: list[str]) -> None:
    """Fails where half a write of `pair` is there, or where a call gets the answer of another."""
    assert len({repr(value) for value in await storage.mget(pair)}) == 1
    key = f"probe::{number}"
    answers = await asyncio.gather(
        storage.set(key, number),
        *(storage.get(f"none::{each}", each) for each in range(20)),
        storage.mget(pair, number),
    )
    assert answers[0] is None
    assert answers[1:21] == list(range(20))
    assert len({repr(value) for value in answers[21]}) == 1
    assert await storage.get(key) == number
    assert await storage.pop(key) == number


class Cancellation(Contract):
    """`Task.cancel`, `wait_for` and loops that end with operations under way."""

    @property
    def pair(self) -> list[str]:
        """The keys that one write writes as a whole."""
        return PAIR if self.capabilities.atomic_mset else PAIR[:1]

    @requires("listings")
    @asynchronous
    async def test_cancelled_before_it_started(self, storage: Storage) -> None:
        for name, operation in operations.ALL.items():
            await storage.set("key", 1)
            before = [entry async for entry in storage.entries()]
            task = asyncio.ensure_future(operation(storage))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert [entry async for entry in storage.entries()] == before, name

    @requires("listings")
    @asynchronous
    async def test_cancelled_at_every_await(self, storage: Storage) -> None:
        async def transfer(tx: Any) -> None:
            left, right = await tx.mget(PAIR)
            await tx.set(PAIR[0], left + 1)
            await tx.set(PAIR[1], right + 1)

        async def scenario(number: int) -> None:
            await storage.mset(dict.fromkeys(PAIR, number))
            await asyncio.sleep(0)
            await storage.set("single", [number])
            assert await storage.get("single") == [number]
            if self.capabilities.transactions:
                await storage.transact(transfer)
                async with storage.transaction() as tx:
                    await tx.increment(PAIR[0])
                    await asyncio.sleep(0)
                    await tx.increment(PAIR[1])
            await storage.increment("count")
            await asyncio.sleep(0)
            assert [key async for key, _ in storage.items(namespace="pair")] == PAIR
            assert await storage.pop("single") == [number]
            await storage.mdelete(["single", "other"])

        for number in itertools.count(1):
            whole = not await cancelled_at(scenario(number), number)
            await assert_whole(storage, number, self.pair)
            if whole:
                break
            assert number < 500
        assert number > 2

    @asynchronous
    async def test_cancelled_after_a_few_turns_of_the_loop(self, storage: Storage) -> None:
        for number in range(30):
            tasks = [
                asyncio.create_task(storage.mset(dict.fromkeys(self.pair, (number, each))))
                for each in range(number % 7 + 1)
            ]
            for _ in range(number % 5):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                assert outcome is None or isinstance(outcome, asyncio.CancelledError)
            await assert_whole(storage, number, self.pair)

    @asynchronous
    async def test_some_of_many_cancelled(self, storage: Storage) -> None:
        tasks = [asyncio.create_task(storage.set(f"key::{number}", number)) for number in range(300)]
        await asyncio.sleep(0)
        for task in tasks[::3]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for number, outcome in enumerate(outcomes):
            if outcome is None:
                assert await storage.get(f"key::{number}") == number
            else:
                assert isinstance(outcome, asyncio.CancelledError)
                assert number % 3 == 0
                assert await storage.get(f"key::{number}") in (None, number)
        await assert_whole(storage, 0, self.pair)

    @pytest.mark.parametrize("timeout", [0, 1e-6, 1e-4, 1e-3])
    @asynchronous
    async def test_wait_for_that_times_out(self, storage: Storage, timeout: float) -> None:
        for number in range(20):
            try:
                await asyncio.wait_for(storage.mset(dict.fromkeys(self.pair, number)), timeout)
            except asyncio.TimeoutError:
                pass
            else:
                assert await storage.mget(self.pair) == [number] * len(self.pair)
            await assert_whole(storage, number, self.pair)

    @asynchronous
    async def test_a_shielded_write_goes_on(self, storage: Storage) -> None:
        write = asyncio.create_task(storage.mset(dict.fromkeys(PAIR, 7)))
        waiting = asyncio.ensure_future(asyncio.shield(write))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await write
        assert await storage.mget(PAIR) == [7, 7]

    @requires("listings")
    @asynchronous
    async def test_a_cancelled_iteration(self, storage: Storage) -> None:
        await storage.mset({f"key-{number:04}": number for number in range(3_000)})

        async def walk() -> None:
            async for _ in storage.items():
                await asyncio.sleep(0)

        for turns in (0, 1, 5, 50):
            task = asyncio.create_task(walk())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await storage.count() == 3_000

    def test_a_loop_that_ends_with_operations_under_way(
        self, storage: Storage, capfd: pytest.CaptureFixture[str]
    ) -> None:
        left = []

        async def leave() -> None:
            for number in range(100):
                left.append(asyncio.create_task(storage.mset(dict.fromkeys(PAIR, number))))
            await asyncio.sleep(0)

        for number in range(5):
            asyncio.run(leave())
            run(assert_whole(storage, number, self.pair))
        assert capfd.readouterr().err == ""

    def test_a_loop_that_is_closed_under_an_operation(
        self, storage: Storage, capfd: pytest.CaptureFixture[str]
    ) -> None:
        storage.sync.set("key", 0)
        for number in range(5):
            loop = asyncio.new_event_loop()
            tasks = [loop.create_task(_run(lambda: storage.increment("key"))) for _ in range(20)]
            loop.call_soon(loop.stop)
            loop.run_forever()
            loop.close()
            for task in tasks:
                # asyncio's own complaint about a task that was left behind is not what is tested.
                task._log_destroy_pending = False  # type: ignore[attr-defined]
            del tasks, task
            run(assert_whole(storage, number, self.pair))
        assert 0 <= storage.sync.get("key") <= 100
        assert capfd.readouterr().err == ""


async def _run(call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return await call()

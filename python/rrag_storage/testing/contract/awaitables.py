"""What a call returns: one awaitable, which asyncio takes wherever it takes a coroutine."""

from __future__ import annotations

import asyncio
import gc
import inspect
import sys
import warnings
from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any

import pytest

from rrag_storage import InvalidKeyError, Storage, UnsupportedTypeError
from rrag_storage.testing import operations
from rrag_storage.testing.capabilities import requires
from rrag_storage.testing.loops import asynchronous, every_case, run

from .base import Contract

if TYPE_CHECKING:
    from collections.abc import Callable


async def every_way(storage: Storage) -> None:
    """Uses the awaitable in all the ways asyncio has."""
    await storage.set("key", 0)
    assert await asyncio.create_task(storage.get("key")) == 0
    assert await asyncio.create_task(storage.get("key"), name="named") == 0
    assert await asyncio.ensure_future(storage.get("key")) == 0
    assert await asyncio.wait_for(storage.get("key"), 30) == 0
    assert await asyncio.wait_for(storage.get("key"), None) == 0
    assert await asyncio.shield(storage.get("key")) == 0
    assert await asyncio.gather(storage.get("key"), storage.get("none", 1), storage.exists("none")) == [0, 1, False]
    done, pending = await asyncio.wait([asyncio.create_task(storage.get("key"))], timeout=30)
    assert [task.result() for task in done] == [0]
    assert not pending
    for future in asyncio.as_completed([storage.get("key"), storage.get("key")]):
        assert await future == 0
    results = await asyncio.gather(*(storage.set(f"many-{number:03}", number) for number in range(200)))
    assert results == [None] * 200
    results = await asyncio.gather(*(storage.get(f"many-{number:03}") for number in range(200)))
    assert results == list(range(200))


def since(*version: int) -> Callable[[Any], Any]:
    """Leaves a test out where this Python is older: there is nothing that could be tested."""
    return lambda test: test if sys.version_info >= version else None


def dropped(call: Callable[..., Any], *arguments: Any) -> None:
    """Makes an awaitable that nobody awaits."""
    call(*arguments)


class Awaitables(Contract):
    """The protocol, the ways to await, and what is done where nobody does."""

    @requires("listings")
    def test_every_call_returns_a_coroutine(self, storage: Storage) -> None:
        with every_case() as case:
            for name, operation in operations.ALL.items():
                with case(name):
                    awaitable = operation(storage)
                    assert isinstance(awaitable, Awaitable)
                    assert isinstance(awaitable, Coroutine)
                    assert inspect.isawaitable(awaitable)
                    assert asyncio.iscoroutine(awaitable)
                    assert not asyncio.isfuture(awaitable)
                    run(awaitable)

    @requires("listings")
    @asynchronous
    async def test_every_call_can_be_a_task(self, storage: Storage) -> None:
        with every_case() as case:
            for name, operation in operations.ALL.items():
                with case(name):
                    await storage.set("key", 1)
                    awaited = await operation(storage)
                    await storage.clear()
                    await storage.set("key", 1)
                    assert type(await asyncio.create_task(operation(storage))) is type(awaited)

    @pytest.mark.parametrize("debug", [False, True])
    def test_every_way_to_await(self, storage: Storage, debug: bool) -> None:
        run(every_way(storage), debug=debug)

    def test_an_operation_runs_by_itself(self, storage: Storage) -> None:
        assert asyncio.run(storage.set("key", 1)) is None
        loop = asyncio.new_event_loop()
        try:
            assert loop.run_until_complete(storage.get("key")) == 1
        finally:
            loop.close()

    @since(3, 11)
    @asynchronous
    async def test_task_group(self, storage: Storage) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(storage.set(f"key-{number:02}", number))
        async with asyncio.TaskGroup() as group:
            reads = [group.create_task(storage.get(f"key-{number:02}")) for number in range(20)]
        assert [read.result() for read in reads] == list(range(20))
        with pytest.raises(ExceptionGroup) as failed:  # noqa: F821  # Python 3.11 has it
            async with asyncio.TaskGroup() as group:
                group.create_task(storage.get(""))
        assert isinstance(failed.value.exceptions[0], InvalidKeyError)
        async with asyncio.timeout(30):
            assert await storage.get("key-03") == 3

    @since(3, 12)
    def test_eager_tasks(self, storage: Storage) -> None:
        async def main() -> None:
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
            await every_way(storage)

        run(main())

    def test_uvloop(self, storage: Storage) -> None:
        uvloop = pytest.importorskip("uvloop")
        loop = uvloop.new_event_loop()
        try:
            for _ in range(2):
                loop.run_until_complete(asyncio.wait_for(every_way(storage), 60))
        finally:
            loop.close()
        assert run(storage.get("many-007")) == 7

    def test_a_loop_that_watches_no_file_descriptors(self, storage: Storage) -> None:
        class Blind(asyncio.SelectorEventLoop):
            def add_reader(self, *_: Any) -> None:
                raise NotImplementedError

            def remove_reader(self, *_: Any) -> bool:
                raise NotImplementedError

        loop = Blind()
        try:
            loop.run_until_complete(asyncio.wait_for(every_way(storage), 60))
        finally:
            loop.close()

    @requires("listings")
    @asynchronous
    async def test_gather_collects_the_errors_of_arguments(self, storage: Storage) -> None:
        outcomes = await asyncio.gather(
            storage.set("a", 1),
            storage.set("", 1),
            storage.set("b", object()),
            storage.set("c", 1, ttl=-1),
            storage.get(None),
            storage.increment("d", 1.5),
            storage.keys(limit=-1),
            storage.get("a"),
            return_exceptions=True,
        )
        kinds = [type(outcome) for outcome in outcomes]
        assert kinds[1:3] == [InvalidKeyError, UnsupportedTypeError]
        assert isinstance(outcomes[3], ValueError)
        assert isinstance(outcomes[4], TypeError)
        assert isinstance(outcomes[5], TypeError)
        assert isinstance(outcomes[6], ValueError)
        assert outcomes[0] is None
        assert await storage.keys() == ["a"]

    @asynchronous
    async def test_each_of_ten_thousand_gets_its_own_answer(self, storage: Storage) -> None:
        await asyncio.gather(*(storage.set(f"key-{number}", number) for number in range(10_000)))
        results = await asyncio.gather(*(storage.get(f"key-{number}") for number in range(10_000)))
        assert results == list(range(10_000))

    @asynchronous
    async def test_awaited_twice(self, storage: Storage) -> None:
        for operation in (storage.set("key", 1), storage.get("key"), storage.increment("key")):
            await operation
            with pytest.raises(RuntimeError):
                await operation
        assert await storage.get("key") == 2

    @asynchronous
    async def test_awaited_in_two_tasks(self, storage: Storage) -> None:
        operation = storage.increment("key")

        async def use() -> Any:
            return await operation

        outcomes = await asyncio.gather(use(), use(), return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["RuntimeError", "int"]
        assert await storage.get("key") == 1

    @asynchronous
    async def test_an_operation_that_failed_is_not_awaited_again(self, storage: Storage) -> None:
        operation = storage.get("")
        with pytest.raises(InvalidKeyError):
            await operation
        with pytest.raises(RuntimeError):
            await operation

    @requires("listings")
    def test_never_awaited(self, storage: Storage) -> None:
        storage.sync.set("key", 1)
        before = list(storage.sync.entries())
        with every_case() as case:
            for name, operation in operations.ALL.items():
                with case(name):
                    with pytest.warns(RuntimeWarning, match=rf"coroutine '\w+\.{name}' was never awaited"):
                        dropped(operation, storage)
                    assert list(storage.sync.entries()) == before

    def test_never_awaited_with_a_bad_argument(self, storage: Storage) -> None:
        with pytest.warns(RuntimeWarning, match=r"coroutine '\w+\.set' was never awaited"):
            dropped(storage.set, "", object())

    @asynchronous
    async def test_closed_before_it_was_awaited(self, storage: Storage) -> None:
        operation = storage.set("key", 1)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            operation.close()
            with pytest.raises(RuntimeError):
                await operation
            del operation
            gc.collect()
        assert await storage.exists("key") is False

    @asynchronous
    async def test_thrown_into_before_it_was_awaited(self, storage: Storage) -> None:
        operation = storage.set("key", 1)
        with pytest.raises(ZeroDivisionError):
            operation.throw(ZeroDivisionError())
        with pytest.raises(RuntimeError):
            await operation
        assert await storage.exists("key") is False

    @asynchronous
    async def test_exceptions_have_a_traceback_to_the_await(self, storage: Storage) -> None:
        with pytest.raises(InvalidKeyError) as refused:
            await storage.set("", 1)
        assert refused.traceback[-1].name == "test_exceptions_have_a_traceback_to_the_await"

    def test_a_new_loop_for_each_use(self, storage: Storage) -> None:
        for number in range(30):

            async def use(number: int = number) -> None:
                assert await storage.increment("count") == number + 1
                await asyncio.gather(*(storage.set(f"key-{number}-{each}", each) for each in range(5)))

            run(use())
        assert storage.sync.count() == 151

    def test_loops_side_by_side(self, storage: Storage) -> None:
        loops = [asyncio.new_event_loop() for _ in range(5)]
        try:
            for number in range(50):
                assert loops[number % 5].run_until_complete(storage.increment("count")) == number + 1
        finally:
            for loop in loops:
                loop.close()
        assert run(storage.get("count")) == 50

"""Running coroutines, threads and conditions in plain pytest tests, each with a deadline against hangs."""

from __future__ import annotations

import asyncio
import functools
import itertools
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
    from contextlib import AbstractContextManager

    Result = TypeVar("Result")

DEADLINE = 200.0
"""Seconds after which a test has hung. Nothing that works comes near it."""


def run(coroutine: Awaitable[Result], *, debug: bool | None = None) -> Result:
    """Runs `coroutine` in a new event loop and closes the loop."""

    async def bounded() -> Result:
        return await asyncio.wait_for(coroutine, DEADLINE)

    return asyncio.run(bounded(), debug=debug)


def asynchronous(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Makes an `async def` test one that pytest runs by itself: in an event loop of its own."""

    @functools.wraps(test)
    def run_test(*args: Any, **kwargs: Any) -> None:
        run(test(*args, **kwargs))

    return run_test


def eventually(condition: Callable[[], Result], what: str, *, deadline: float = DEADLINE) -> Result:
    """Waits until `condition()` is true and returns what it gave; fails after `deadline` seconds."""
    end = time.monotonic() + deadline
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:g} s: {what}")
        time.sleep(0.01)


def in_threads(count: int, work: Callable[[int], Result]) -> list[Result]:
    """Runs `work(number)` in `count` threads that start together; what they returned, or the first exception."""
    barrier = threading.Barrier(count)
    results: dict[int, Result] = {}
    failures: list[BaseException] = []

    def body(number: int) -> None:
        try:
            barrier.wait(DEADLINE)
            results[number] = work(number)
        except BaseException as error:  # noqa: BLE001  # raised again in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=body, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + DEADLINE
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    if failures:
        raise failures[0]
    hung = sum(thread.is_alive() for thread in threads)
    assert not hung, f"{hung} of {count} threads hang"
    return [results[number] for number in range(count)]


@contextmanager
def every_case() -> Iterator[Callable[[object], AbstractContextManager[None]]]:
    """Checks many cases in one test, on one storage, and names all that failed:

    ::

        with every_case() as case:
            for name, value in table:
                with case(name):
                    assert ...
    """
    failures: dict[object, BaseException] = {}

    @contextmanager
    def case(name: object) -> Iterator[None]:
        try:
            yield
        except (Exception, pytest.fail.Exception) as failure:  # noqa: BLE001  # told below
            failures[name] = failure

    yield case
    if failures:
        told = [f"{name}: {type(failure).__name__}: {failure}"[:500] for name, failure in failures.items()]
        raise AssertionError("\n".join([f"{len(failures)} cases fail", *told])) from next(iter(failures.values()))


async def cancelled_at(coroutine: Coroutine[Any, Any, Any], await_number: int) -> bool:
    """Runs `coroutine` in a task that is cancelled when it suspends for the `await_number`-th time (from 1).

    Returns whether it was: False says that it has fewer awaits, and ran to its end.
    """
    task = asyncio.ensure_future(_cancelling(coroutine, await_number))
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False


async def _cancelling(coroutine: Coroutine[Any, Any, Any], await_number: int) -> Any:
    return await _CancelsItself(coroutine, await_number)


class _CancelsItself:
    def __init__(self, coroutine: Coroutine[Any, Any, Any], await_number: int) -> None:
        self._coroutine = coroutine
        self._await_number = await_number

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self._coroutine.__await__()
        error: BaseException | None = None
        for number in itertools.count(1):
            try:
                waited_for = next(steps) if error is None else steps.throw(error)
            except StopIteration as stop:
                return stop.value
            if number == self._await_number:
                task = asyncio.current_task()
                assert task is not None
                # A task that cancels itself before it suspends is cancelled at exactly this suspension.
                task.cancel()
            error = None
            try:
                yield waited_for
            except BaseException as thrown:  # noqa: BLE001  # handed on to the coroutine
                error = thrown
        return None

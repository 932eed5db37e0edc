"""What no program should do to asyncio, done to every backend; what the contract's suite and test_processes.py leave out.

There are cancellation by tasks, awaitables that nobody awaits, forks, and processes that end; here are exceptions thrown
in by hand at every suspension, storms of timeouts, loops closed under operations by many threads, fifty threads with loops
that come and go, Ctrl-C in blocking calls, and an interpreter that ends with ten thousand operations under way.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import itertools
import json
import os
import random
import signal
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from rrag_storage import Storage, connect
from rrag_storage.testing import asynchronous, eventually, in_threads, operations, run
from support import finish, run_script, start

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator

SERVERS = ["postgres", "mariadb", "redis", "redis_cluster", "s3"]
KINDS = ["memory", "sqlite", "folder", *SERVERS]
ONE_KEY = {"folder", "s3"}
"""Backends that write key by key."""

PAIR = ["pair::left", "pair::right"]


@pytest.fixture
def arguments(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> dict[str, Any]:
    """The arguments of `connect` for a new storage."""
    local = {"memory": "memory://", "sqlite": f"sqlite:{tmp_path}/memory.db", "folder": f"file://{tmp_path}/objects"}
    return {"url": local[kind]} if kind in local else request.getfixturevalue(kind).options()


@pytest.fixture
def storage(arguments: dict[str, Any]) -> Iterator[Storage]:
    storage = connect(**arguments)
    yield storage
    storage.sync.close()


async def assert_whole(storage: Storage) -> None:
    """Fails where half a write of the pair is there, or where a call gets the answer of another."""
    assert len(set(await storage.mget(PAIR))) == 1
    answers = await asyncio.gather(storage.set("probe", 7), *(storage.get(f"none::{n}", n) for n in range(10)))
    assert answers == [None, *range(10)]
    assert await storage.pop("probe") == 7


# Thrown in at every suspension.


class Interrupted:
    """Drives a coroutine by hand: at its `number`-th suspension it is not waited for, but `act` is done to it."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], number: int, act: Callable[[Any], Any]) -> None:
        self.coroutine = coroutine
        self.number = number
        self.act = act
        self.happened = False

    def __await__(self) -> Generator[Any, Any, Any]:
        step: Callable[[], Any] = lambda: self.coroutine.send(None)  # noqa: E731  # replaced once
        for number in itertools.count(1):
            try:
                waited_for = step()
            except StopIteration as stop:
                return stop.value
            step = lambda: self.coroutine.send(None)  # noqa: E731
            if number == self.number:
                self.happened = True
                step = lambda: self.act(self.coroutine)  # noqa: E731
                continue
            yield waited_for
        return None


class Thrown(Exception):  # noqa: N818  # it is no error
    """What is thrown in."""


def throw(error: BaseException) -> Callable[[Any], Any]:
    """Throws `error` into a coroutine."""
    return lambda coroutine: coroutine.throw(error)


def close(coroutine: Any) -> Any:
    """Closes a coroutine, which is then over."""
    coroutine.close()
    raise StopIteration


ACTS: dict[str, Callable[[], Callable[[Any], Any]]] = {
    "cancelled": lambda: throw(asyncio.CancelledError()),
    "thrown": lambda: throw(Thrown()),
    "closed": lambda: close,
}


async def interrupted(make: Callable[[], Coroutine[Any, Any, Any]], act: str) -> AsyncIterator[int]:
    """Runs what `make` makes, interrupted at its first suspension, at its second, until it has none more."""
    for number in itertools.count(1):
        driven = Interrupted(make(), number, ACTS[act]())
        try:
            await driven
        except (Thrown, asyncio.CancelledError):
            assert driven.happened
        if not driven.happened:
            return
        yield number
        assert number < 500, "it never ends"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("act", ACTS)
@asynchronous
async def test_at_every_suspension_of_every_operation(storage: Storage, act: str) -> None:
    await storage.set("key", 1)
    made: list[Any] = []

    def make(operation: Callable[[Storage], Any]) -> Any:
        made.append(operation(storage))
        return made[-1]

    suspended: set[str] = set()
    deadline = time.monotonic() + 60
    # On a busy machine an answer may be there before the call is suspended: until most have been, once.
    wanted = 0 if type(storage).__name__ == "InMemoryStorage" else 11
    while True:
        for name, operation in operations.ALL.items():
            async for _ in interrupted(functools.partial(make, operation), act):
                suspended.add(name)
                # Like a coroutine, what was interrupted is over.
                with pytest.raises(RuntimeError):
                    await made[-1]
            await assert_whole(storage)
        if len(suspended) >= wanted:
            break
        assert time.monotonic() < deadline, suspended


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("act", ACTS)
@asynchronous
async def test_at_every_suspension_of_a_write_of_two(kind: str, storage: Storage, act: str) -> None:
    keys = PAIR[:1] if kind in ONE_KEY else PAIR

    async def scenario(number: int) -> None:
        await storage.mset(dict.fromkeys(keys, number))
        await asyncio.sleep(0)
        if kind in ONE_KEY:
            return
        async with storage.transaction() as tx:
            left, right = await tx.mget(PAIR, 0)
            await tx.set(PAIR[0], left + 1_000)
            await asyncio.sleep(0)
            await tx.set(PAIR[1], right + 1_000)
        await storage.transact(lambda tx: tx.mset(dict.fromkeys(PAIR, number)))

    numbers = itertools.count(1)
    suspended = 0
    async for _ in interrupted(lambda: scenario(next(numbers)), act):
        suspended += 1
        if kind not in ONE_KEY:
            await assert_whole(storage)
    assert suspended > 0  # at the sleep, if nowhere else
    assert await storage.mget(keys) == [next(numbers) - 1] * len(keys)


@pytest.mark.parametrize("kind", KINDS)
@asynchronous
async def test_at_every_suspension_of_the_opening(arguments: dict[str, Any]) -> None:
    for number in itertools.count(1):
        storage = connect(**arguments)
        driven = Interrupted(storage.increment("count"), number, ACTS["cancelled"]())
        try:
            await driven
        except asyncio.CancelledError:
            assert await storage.get("count", 0) in range(number + 1)
            await storage.set("key", number)
            assert await storage.get("key") == number
        await storage.close()
        if not driven.happened:
            break
        assert number < 500


# Storms.


@pytest.mark.parametrize("kind", KINDS)
@asynchronous
async def test_a_storm_of_timeouts(storage: Storage) -> None:
    rng = random.Random(20_240_229)
    for number in range(10):
        await storage.set(f"key::{number}", number)

    def call() -> tuple[Any, Any]:
        number = rng.randrange(10)
        key = f"key::{number}"
        calls: list[tuple[Any, Callable[[], Any]]] = [
            (number, lambda: storage.get(key)),
            (None, lambda: storage.set(key, number)),
            ([number, None], lambda: storage.mget([key, "none"])),
            (True, lambda: storage.exists(key)),
            (False, lambda: storage.set_if_absent(key, "no")),
        ]
        wanted, make = rng.choice(calls)
        return wanted, make()

    async def impatient(depth: int) -> tuple[Any, Any]:
        wanted, operation = call()
        # Tasks: `wait_for` with no time at all does not even start a coroutine that it is given.
        waiting: Any = asyncio.ensure_future(operation)
        started.append(waiting)
        for _ in range(depth):
            waiting = asyncio.ensure_future(asyncio.wait_for(waiting, rng.choice([0, 1e-6, 1e-5, 1e-4, 1e-3, 30, 30])))
        if rng.random() < 0.2:
            waiting = asyncio.shield(waiting)
        return wanted, await waiting

    late = 0
    started: list[asyncio.Future[Any]] = []
    for _ in range(4):
        storm = [impatient(rng.randrange(1, 4)) for _ in range(150)]
        for outcome in await asyncio.gather(*storm, return_exceptions=True):
            if isinstance(outcome, asyncio.TimeoutError):
                late += 1
            else:
                assert not isinstance(outcome, BaseException), outcome
                assert outcome[0] == outcome[1]
    assert late > 0
    await asyncio.wait(started)
    assert await storage.mget([f"key::{number}" for number in range(10)]) == list(range(10))
    await assert_whole(storage)


@pytest.mark.parametrize("kind", KINDS)
def test_loops_closed_under_operations_by_many_threads(storage: Storage, capfd: pytest.CaptureFixture[str]) -> None:
    storage.sync.mset(dict.fromkeys(PAIR[:1], 0))

    loops = 2 if type(storage).__name__ == "ObjectStorage" else 6

    def leave(thread: int) -> None:
        rng = random.Random(thread)
        for number in range(loops):
            loop = uvloop.new_event_loop() if number % 2 else asyncio.new_event_loop()
            calls: list[Any] = []
            for each in range(20):
                calls += [storage.get("key"), storage.set(f"{thread}::{each}", each), storage.increment("count")]
            tasks = [loop.create_task(call) for call in calls]
            for _ in range(rng.randrange(1, 4)):
                loop.call_soon(loop.stop)
                loop.run_forever()
            loop.close()
            for task in tasks:
                # asyncio's own complaint about a task that was left behind is not what is tested.
                task._log_destroy_pending = False  # type: ignore[attr-defined]
            done = [task for task in tasks if task.done()]
            assert [task.exception() for task in done] == [None] * len(done)
            del tasks, calls

    in_threads(8, leave)
    gc.collect()
    run(storage.set("after", 1))
    assert run(storage.get("after")) == 1
    assert 0 <= storage.sync.get("count", 0) <= 8 * loops * 20
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", KINDS)
def test_fifty_threads_with_loops_that_come_and_go(storage: Storage) -> None:
    rounds = 2 if type(storage).__name__ == "ObjectStorage" else 4

    def work(thread: int) -> None:
        async def main(number: int) -> None:
            view = storage.namespace(f"thread-{thread}")
            await asyncio.gather(*(view.set(f"{number}-{each}", [thread, each]) for each in range(4)))
            found = await asyncio.gather(*(view.get(f"{number}-{each}") for each in range(4)))
            assert found == [[thread, each] for each in range(4)]
            # One that is cancelled, in between.
            left = asyncio.ensure_future(view.set("left", number))
            await asyncio.sleep(0)
            left.cancel()
            await asyncio.gather(left, return_exceptions=True)

        for number in range(rounds):
            if number % 2:
                loop = uvloop.new_event_loop()
                try:
                    loop.run_until_complete(main(number))
                finally:
                    loop.close()
            else:
                run(main(number))
            assert storage.sync.get(f"thread-{thread}::{number}-0") == [thread, 0]

    in_threads(50, work)
    keys = storage.sync.keys(pattern="*[0-9]-[0-9]")
    assert len(keys) == 50 * rounds * 4


# Ctrl-C.


@pytest.mark.parametrize("kind", SERVERS)
def test_a_blocking_call_is_interrupted(kind: str, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue(kind)
    main = threading.get_ident()

    def interrupt() -> None:
        eventually(lambda: "sync.py" in _files(main), "the call blocks")
        os.kill(os.getpid(), signal.SIGINT)

    with server.storage().sync as storage:
        storage.set("key", 1)
        calls: list[Callable[[], Any]] = [
            lambda: storage.get("key"),
            lambda: storage.increment("count"),
            lambda: storage.mset({"key": 1}),
        ]
        for call in calls:
            with server.stopped():
                thread = threading.Thread(target=interrupt)
                thread.start()
                with pytest.raises(KeyboardInterrupt):
                    call()
                thread.join()
        assert storage.get("key") == 1
        assert storage.get("count") in (None, 1)


HOLD = """
    import sqlite3, sys
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_blocking_call_on_a_locked_file_is_interrupted(tmp_path: Path) -> None:
    main = threading.get_ident()

    def interrupt() -> None:
        eventually(lambda: "sync.py" in _files(main), "the call blocks")
        os.kill(os.getpid(), signal.SIGINT)

    with connect(f"sqlite:{tmp_path}/memory.db").sync as storage:
        storage.set("key", 1)
        calls: list[Callable[[], Any]] = [
            lambda: storage.set("key", 1),
            lambda: storage.increment("count"),
            lambda: storage.transact(lambda tx: tx.increment("count")),
        ]
        # Another process: locks of one process don't exclude each other.
        other = start(HOLD, tmp_path / "memory.db")
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        for call in calls:
            thread = threading.Thread(target=interrupt)
            thread.start()
            with pytest.raises(KeyboardInterrupt):
                call()
            thread.join()
        finish(other)
        assert storage.increment("after") == 1
        assert storage.get("key") == 1
        assert storage.get("count") in (None, 1, 2)


def _files(thread: int) -> set[str]:
    """The names of the files whose code a thread is in."""
    frame = sys._current_frames().get(thread)
    found = set()
    while frame is not None:
        found.add(Path(frame.f_code.co_filename).name)
        frame = frame.f_back
    return found


# Never awaited.


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@asynchronous
async def test_what_else_is_never_awaited(storage: Storage) -> None:
    await storage.mset({"a": 1, "b": 2})
    before = [entry async for entry in storage.entries()]
    async with storage.transaction() as tx:
        calls: dict[str, Callable[[], Any]] = {
            "open": storage.open,
            "close": storage.close,
            "items": lambda: storage.items().__anext__(),
            "transact": lambda: storage.transact(lambda tx: tx.set("a", 2)),
            "begin": lambda: storage.transaction().__aenter__(),
            "set": lambda: tx.set("a", 2),
            "mset": lambda: tx.mset({"a": 2}),
            "delete": lambda: tx.delete("a"),
            "increment": lambda: tx.increment("a"),
        }
        for name, call in calls.items():
            with pytest.warns(RuntimeWarning, match=rf"coroutine '[\w.]*{name}' was never awaited"):
                _drop(call)
    assert storage.closed is False
    assert [entry async for entry in storage.entries()] == before


def _drop(call: Callable[[], Any]) -> None:
    call()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_never_awaited_in_a_cycle(storage: Storage) -> None:
    class Holder:
        held: Any

    def make() -> None:
        holder = Holder()
        holder.held = (holder, storage.set("key", 1))

    make()
    with pytest.warns(RuntimeWarning, match="never awaited"):
        gc.collect()
    assert storage.sync.exists("key") is False


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_ten_thousand_never_awaited(storage: Storage) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for number in range(10_000):
            storage.set(f"key-{number}", number)
        gc.collect()
    assert len(told) == 10_000
    assert storage.sync.count() == 0


# The end.

SHUTDOWN = {
    "a loop that is left": """
        async def main():
            for number in range(10_000):
                asyncio.ensure_future(storage.set(f"key-{number}", number))
            await asyncio.sleep(0)
        asyncio.run(main())
    """,
    "os._exit": """
        async def main():
            for number in range(10_000):
                asyncio.ensure_future(storage.set(f"key-{number}", number))
            await asyncio.sleep(0)
            print(time.monotonic(), flush=True)
            os._exit(0)
        asyncio.run(main())
    """,
    "a loop that nobody closes": """
        loop = asyncio.new_event_loop()
        async def main():
            tasks = [loop.create_task(storage.set(f"key-{number}", number)) for number in range(10_000)]
            for task in tasks:
                task._log_destroy_pending = False
            globals()["kept"] = tasks
            await asyncio.sleep(0)
        loop.run_until_complete(main())
    """,
}


EXIT = 5.0
"""Seconds within which an interpreter is gone, from its last line on."""


def assert_soon(seconds: Callable[[], float], record_property: Callable[[str, object], None]) -> None:
    """Fails where each of three ends takes too long; one may, on a machine that is busy with other things."""
    took = seconds()
    if took >= EXIT:
        took = min(took, seconds(), seconds())
    record_property("seconds", took)
    assert took < EXIT


ENDING = ["memory", "sqlite", "postgres", "redis", "s3"]


@pytest.mark.parametrize("kind", ENDING)
@pytest.mark.parametrize("end", SHUTDOWN)
def test_an_interpreter_ends_with_ten_thousand_operations_under_way(
    end: str, arguments: dict[str, Any], record_property: Callable[[str, object], None]
) -> None:
    script = """
        import asyncio, json, os, sys, time
        from rrag_storage import connect

        storage = connect(**json.loads(sys.argv[1]))
        storage.sync.set("before", 1)
    """
    script += SHUTDOWN[end] + "    print(time.monotonic())\n"

    def seconds() -> float:
        out = run_script(script, json.dumps(arguments), timeout=60)
        return time.monotonic() - float(out)

    assert_soon(seconds, record_property)
    if arguments["url"] != "memory://":
        assert connect(**arguments).sync.get("before") == 1


CHILD = """
import asyncio, json, multiprocessing, sys, time, warnings
from rrag_storage import connect

# From 3.12 on Python warns of a fork beside threads; that it works is what is tested.
warnings.simplefilter("ignore", DeprecationWarning)
storage = connect(**json.loads(sys.argv[1]))

def begin():
    loop = asyncio.new_event_loop()
    async def main():
        tasks = [loop.create_task(storage.set(f"key-{number}", number)) for number in range(10_000)]
        for task in tasks:
            task._log_destroy_pending = False
        globals()["kept"] = tasks
        await asyncio.sleep(0)
    loop.run_until_complete(main())

def work(end):
    storage.sync.set("before", 1)
    begin()
    end.send(time.monotonic())

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[2])
    storage.sync.set("before", 0)
    begin()
    mine, other = context.Pipe()
    child = context.Process(target=work, args=(other,))
    child.start()
    ended = mine.recv()
    child.join()
    assert child.exitcode == 0
    print(max(time.monotonic() - ended, 0), time.monotonic())
"""


@pytest.mark.parametrize("kind", ["memory", "sqlite", "postgres", "redis"])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_ends_with_ten_thousand_operations_under_way(
    method: str, arguments: dict[str, Any], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    # A file, as spawn imports the main module anew.
    script = tmp_path / "script.py"
    script.write_text(CHILD)

    def seconds() -> float:
        child, ended = run_script(str(script), json.dumps(arguments), method, timeout=60).split()
        return max(float(child), time.monotonic() - float(ended))

    assert_soon(seconds, record_property)
    if arguments["url"] != "memory://":
        assert connect(**arguments).sync.get("before") in (0, 1)

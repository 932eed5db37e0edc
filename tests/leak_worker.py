"""Many operations of all sorts, failed and cancelled ones among them: `leak_worker.py OPERATIONS LEAK OPTIONS`.

Prints, fifty times on the way, how many bytes of memory are resident, and, in a debug build of Python, how many references
there are. LEAK is how many bytes each operation is to leak, for a test of the test.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rrag_storage import connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from rrag_storage import Storage

CHECKPOINTS = 50
AT_ONCE = 100
KEYS = [f"n::key-{number}" for number in range(40)]


def resident() -> int:
    """Bytes of this process's memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


class Leaks:
    """The operations on one storage."""

    def __init__(self, storage: Storage, leak: int) -> None:
        self.storage = storage
        self.leak = leak
        self.leaked: list[bytearray] = []
        self.rng = random.Random(1)
        self.bad = object()

    def call(self) -> Any:
        """An operation that is fine, on few keys."""
        key = self.rng.choice(KEYS)
        calls: list[Callable[[], Any]] = [
            lambda: self.storage.set(key, {"text": "x" * 100, "list": [1, 2.5, None]}),
            lambda: self.storage.set(key, b"x" * 200, ttl=0.5),
            lambda: self.storage.get(key),
            lambda: self.storage.get(key, self.bad),
            lambda: self.storage.get_entry(key),
            lambda: self.storage.mget(KEYS[:5], self.bad),
            lambda: self.storage.exists(key),
            lambda: self.storage.delete(key),
            lambda: self.storage.increment("n::count"),
            lambda: self.storage.set_if_absent(key, [key]),
            lambda: self.storage.compare_and_set(key, "new", 1),
        ]
        return self.rng.choice(calls)()

    def wrong(self) -> Any:
        """One that raises."""
        calls: list[Callable[[], Any]] = [
            lambda: self.storage.set("", 1),
            lambda: self.storage.set("n::key", [1, {"a": self.bad}]),
            lambda: self.storage.set("n::key", 1, ttl=-1),
            lambda: self.storage.get(None),  # type: ignore[call-overload]
            lambda: self.storage.increment("n::text"),
            lambda: self.storage.mset([("n::a", 1), ("n::b", self.bad)]),
        ]
        return self.rng.choice(calls)()

    async def round(self) -> None:
        """`AT_ONCE` of them at the same time: a third cancelled, a tenth wrong, some late, some never awaited."""
        tasks = [asyncio.ensure_future(self.call()) for _ in range(AT_ONCE // 2)]
        tasks += [asyncio.ensure_future(self.wrong()) for _ in range(AT_ONCE // 10)]
        hurried = [asyncio.wait_for(self.call(), self.rng.choice([1e-6, 1e-4])) for _ in range(AT_ONCE // 10)]
        tasks += [asyncio.ensure_future(each) for each in hurried]
        doomed = [asyncio.ensure_future(self.call()) for _ in range(AT_ONCE * 3 // 10 - 2)]
        for task in doomed[::2]:
            task.cancel()
        await asyncio.sleep(0)
        for task in doomed[1::2]:
            task.cancel()
        self.call().close()
        self.call().close()
        for outcome in await asyncio.gather(*tasks, *doomed, return_exceptions=True):
            expected = (Exception, asyncio.CancelledError)
            assert not isinstance(outcome, BaseException) or isinstance(outcome, expected)
        if self.leak:
            self.leaked.append(bytearray(b"x" * self.leak * AT_ONCE))


def main(operations: int, leak: int, options: str) -> None:
    """Each part in an event loop of its own."""
    storage = connect(**json.loads(options))
    leaks = Leaks(storage, leak)
    storage.sync.set("n::text", "no integer")
    rounds = operations // AT_ONCE // CHECKPOINTS
    assert rounds > 0, f"at least {AT_ONCE * CHECKPOINTS} operations"

    async def part() -> None:
        for _ in range(rounds):
            await leaks.round()

    for _ in range(CHECKPOINTS):
        asyncio.run(part())
        gc.collect()
        print(resident(), getattr(sys, "gettotalrefcount", int)(), flush=True)
    storage.sync.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])

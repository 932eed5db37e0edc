"""Event loops that end under operations: what they leave is collected, and what ends them is heard."""

from __future__ import annotations

import asyncio
import gc
import os
import weakref
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from rrag_storage import connect
from rrag_storage.testing import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def signals() -> int:
    """How many descriptors this process has by which its workers wake event loops."""
    count = 0
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            count += "eventfd" in os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            continue
    return count


class Held:
    """Stands for what an operation holds."""


@pytest.mark.parametrize("kind", ["sqlite", "folder", "redis"])
@pytest.mark.parametrize("make", LOOPS.values(), ids=LOOPS)
def test_a_loop_that_is_closed_under_operations_is_collected(
    kind: str, make: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    local = {"sqlite": f"sqlite:{tmp_path}/memory.db", "folder": f"file://{tmp_path}/objects"}
    options = {"url": local[kind]} if kind in local else request.getfixturevalue(kind).options()
    storage = connect(**options)
    storage.sync.set("key", 1)
    suspended = 0

    def leave() -> list[weakref.ref[Any]]:
        nonlocal suspended
        loop = make()
        held = Held()
        calls: list[Any] = [storage.get("none", held), storage.set("other", 1), storage.count()]
        tasks = [loop.create_task(call) for call in calls]
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        for task in tasks:
            suspended += not task.done()
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        return [weakref.ref(loop), weakref.ref(held), *map(weakref.ref, tasks)]

    def collected() -> bool:
        gc.collect()
        return all(each() is None for each in left)

    left = leave()
    eventually(collected, "a loop is collected")
    before = signals()
    for _ in range(20):
        left += leave()
    eventually(collected, "all loops are collected")
    eventually(lambda: signals() <= before, "their descriptors are closed")
    assert suspended >= 21, "the loops were not closed under anything"
    storage.sync.close()


class Struck(asyncio.SelectorEventLoop):
    """A loop that Ctrl-C strikes where it schedules what an operation woke."""

    armed = False

    def call_soon(self, *args: Any, **kwargs: Any) -> asyncio.Handle:
        if self.armed:
            self.armed = False
            raise KeyboardInterrupt
        return super().call_soon(*args, **kwargs)


def test_ctrl_c_is_heard_while_answers_arrive(tmp_path: Path) -> None:
    storage = connect(f"sqlite:{tmp_path}/memory.db")
    with storage.sync:
        storage.sync.set("key", 1)
        loop = Struck()
        answered = []

        async def main(number: int) -> None:
            await storage.set(f"key-{number}", number)
            answered.append(number)

        async def arm() -> None:
            loop.armed = True

        tasks = [loop.create_task(main(number)) for number in range(10)]
        tasks.append(loop.create_task(arm()))
        # It ends the loop of a storage that keeps it to itself.
        timer = loop.call_later(30, loop.stop)
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
        timer.cancel()
        # All but the one that was struck get their answers.
        eventually(lambda: _turn(loop) or len(answered) >= 9, "the others are answered")
        for task in tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.close()


def _turn(loop: asyncio.AbstractEventLoop) -> None:
    loop.call_soon(loop.stop)
    loop.run_forever()

"""Event loops that are closed under operations are collected, with all that waited on them."""

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

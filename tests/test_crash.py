"""Killed at random moments: every acknowledged write is there, and no write is there by halves.

`RRAG_CRASH_ROUNDS` says how many times a process is killed for each mode (a few in continuous integration, 200 for the
acceptance), `RRAG_CRASH_SEED` repeats what a failure printed.
"""

from __future__ import annotations

import itertools
import os
import random
import select
import shutil
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING

import crash_worker
import pytest
from crash_worker import Held, State
from rrag_storage import DatabaseStorage
from support import start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDS = int(os.environ.get("RRAG_CRASH_ROUNDS", "15"))
SEED = int(os.environ.get("RRAG_CRASH_SEED", "20240229"))


def rounds(enough: Callable[[], bool]) -> Iterator[int]:
    """The numbers of the rounds; more of them where a busy machine did not do enough in these."""
    deadline = time.monotonic() + 200 + 5 * ROUNDS
    for number in itertools.count():
        if number >= ROUNDS and (enough() or time.monotonic() > deadline):
            return
        yield number


def killed(path: Path, synchronous: str, seed: int, rng: random.Random, *more: str) -> list[int]:
    """Runs the worker, kills it at a random moment, and gives how many steps of each task were acknowledged."""
    process = start("crash_worker.py", path, synchronous, seed, *more)
    assert process.stdout is not None
    assert process.stderr is not None
    received = b""
    # The moment counts from the first acknowledgement, now and then from the start: then it hits the opening too.
    wait_for_first = rng.random() < 0.8
    end = time.monotonic() + 60
    if wait_for_first:
        received += os.read(process.stdout.fileno(), 65_536)
        end = time.monotonic() + rng.uniform(0.0, 0.3)
    else:
        end = time.monotonic() + rng.uniform(0.05, 0.4)
    while (left := end - time.monotonic()) > 0:
        if select.select([process.stdout], [], [], left)[0]:
            chunk = os.read(process.stdout.fileno(), 65_536)
            if not chunk:
                break
            received += chunk
    process.kill()
    stdout, stderr = process.communicate(timeout=60)
    received += stdout
    assert stderr == b"", stderr.decode()
    acknowledged = received.split()
    return [acknowledged.count(b"%d" % task) for task in range(crash_worker.TASKS)]


def check_integrity(path: Path, copy: Path) -> None:
    """Asks SQLite itself, on a copy, so that the storage has to recover by itself afterwards."""
    shutil.copy(path, copy)
    wal = Path(f"{path}-wal")
    if wal.exists():
        shutil.copy(wal, f"{copy}-wal")
    connection = sqlite3.connect(copy)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    for file in (copy, Path(f"{copy}-wal"), Path(f"{copy}-shm")):
        file.unlink(missing_ok=True)


def stored(path: Path, synchronous: str) -> list[State]:
    """What each task's keys hold."""
    with DatabaseStorage(f"sqlite:{path}", synchronous=synchronous).sync as storage:
        views = [storage.namespace(f"task-{task}") for task in range(crash_worker.TASKS)]
        return [
            {entry.key: Held(entry.value, entry.expires_at is not None) for entry in view.entries()} for view in views
        ]


@pytest.mark.parametrize("synchronous", ["full", "normal"])
@pytest.mark.timeout(300 + 10 * ROUNDS)
def test_killed_in_the_middle_of_writes(tmp_path: Path, synchronous: str) -> None:
    path = tmp_path / "memory.db"
    states: list[State] = [{} for _ in range(crash_worker.TASKS)]
    total = 0

    def enough() -> bool:
        return total > 10 * ROUNDS

    for number in rounds(enough):
        seed = SEED + number
        rng = random.Random(f"{seed}/{synchronous}")
        acknowledged = killed(path, synchronous, seed, rng)
        total += sum(acknowledged)
        story = f"{synchronous}, RRAG_CRASH_SEED={SEED}, round {number}, acknowledged {acknowledged}"
        if path.exists():
            check_integrity(path, tmp_path / "copy.db")
        found = stored(path, synchronous)
        for task, count in enumerate(acknowledged):
            state = states[task]
            plan = crash_worker.steps(seed, task)
            for _ in range(count):
                state = crash_worker.apply(state, next(plan))
            # The step after the last acknowledged one may have happened, as a whole.
            under_way = next(plan)
            possible = [state, crash_worker.apply(state, under_way)]
            assert found[task] in possible, f"{story}, task {task}, under way {under_way.kind} {under_way.keys}"
            assert sum(held.value for key, held in found[task].items() if key.startswith("account")) == 0, story
        states = found
    assert total > 10 * ROUNDS, "the processes were killed before they wrote anything worth the name"


def test_the_worker_does_what_its_plan_says(tmp_path: Path) -> None:
    """The check above is worth as much as the plan: the same steps, without any killing."""
    import asyncio

    async def main() -> None:
        async with DatabaseStorage(f"sqlite:{tmp_path / 'memory.db'}", synchronous="normal") as storage:
            view = storage.namespace("task-0")
            state: State = {}
            plan = crash_worker.steps(SEED, 0)
            kinds = set()
            for _ in range(300):
                step = next(plan)
                kinds.add(step.kind)
                await crash_worker.do(view, step)
                state = crash_worker.apply(state, step)
                found = {entry.key: Held(entry.value, entry.expires_at is not None) async for entry in view.entries()}
                assert found == state, step
            assert kinds == set(crash_worker.KINDS)

    asyncio.run(main())

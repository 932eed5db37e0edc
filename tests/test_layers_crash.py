"""Killed during offloaded writes and rotations: nothing acknowledged is lost, no key is unreadable, no payload is left.

`RRAG_CRASH_ROUNDS` and `RRAG_CRASH_SEED` as in `test_crash.py`.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import crash_worker
import pytest
from crash_worker import Held, State, layered
from rrag_storage import ObjectStorage
from test_crash import SEED, check_integrity, killed, rounds

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = int(os.environ.get("RRAG_CRASH_ROUNDS", "6"))


def stored(path: Path, seed: int) -> list[State]:
    """What each task's keys hold; what nothing points to is collected, and nothing else is."""
    with layered(str(path), "normal", seed).sync as storage:
        views = [storage.namespace(f"task-{task}") for task in range(crash_worker.TASKS)]
        found = [
            {entry.key: Held(entry.value, entry.expires_at is not None) for entry in view.entries()} for view in views
        ]
        storage.collect_garbage(older_than=0.000_001)
        assert storage.collect_garbage(older_than=0.000_001) == 0
        for view, state in zip(views, found, strict=True):
            assert view.mget(list(state)) == [held.value for held in state.values()]
    return found


def large(states: list[State]) -> int:
    """How many of the values are large enough to live elsewhere."""
    return sum(len(str(held.value)) > 500 for state in states for held in state.values())


@pytest.mark.timeout(300 + 10 * ROUNDS)
def test_killed_in_the_middle_of_layers(tmp_path: Path) -> None:
    path = tmp_path / "memory.db"
    states: list[State] = [{} for _ in range(crash_worker.TASKS)]
    total = offloaded = 0

    def enough() -> bool:
        return total > 5 * ROUNDS and offloaded > ROUNDS

    for number in rounds(enough):
        seed = SEED + number
        acknowledged = killed(path, "normal", seed, random.Random(f"{seed}/layers"), "layers")
        total += sum(acknowledged)
        story = f"RRAG_CRASH_SEED={SEED}, round {number}, acknowledged {acknowledged}"
        if path.exists():
            check_integrity(path, tmp_path / "copy.db")
        found = stored(path, seed)
        for task, count in enumerate(acknowledged):
            state = states[task]
            plan = crash_worker.steps(seed, task)
            for _ in range(count):
                state = crash_worker.apply(state, next(plan))
            # The step after the last acknowledged one may have happened, as a whole.
            under_way = next(plan)
            possible = [state, crash_worker.apply(state, under_way)]
            assert found[task] in possible, f"{story}, task {task}, under way {under_way.kind} {under_way.keys}"
        states = found
        with ObjectStorage(f"file://{path}-large").sync as store:
            assert store.count() == large(states), story
        offloaded += large(states)
    assert total > 5 * ROUNDS, "the processes were killed before they wrote anything worth the name"
    assert offloaded > ROUNDS

"""Gets by one and by several threads, each with an event loop of its own, on one store in memory."""

from __future__ import annotations

import contextlib
import gc
import itertools
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import loops
import values
from adapters.base import Adapter
from measure import Timing, opened, progress
from workloads import GetOneByOne, WrongAnswer

COUNTS = (1, 4)
LONGER = 10
"""How many times as long a sample is as those elsewhere: threads that hold the GIL change over every 5 ms."""

TIMEOUT = 60.0

Shared = dict[str, dict[int, Timing]]
"""Seconds for one get, of all threads together, by contender and number of threads."""


@dataclass
class Turn:
    """One contender and what it took so far."""

    store: Adapter
    workload: GetOneByOne
    uvloop: bool
    gets: int = 2000
    samples: dict[int, list[float]] = field(default_factory=lambda: {count: [] for count in COUNTS})
    failure: str | None = None

    def sample(self, count: int) -> float:
        """Seconds for one get of all that so many threads do together: as many, however many threads there are."""
        stored = self.workload.stored
        names = list(stored)
        each = self.gets // count
        lists = [
            list(itertools.islice(itertools.cycle(names), first, first + each))
            for first in (len(names) * thread // count for thread in range(count))
        ]
        barrier = threading.Barrier(count)
        gc.collect()
        gc.disable()
        try:
            with ThreadPoolExecutor(count) as pool:
                running = [pool.submit(self.in_thread, keys, barrier) for keys in lists]
                done = [future.result() for future in running]
        finally:
            gc.enable()
        for keys, (_, _, answer) in zip(lists, done, strict=True):
            if not values.same(answer, stored[keys[-1]]):
                raise WrongAnswer(f"{keys[-1]} is {answer!r:.80}")
        return (max(end for _, end, _ in done) - min(start for start, _, _ in done)) / (each * count)

    def in_thread(self, keys: list[str], barrier: threading.Barrier) -> tuple[float, float, Any]:
        """What one thread does: when it began and ended, and the last answer."""

        async def get_all() -> tuple[float, float, Any]:
            get, answer = self.store.get, None
            barrier.wait(TIMEOUT)
            start = perf_counter()
            for key in keys:
                answer = await get(key)
            return start, perf_counter(), answer

        return loops.run(get_all(), uvloop=self.uvloop)

    def attempt(self, seconds: float | None) -> None:
        """Choose how many gets take about so long, or take a sample for each number of threads."""
        if self.failure is not None:
            return
        try:
            if seconds is None:
                for count, samples in self.samples.items():
                    samples.append(self.sample(count))
                return
            for count in (1, 1, *COUNTS):
                took = self.sample(count)
                self.gets = max(100, int(seconds / took))
        except Exception as error:  # noqa: BLE001 - a contender that fails is reported; the others go on
            self.failure = f"{self.store.name}, threads: {error!r:.300}"


async def measure(
    contenders: list[type[Adapter]], rounds: int, target: float, failures: list[str], *, uvloop: bool
) -> Shared:
    """The contenders that threads can share. This loop stands still meanwhile; those stores don't need it."""
    workload = GetOneByOne("dict")
    sharable = [each for each in contenders if not each.one_loop]
    async with contextlib.AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(opened(each, [workload], None, failures)) for each in sharable]
        turns = [Turn(store, workload, uvloop) for store in stores if store is not None]
        gc.collect()
        gc.freeze()
        try:
            for turn in turns:
                turn.attempt(target * LONGER)
            for number in range(rounds):
                progress(f"memory: threads: round {number + 1} of {rounds}", first=number == 0)
                order = list(turns)
                random.Random(f"threads{number}").shuffle(order)
                for turn in order:
                    turn.attempt(None)
        finally:
            gc.unfreeze()
    failures += [turn.failure for turn in turns if turn.failure is not None]
    return {
        turn.store.name: {count: Timing(tuple(samples)) for count, samples in turn.samples.items()}
        for turn in turns
        if turn.failure is None
    }

"""How late an event loop runs what is due while 100 tasks write, and while nothing else runs.

A ticker sleeps for 1 ms again and again and looks how much later than that it wakes. The writers beside it set one value
after another and give way after each: a set that is done without waiting would otherwise let nothing else run, whatever
the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from adapters.base import Adapter
from measure import Timing, can_do, opened, progress
from servers import Server
from workloads import KEYS, Writes

TICK = 0.001
WRITERS = 100
ROUNDS = 10
"""The most rounds that are worth their time: each has up to 1,000 ticks."""

WARM_UP = 0.05
IDLE = "idle"
"""The name that an idle loop's figures are filed under, among those of the contenders."""


@dataclass(frozen=True)
class Delay:
    """Seconds that a tick was late: the median of a round, its 99th percentile, its worst. And the time of one set."""

    p50: Timing
    p99: Timing
    worst: Timing
    each: Timing | None
    """Seconds of a round for one set of all that the writers did; None where nobody writes."""


class SetByWriters(Writes):
    """A step is the keys of one writer, with their values."""

    name = "delay"
    title = "100 tasks that set"
    per_step = KEYS // WRITERS
    call = "set"
    concurrent = True

    def endless(self) -> list[Iterator[tuple[str, Any]]]:
        """For each writer what it sets, for ever: each value differs from the one before it under that key."""
        even, odd = self.versions
        return [itertools.cycle([*odd[writer], *even[writer]]) for writer in range(WRITERS)]


@dataclass
class Turn:
    """A contender, or nobody, and what its rounds said so far."""

    store: Adapter | None
    workload: SetByWriters
    writers: list[Iterator[tuple[str, Any]]]
    late: list[list[float]] = field(default_factory=list)
    each: list[float] = field(default_factory=list)
    failure: str | None = None

    @property
    def name(self) -> str:
        """What results are filed under."""
        return self.store.name if self.store else IDLE

    async def attempt(self, seconds: float, *, counts: bool) -> None:
        """Tick and write for so long. The first failure is the last turn."""
        if self.failure is not None:
            return
        gc.collect()
        gc.disable()
        try:
            late, each = await self.round(seconds)
        except Exception as error:  # noqa: BLE001 - a contender that fails is reported; the others go on
            self.failure = f"{self.name}, event loop's delay: {error!r:.300}"
            return
        finally:
            gc.enable()
        if counts:
            self.late.append(late)
            self.each += each

    async def round(self, seconds: float) -> tuple[list[float], list[float]]:
        """The lateness of each tick, in order of size; and the time of one set, if anybody writes."""
        start = perf_counter()
        tasks = [asyncio.ensure_future(self.write(items, start + seconds)) for items in self.writers]
        try:
            late = await tick(start + seconds)
            done = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        took = perf_counter() - start
        if self.store is None:
            return sorted(late), []
        await self.workload.check(self.store, [last for _, last in done], None)
        return sorted(late), [took / sum(sets for sets, _ in done)]

    async def write(self, items: Iterator[tuple[str, Any]], end: float) -> tuple[int, tuple[str, Any]]:
        """One writer: how many sets it did, and the last of them."""
        assert self.store is not None
        set, give_way = self.store.set, asyncio.sleep
        for number, (key, value) in enumerate(items, 1):
            await set(key, value)
            await give_way(0)
            if perf_counter() >= end:
                return number, (key, value)
        raise AssertionError("items are endless")

    def found(self) -> Delay:
        """What all rounds say."""
        p50, p99, worst = (Timing(tuple(percentile(late, share) for late in self.late)) for share in (0.5, 0.99, 1.0))
        return Delay(p50, p99, worst, Timing(tuple(self.each)) if self.each else None)


async def tick(end: float) -> list[float]:
    """Sleep for 1 ms until the end: the seconds that each sleep was late. Clocks that are coarser may wake early."""
    late = []
    while (start := perf_counter()) < end:
        await asyncio.sleep(TICK)
        late.append(max(0.0, perf_counter() - start - TICK))
    return late


def percentile(ordered: list[float], share: float) -> float:
    """The smallest of these that at least such a share of them doesn't exceed."""
    return ordered[math.ceil(share * len(ordered)) - 1]


async def measure(
    contenders: list[type[Adapter]], server: Server | None, rounds: int, seconds: float, failures: list[str]
) -> dict[str, Delay]:
    """The delay of a loop with each contender that takes calls at once, and of an idle one, by name."""
    workload = SetByWriters("dict")
    suite = contenders[0].suite if contenders else "no contender"
    async with contextlib.AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(opened(each, [workload], server, failures)) for each in contenders]
        turns = [Turn(None, workload, [])]
        turns += [Turn(store, workload, workload.endless()) for store in stores if store and can_do(store, workload)]
        gc.collect()
        gc.freeze()
        try:
            for turn in turns:
                await turn.attempt(WARM_UP, counts=False)
            for number in range(rounds):
                progress(f"{suite}: event loop's delay: round {number + 1} of {rounds}", first=number == 0)
                order = list(turns)
                random.Random(f"delay{number}").shuffle(order)
                for turn in order:
                    await turn.attempt(seconds, counts=True)
        finally:
            gc.unfreeze()
    failures += [turn.failure for turn in turns if turn.failure is not None]
    return {turn.name: turn.found() for turn in turns if turn.failure is None}

"""Interleaved measuring: every contender has its turn in every round, in an order that changes from round to round."""

from __future__ import annotations

import contextlib
import gc
import random
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from adapters.base import Adapter
from servers import Server
from workloads import Workload, check_isolation

MAX_STEPS = 20_000


@dataclass(frozen=True)
class Timing:
    """Seconds for one operation, a sample a round."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """The figure that ratios are taken of."""
        return statistics.median(self.samples)

    @property
    def low(self) -> float:
        """The quickest round."""
        return min(self.samples)

    @property
    def high(self) -> float:
        """The slowest round."""
        return max(self.samples)


@dataclass
class Results:
    """What was measured, by contender and by (name, kind) of a workload, and what went wrong."""

    timings: dict[tuple[str, tuple[str, str]], Timing] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


@dataclass
class Turn:
    """One contender in one workload: where it stands in the steps, how many make a sample, what it took so far."""

    store: Adapter
    workload: Workload
    position: int = 0
    steps: int = 1
    samples: list[float] = field(default_factory=list)
    failure: str | None = None

    async def sample(self) -> float:
        """Time one sample, with the garbage collected before and its collector off meanwhile, and check the answer."""
        steps = self.workload.steps(self.position, self.steps)
        self.position += self.steps
        gc.collect()
        gc.disable()
        try:
            seconds, answer = await self.workload.run(self.store, steps)
        finally:
            gc.enable()
        await self.workload.check(self.store, steps[-1], answer)
        return seconds / (self.steps * self.workload.per_step)

    async def calibrate(self, target: float) -> None:
        """Warm up, and choose how many steps take about `target` seconds."""
        for _ in range(3):
            per_operation = await self.sample()
            per_step = max(per_operation * self.workload.per_step, 1e-9)
            self.steps = max(1, min(MAX_STEPS, int(target / per_step)))

    async def attempt(self, target: float | None) -> None:
        """Calibrate where there is a target, else take a sample. The first failure is the last turn."""
        if self.failure is not None:
            return
        try:
            if target is not None:
                await self.calibrate(target)
            else:
                self.samples.append(await self.sample())
        except Exception as error:  # noqa: BLE001 - a contender that fails is reported; the others go on
            self.failure = f"{self.store.name}, {self.workload.name} ({self.workload.kind}): {error!r:.300}"


def can_do(store: Adapter, workload: Workload) -> bool:
    """Whether a contender has what a workload asks for."""
    return getattr(store, workload.call) is not None and (store.concurrent or not workload.concurrent)


@contextlib.asynccontextmanager
async def opened(
    contender: type[Adapter], stage: list[Workload], server: Server | None, failures: list[str]
) -> AsyncIterator[Adapter | None]:
    """A contender in a fresh directory and place, holding what a stage starts from; None where that fails."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory:
        store = contender()
        store.server = server
        try:
            await store.open(Path(directory), stage[0].kind)
        except Exception as error:  # noqa: BLE001 - as above
            failures.append(f"{contender.name}, open: {error!r:.300}")
            yield None
            return
        try:
            if stage[0].kind == "dict":
                await check_isolation(store)
            for workload in stage:
                if can_do(store, workload):
                    await workload.fill(store)
        except Exception as error:  # noqa: BLE001 - as above
            failures.append(f"{contender.name}, fill: {error!r:.300}")
            await store.close()
            yield None
            return
        try:
            yield store
        finally:
            await store.close()


async def run_stage(
    contenders: list[type[Adapter]],
    stage: list[Workload],
    server: Server | None,
    rounds: int,
    target: float,
    results: Results,
) -> None:
    """Measure the workloads of one stage, on the suite's server where it has one."""
    suite = contenders[0].suite if contenders else "no contender"
    what = f"{', '.join(workload.name for workload in stage)} ({stage[0].kind})"
    async with contextlib.AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(opened(each, stage, server, results.failures)) for each in contenders]
        turns = {
            workload.id: [Turn(store, workload) for store in stores if store is not None and can_do(store, workload)]
            for workload in stage
        }
        gc.collect()
        gc.freeze()
        try:
            for workload in stage:
                for turn in turns[workload.id]:
                    await turn.attempt(target)
            for number in range(rounds):
                progress(f"{suite}: {what}: round {number + 1} of {rounds}", first=number == 0)
                for workload in stage:
                    order = list(turns[workload.id])
                    random.Random(f"{workload.id}{number}").shuffle(order)
                    for turn in order:
                        await turn.attempt(None)
        finally:
            gc.unfreeze()
    for turn in (turn for each in turns.values() for turn in each):
        if turn.failure is not None:
            results.failures.append(turn.failure)
        elif turn.samples:
            results.timings[turn.store.name, turn.workload.id] = Timing(tuple(turn.samples))


def progress(text: str, *, first: bool = True) -> None:
    """Say on stderr how far it is: on a terminal in one line, elsewhere only the first of each kind."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
    elif first and text:
        print(text, file=sys.stderr, flush=True)

"""Rounds of load on one storage, with faults in them; each is checked while the next one runs, and then forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from . import linearizability, serialisability
from .clients import WINDOWS
from .nemesis import Nemesis
from .places import PROCESSES, Place
from .record import read
from .worker import CLIENTS, Work

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = 4_000
"""How many calls a round has, about."""

STUCK = 180.0
"""Seconds without news after which something hangs."""

LONGEST_LINE = 1 << 16


@dataclass
class Report:
    """What was done and found.

    Attributes:
        outcomes: How many calls ended how; a transaction is one, a call on several keys one for each.
        kinds: How many calls there were of each kind.
        faults: How often each fault was made.
        keys: How many keys were checked.
        rounds: How many rounds there were.
        seconds: How long all of it took.
        checking: How many seconds of processor time the checks took.
        anomalies: What was found, in words.
        undecided: Keys on which there is no verdict.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    keys: int = 0
    rounds: int = 0
    seconds: float = 0.0
    checking: float = 0.0
    anomalies: list[str] = field(default_factory=list)
    undecided: int = 0

    @property
    def done(self) -> int:
        """Calls that did, or may have done, something."""
        return self.outcomes["ok"] + self.outcomes["unknown"]


class Process:
    """A worker's process."""

    def __init__(self, process: asyncio.subprocess.Process, news: Callable[[], None]) -> None:
        self.process = process
        self.news = news
        self.made = 0
        self.said: set[str] = set()
        self.ended = False
        self.reading = asyncio.create_task(self._read())

    @property
    def done(self) -> bool:
        """Whether its part of the round is over."""
        return "done" in self.said

    async def send(self, command: str) -> None:
        """One of the worker's commands."""
        assert self.process.stdin is not None
        self.process.stdin.write(command.encode() + b"\n")
        await self.process.stdin.drain()

    def signal(self, number: int) -> None:
        """Sends a signal."""
        self.process.send_signal(number)

    async def end(self) -> str:
        """Kills it, and waits until it is gone. Gives what it said on stderr."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        assert self.process.stderr is not None
        stderr = (await self.process.stderr.read()).decode()
        await self.process.wait()
        await self.reading
        return stderr

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            word, *number = line.decode().split()
            if word == "at":
                self.made = int(number[0])
            else:
                self.said.add(word)
            self.news()
        self.ended = True
        self.news()


class Rounds:
    """The processes, and the rounds that they work through.

    Args:
        place: Where.
        seed: Of the order of faults.
        planted: The name of a fault of the storage itself, or None.
    """

    def __init__(self, place: Place, *, seed: int = 1, planted: str | None = None) -> None:
        self.place = place
        self.planted = planted
        self.nemesis = Nemesis(self, place.server, place.proxy, killable=place.shared, seed=seed)
        self.processes: list[Process] = []
        self.started = 0
        self.number = 0
        self.quota = 0
        self.made_before = 0
        self.window = 0
        self.told = 0
        self.changed = asyncio.Event()
        self.report = Report()
        self.folder = Path()

    @property
    def made(self) -> int:
        """Calls of this round, so far as was told."""
        return self.made_before + sum(process.made for process in self.processes)

    async def run(self, operations: int, faults: int, progress: Callable[[Report], None] = lambda _: None) -> Report:
        """At least so many operations with so many faults, spread evenly. Calls `progress` after each round."""
        began = time.monotonic()
        parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        with tempfile.TemporaryDirectory(prefix="rrag-histories-", dir=parent) as folder:
            self.folder = Path(folder)
            try:
                for _ in range(PROCESSES if self.place.shared else 1):
                    await self._start()
                check: asyncio.Future[None] | None = None
                while self.told < operations:
                    due = min(faults, -(-faults * (self.told + CALLS) // operations))
                    await self._round(min(CALLS, operations), due - self.report.faults.total())
                    if check is not None:
                        await check
                    check = asyncio.ensure_future(asyncio.to_thread(self._check, self.number))
                    self.number += 1
                    self.report.seconds = time.monotonic() - began
                    progress(self.report)
                if check is not None:
                    await check
            finally:
                for process in self.processes:
                    await process.end()
        self.report.seconds = time.monotonic() - began
        return self.report

    async def until(self, reached: Callable[[], bool]) -> None:
        """Waits for news until it is so."""
        while not reached():
            self.changed.clear()
            await asyncio.wait_for(self.changed.wait(), STUCK)
            for process in list(self.processes):
                if process.ended:
                    raise AssertionError(f"a client process ended by itself: {await process.end()}")

    async def replace(self, process: Process) -> None:
        """Kills a process; a new one has the rest of its round."""
        self.processes.remove(process)
        stderr = await process.end()
        assert stderr == "", stderr
        self.made_before += process.made
        await self._start()
        if not process.done:
            left = max(CLIENTS, self.quota * CLIENTS - process.made)
            await self.processes[-1].send(f"round {self.number} {left // CLIENTS}")
            await self.processes[-1].send(f"window {self.window}")
        else:
            self.processes[-1].said.add("done")

    async def _start(self) -> None:
        place = self.place
        self.started += 1
        options = place.of_process(self.started)
        work = Work(self.started, str(self.folder), options, place.transactions, place.exact_delete, self.planted)
        worker = Path(__file__).with_name("worker.py")
        child = await asyncio.create_subprocess_exec(
            sys.executable, str(worker), work.json(), stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=LONGEST_LINE
        )
        process = Process(child, self.changed.set)
        self.processes.append(process)
        await self.until(lambda: "ready" in process.said)

    async def _round(self, calls: int, faults: int) -> None:
        self.made_before = self.window = 0
        self.quota = -(-calls // (CLIENTS * len(self.processes)))
        for process in self.processes:
            process.made = 0
            process.said.clear()
            await process.send(f"round {self.number} {self.quota}")
        total = self.quota * CLIENTS * len(self.processes)
        moving = asyncio.create_task(self._move(total))
        for each in range(faults):
            await self.until(lambda: self.made >= total * (each + 1) // (faults + 2) or self._over())  # noqa: B023
            self.report.faults[await self.nemesis.strike()] += 1
        await self.until(self._over)
        await moving
        reader = self.processes[self.number % len(self.processes)]
        await reader.send(f"final {self.number}")
        await self.until(lambda: "final" in reader.said)
        self.told += self.made

    async def _move(self, total: int) -> None:
        """Has all clients move on to other keys together, as the round goes on."""
        for window in range(1, WINDOWS):
            await self.until(lambda: self.made >= total * window // WINDOWS or self._over())  # noqa: B023
            self.window = window
            for process in list(self.processes):
                with contextlib.suppress(ConnectionError):  # it may be killed at this moment
                    await process.send(f"window {window}")

    def _over(self) -> bool:
        return all(process.done for process in self.processes)

    def _check(self, number: int) -> None:
        files = list(self.folder.glob(f"{number}-*"))
        calls, transactions = read(files)
        for file in files:
            file.unlink()
        began = time.thread_time()
        keys = linearizability.by_key(calls)
        for of_key in keys.values():
            try:
                violation = linearizability.check_key(of_key)
            except linearizability.UndecidedError:
                self.report.undecided += 1
                continue
            if violation is not None:
                self.report.anomalies.append(str(violation))
        self.report.anomalies += map(str, serialisability.check(transactions))
        self.report.checking += time.thread_time() - began
        self.report.outcomes.update(call.outcome for call in calls)
        self.report.outcomes.update(each.outcome for each in transactions)
        self.report.kinds.update([*(call.kind for call in calls), *("transaction" for _ in transactions)])
        self.report.keys += len(keys) + len({key for each in transactions for _, key, _ in each.steps})
        self.report.rounds += 1

"""A process of clients: two loops in threads of their own with three tasks each, and a thread that blocks.

`worker.py` gets its `Work` as JSON. It reads commands, a line each (`round NUMBER CALLS`: so many calls of each client;
`window NUMBER`: the keys in use from now on; `cancel`: all tasks; `final NUMBER`: read every key), and prints `ready`, `at CALLS` as it goes, `done` and `final`. It
ends with its input.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import os
import sys
import threading
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from rrag_storage import connect

from histories.clients import Blocking, Client, Plan
from histories.planted import PLANTED
from histories.record import Outcome, Recorder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LOOPS = 2
TASKS = 3
CLIENTS = LOOPS * TASKS + 1
"""How many clients a process has."""

TELL = 20
"""After how many calls it says how far it is."""


@dataclass(frozen=True)
class Work:
    """What a worker is told when it starts.

    Attributes:
        number: The process's, one of its own.
        folder: Where the records go, `ROUND-NUMBER` for each round.
        options: Of the storage, its url included.
        transactions: As of `Plan`.
        exact_delete: As of `Plan`.
        planted: The name of the fault that the storage has; None for the storage itself.
    """

    number: int
    folder: str
    options: dict[str, Any]
    transactions: bool
    exact_delete: bool
    planted: str | None = None

    def json(self) -> str:
        """For the command line."""
        return json.dumps(asdict(self))


class Worker:
    """The process's storage and clients."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.storage = connect(**work.options)
        self.values = itertools.count(work.number * 10_000_000 + 1)
        self.lock = threading.Lock()
        self.made = 0
        self.left = 0
        self.at = 0
        self.tasks: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = []

    def faulty(self, storage: Any) -> Any:
        """The storage with the planted fault, if there is one."""
        return storage if self.work.planted is None else PLANTED[self.work.planted](storage)

    def round(self, number: int, calls: int) -> None:
        """Starts the clients."""
        recorder = self.recorder(number)
        self.made, self.left, self.at, self.tasks = 0, LOOPS + 1, 0, []
        for thread in range(LOOPS):
            self.thread(functools.partial(self.run_loop, thread, number, calls, recorder), recorder)
        client = self.client("blocking", Blocking(self.storage.sync), number, recorder, _block)
        self.thread(lambda: _drive(client.run(calls)), recorder)

    def run_loop(self, thread: int, number: int, calls: int, recorder: Recorder) -> None:
        """One thread's event loop."""
        asyncio.run(self.loop(thread, number, calls, recorder))

    async def loop(self, thread: int, number: int, calls: int, recorder: Recorder) -> None:
        """The clients of one event loop."""
        loop = asyncio.get_running_loop()
        clients = [self.client(f"loop-{thread}-{task}", self.storage, number, recorder) for task in range(TASKS)]
        tasks = [loop.create_task(client.run(calls)) for client in clients]
        self.tasks += [(loop, task) for task in tasks]
        await asyncio.gather(*tasks)

    def window(self, number: int) -> None:
        """Has the clients use other keys."""
        self.at = number

    def cancel(self) -> None:
        """Cancels what every task of this round is doing."""
        for loop, task in list(self.tasks):
            if not task.done():
                loop.call_soon_threadsafe(task.cancel)

    def final(self, number: int) -> None:
        """Reads every key of a round."""
        recorder = self.recorder(number, "-final")
        asyncio.run(self.client("final", self.storage, number, recorder).final())
        recorder.close()
        say("final")

    def client(
        self,
        name: str,
        storage: Any,
        number: int,
        recorder: Recorder,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> Client:
        """A client of this process."""
        plan = Plan(number, self.work.transactions, self.work.exact_delete)
        name = f"p{self.work.number}.{name}"
        return Client(name, self.faulty(storage), recorder, self.values, plan, self.count, lambda: self.at, pause)

    def recorder(self, number: int, suffix: str = "") -> Recorder:
        """This process's record of a round."""
        return Recorder(Path(self.work.folder) / f"{number}-{self.work.number}{suffix}")

    def count(self, outcome: Outcome) -> None:
        """A call is over."""
        if outcome == "failed":
            return
        with self.lock:
            self.made += 1
            if self.made % TELL == 0:
                say(f"at {self.made}")

    def thread(self, act: Callable[[], None], recorder: Recorder) -> None:
        """Runs a part of the round; the last one says that it is done. What it raises ends the process."""

        def run() -> None:
            try:
                act()
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(70)
            with self.lock:
                self.left -= 1
                last = self.left == 0
            if last:
                recorder.close()
                say(f"at {self.made}")
                say("done")

        threading.Thread(target=run, daemon=True).start()


def _drive(coroutine: Any) -> None:
    """Runs a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("it suspends")


async def _block(seconds: float) -> None:
    time.sleep(seconds)


def say(line: str) -> None:
    """A line to whoever started this process."""
    os.write(1, line.encode() + b"\n")


def main() -> None:
    """Until the input ends."""
    worker = Worker(Work(**json.loads(sys.argv[1])))
    say("ready")
    for line in sys.stdin:
        command, *numbers = line.split()
        getattr(worker, command)(*map(int, numbers))


if __name__ == "__main__":
    main()

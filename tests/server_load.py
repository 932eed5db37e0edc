"""A load of mixed operations by many tasks, that knows what each key may hold, whatever becomes of the server."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

from rrag_storage import StorageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rrag_storage import Storage, Transaction

TIMEOUT = 60.0
"""The connection timeout of a storage under load, in seconds; every upset is over sooner."""

HANGS = TIMEOUT + 20.0
"""Seconds after which a call has hung."""

TASKS = 25
KEYS = 5
COUNT = "shared::count"
TOTAL = 100
"""What each task's two accounts hold together."""


class Unknown(Exception):
    """A call raised: it happened as a whole or not at all."""


class Load:
    """`TASKS` tasks, each with keys of its own, on one storage. `possible` has what each key may hold; None is absent."""

    def __init__(self, storage: Storage, seed: int, *, one_key_at_a_time: bool = False) -> None:
        self.storage = storage
        self.one_key_at_a_time = one_key_at_a_time
        self.seed = seed
        self.calls: Counter[str] = Counter()
        self.raised: dict[str, list[StorageError]] = {}
        self.possible: dict[str, set[Any]] = {}
        self.counted: list[int] = []
        self.written = 0

    @property
    def done(self) -> int:
        """How many calls are over."""
        return sum(self.calls.values())

    async def run(self, calls: int, upset: Callable[[], None]) -> None:
        """Makes at least so many calls; a third of them before `upset()`, which runs in a thread, and some after it."""
        over = asyncio.Event()
        tasks = [asyncio.create_task(self.work(number, calls // TASKS, over)) for number in range(TASKS)]
        try:
            while self.done < calls // 3:
                await asyncio.sleep(0.001)
                for task in tasks:
                    if task.done():
                        task.result()
            await asyncio.to_thread(upset)
        finally:
            over.set()
            await asyncio.gather(*tasks)

    async def work(self, number: int, calls: int, over: asyncio.Event) -> None:
        """One task: at least so many calls, and ten after the upset is over."""
        worker = Worker(self, number)
        await worker.prepare()
        made = 0
        while not over.is_set() or made < calls:
            await worker.step()
            made += 1
        for _ in range(10):
            await worker.step()

    async def call(self, name: str, operation: Awaitable[Any]) -> Any:
        """The operation's answer. It hangs never, and raises nothing but errors of storages."""
        self.calls[name] += 1
        try:
            return await asyncio.wait_for(operation, HANGS)
        except StorageError as error:
            self.raised.setdefault(name, []).append(error)
            raise Unknown from error
        except TimeoutError:
            raise AssertionError(f"{name} hangs") from None

    async def check(self, storage: Storage) -> None:
        """Fails where an acknowledged write is missing, or something is there that nobody wrote."""
        held = {key: value async for key, value in storage.items()}
        assert sorted(held) == await storage.keys()
        assert len(held) == await storage.count()
        for key, possible in self.possible.items():
            assert held.get(key) in possible, (key, held.get(key), possible)
            assert await storage.get(key) == held.get(key)
        for number in range(TASKS):
            assert held.get(f"w{number}::left") == held.get(f"w{number}::right")
            assert held[f"w{number}::here"] + held[f"w{number}::there"] == TOTAL
        unknown = len(self.raised.get("count", []))
        assert len(set(self.counted)) == len(self.counted), "two increments gave the same number"
        assert len(self.counted) <= held.get(COUNT, 0) <= len(self.counted) + unknown
        known = {COUNT} | {f"w{n}::{name}" for n in range(TASKS) for name in ("left", "right", "here", "there")}
        assert set(held) <= known | set(self.possible)


class Worker:
    """One task's keys and its steps."""

    def __init__(self, load: Load, number: int) -> None:
        self.load = load
        self.storage = load.storage
        self.rng = random.Random(load.seed * 1_000 + number)
        self.space = f"w{number}"
        self.keys = [f"{self.space}::key-{each}" for each in range(KEYS)]
        self.counter = f"{self.space}::counter"
        self.steps = [
            self.set,
            self.set,
            self.get,
            self.get,
            self.mget,
            self.delete,
            self.pop,
            self.set_if_absent,
            self.compare_and_set,
            self.increment,
            self.count,
            self.listing,
        ]
        if not load.one_key_at_a_time:
            self.steps += [self.mset, self.transfer]

    async def prepare(self) -> None:
        """Nothing is there but the accounts."""
        for key in [*self.keys, self.counter]:
            self.load.possible[key] = {None}
        await self.storage.mset({f"{self.space}::here": TOTAL, f"{self.space}::there": 0})

    async def step(self) -> None:
        """Any of the steps. One that raised may have happened."""
        try:
            await self.rng.choice(self.steps)(self.rng.choice(self.keys))
        except Unknown:
            # A task has something else to do first than try again at once.
            await asyncio.sleep(0.01)

    def new(self, key: str) -> str:
        """A value that nobody wrote before, and that says whose it is."""
        self.load.written += 1
        return f"{key}#{self.load.written}"

    async def write(self, name: str, key: str, value: Any, operation: Awaitable[Any]) -> Any:
        """A call that leaves `value` under `key`."""
        possible = self.load.possible
        try:
            answer = await self.load.call(name, operation)
        except Unknown:
            possible[key] = possible[key] | {value}
            raise
        possible[key] = {value}
        return answer

    async def set(self, key: str) -> None:
        """Overwrites."""
        value = self.new(key)
        assert await self.write("set", key, value, self.storage.set(key, value)) is None

    async def get(self, key: str) -> None:
        """Gives what may be there; from then on that is what is there."""
        value = await self.load.call("get", self.storage.get(key))
        assert value in self.load.possible[key]
        self.load.possible[key] = {value}

    async def mget(self, key: str) -> None:
        """One's own keys and another's."""
        other = f"w{self.rng.randrange(TASKS)}::key-0"
        value, *rest = await self.load.call("mget", self.storage.mget([key, other]))
        assert value in self.load.possible[key]
        assert rest == [None] or rest[0].startswith(f"{other}#")

    async def delete(self, key: str) -> None:
        """True where it was there."""
        before = self.load.possible[key]
        was_there = await self.write("delete", key, None, self.storage.delete(key))
        assert before - {None} if was_there else None in before

    async def pop(self, key: str) -> None:
        """What was there."""
        before = self.load.possible[key]
        assert await self.write("pop", key, None, self.storage.pop(key)) in before

    async def set_if_absent(self, key: str) -> None:
        """Only where nothing was there."""
        before, value = self.load.possible[key], self.new(key)
        if None not in before:
            assert await self.load.call("set_if_absent", self.storage.set_if_absent(key, value)) is False
        elif await self.write("set_if_absent", key, value, self.storage.set_if_absent(key, value)) is False:
            assert before - {None}
            self.load.possible[key] = before - {None}

    async def compare_and_set(self, key: str) -> None:
        """Nobody else writes this key, so that its version stands."""
        entry = await self.load.call("get_entry", self.storage.get_entry(key))
        assert (entry and entry.value) in self.load.possible[key]
        self.load.possible[key] = {entry and entry.value}
        if entry is not None:
            value = self.new(key)
            change = self.storage.compare_and_set(key, value, entry.version)
            assert await self.write("compare_and_set", key, value, change) is True

    async def increment(self, _: str) -> None:
        """One's own counter."""
        after = {(number or 0) + 1 for number in self.load.possible[self.counter]}
        try:
            number = await self.load.call("increment", self.storage.increment(self.counter))
        except Unknown:
            self.load.possible[self.counter] |= after
            raise
        assert number in after
        self.load.possible[self.counter] = {number}

    async def count(self, _: str) -> None:
        """Everyone's counter."""
        self.load.counted.append(await self.load.call("count", self.storage.increment(COUNT)))

    async def mset(self, key: str) -> None:
        """Two keys that always hold the same."""
        value = self.new(key)
        pair = {f"{self.space}::left": value, f"{self.space}::right": value}
        assert await self.load.call("mset", self.storage.mset(pair)) is None

    async def transfer(self, _: str) -> None:
        """From one account to the other."""
        here, there = f"{self.space}::here", f"{self.space}::there"

        async def move(tx: Transaction) -> None:
            one, other = await tx.mget([here, there])
            assert one + other == TOTAL
            await tx.mset({here: one - 1, there: other + 1})

        await self.load.call("transact", self.storage.transact(move))

    async def listing(self, _: str) -> None:
        """All of one's own keys that are there."""
        keys = await self.load.call("keys", self.storage.keys(prefix=f"{self.space}::key-"))
        for key in self.keys:
            held = self.load.possible[key]
            assert held - {None} if key in keys else None in held, (key, held)

"""What the clients do: calls on a few keys that all of them share, each recorded before and after."""

from __future__ import annotations

import asyncio
import itertools
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rrag_storage import ConflictError, PartialWriteError, StorageError

from .record import TRANSACTION, Outcome, Recorder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

WINDOWS = 5
"""How many times in a round the clients move on to other keys, all of them together."""

KEYS = 4
"""How many keys of each sort are in use at a time."""

AFTER_A_FAILURE = 0.02
"""Seconds that a client waits after an error that is no conflict: something else would be done before the next try."""


@dataclass(frozen=True)
class Plan:
    """A round's keys, in one namespace so that a cluster may commit several of them.

    Attributes:
        number: The round's.
        transactions: Whether the backend has transactions.
        exact_delete: Whether `delete` of what is there is True for one caller alone.
    """

    number: int
    transactions: bool = True
    exact_delete: bool = True

    def keys(self, sort: str, window: int) -> list[str]:
        """The keys of a sort (`register`, `counter`, `list`) that are in use together."""
        return [f"round-{self.number}::{sort}-{window}-{number}" for number in range(KEYS)]

    def all(self, sort: str) -> list[str]:
        """All keys of a sort."""
        return [key for window in range(WINDOWS) for key in self.keys(sort, window)]


class Blocking:
    """The awaitable interface over a storage's blocking one: what is awaited is over before it suspends."""

    def __init__(self, sync: Any) -> None:
        self._sync = sync

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._sync, name)

        async def call(*arguments: Any) -> Any:
            return method(*arguments)

        return call

    def transaction(self) -> Blocking:
        return Blocking(self._sync.transaction())

    async def __aenter__(self) -> Blocking:
        self._sync.__enter__()
        return self

    async def __aexit__(self, *raised: Any) -> Any:
        return self._sync.__exit__(*raised)


class Client:
    """One at a time, calls of all kinds; nobody else has its name.

    Args:
        name: Who it is.
        storage: A storage, or what has the awaitable interface of one.
        recorder: Where its calls are recorded.
        values: Numbers that no other client writes.
        plan: The round's keys.
        made: Called with each outcome.
        window: Tells which keys are in use at present.
        pause: Waits for some seconds; for none, it lets others go on.
    """

    def __init__(
        self,
        name: str,
        storage: Any,
        recorder: Recorder,
        values: Iterator[int],
        plan: Plan,
        made: Callable[[Outcome], None],
        window: Callable[[], int],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = name
        self.storage = storage
        self.recorder = recorder
        self.values = values
        self.plan = plan
        self.made = made
        self.window = window
        self.pause = pause
        self.rng = random.Random(f"{name}/{plan.number}")
        self.numbers = itertools.count(1)
        steps: dict[Callable[[], Awaitable[None]], int] = {
            self.set: 3,
            self.get: 4,
            self.exists: 1,
            self.delete: 1,
            self.pop: 1,
            self.set_if_absent: 2,
            self.compare_and_set: 4,
            self.mget: 1,
            self.mset: 1,
            self.increment: 5,
            self.count: 1,
        }
        if plan.transactions:
            steps |= {self.transaction: 9, self.snapshot: 1}
        self.steps, self.weights = list(steps), list(steps.values())

    async def run(self, calls: int) -> None:
        """Makes so many calls that did not fail. One that is cancelled is of unknown outcome, and the client goes on."""
        done = 0
        while done < calls:
            try:
                await self.rng.choices(self.steps, self.weights)[0]()
                done += 1
                await self._wait(0)  # where answers are there at once, others would have no turn
            except StorageError as error:
                if outcome_of(error) == "unknown":
                    done += 1
                await self._wait(0 if isinstance(error, ConflictError) else AFTER_A_FAILURE)
            except asyncio.CancelledError:
                done += 1
                _go_on()

    async def final(self) -> None:
        """Reads every key: what the round has left."""
        for sort in ("register", "counter"):
            for key in self.plan.all(sort):
                await self._until_done(self._get, key)
        if self.plan.transactions:
            await self._until_done(self._read, self.plan.all("list"))

    async def _until_done(self, call: Callable[..., Awaitable[Any]], *arguments: Any) -> None:
        while True:
            try:
                await call(*arguments)
                return
            except StorageError:
                await self.pause(AFTER_A_FAILURE)

    async def _wait(self, seconds: float) -> None:
        try:
            await self.pause(seconds)
        except asyncio.CancelledError:
            _go_on()

    def _key(self, sort: str) -> str:
        return self.rng.choice(self.plan.keys(sort, self.window()))

    async def _call(self, kind: str, key: str, argument: Any, operation: Awaitable[Any]) -> Any:
        return (await self._calls(kind, {key: argument}, operation, lambda answer: [answer]))[0]

    async def _calls(
        self, kind: str, keys: dict[str, Any], operation: Awaitable[Any], answers: Callable[[Any], list[Any]]
    ) -> list[Any]:
        """One call that is recorded as one on each of its keys."""
        names = [f"{self.name}/{next(self.numbers)}" for _ in keys]
        for name, (key, argument) in zip(names, keys.items(), strict=True):
            self.recorder.begins(name, kind, key, argument)
        try:
            results = answers(await operation)
        except BaseException as error:
            outcome = outcome_of(error)
            written = error.written if isinstance(error, PartialWriteError) else []
            for name, key in zip(names, keys, strict=True):
                self.recorder.ends(name, "ok" if key in written else outcome)
            self.made(outcome)
            raise
        for name, result in zip(names, results, strict=True):
            self.recorder.ends(name, "ok", result)
        self.made("ok")
        return results

    # The steps.

    async def set(self) -> None:
        key, value = self._key("register"), next(self.values)
        await self._call("set", key, value, self.storage.set(key, value))

    async def get(self) -> None:
        await self._get(self._key("register"))

    async def _get(self, key: str) -> None:
        await self._call("get", key, None, self.storage.get(key))

    async def exists(self) -> None:
        key = self._key("register")
        await self._call("exists", key, None, self.storage.exists(key))

    async def delete(self) -> None:
        key = self._key("register")
        if self.plan.exact_delete:
            await self._call("delete", key, None, self.storage.delete(key))
        else:
            await self._calls("remove", {key: None}, self.storage.delete(key), lambda _: [None])

    async def pop(self) -> None:
        key = self._key("register")
        await self._call("pop", key, None, self.storage.pop(key))

    async def set_if_absent(self) -> None:
        key, value = self._key("register"), next(self.values)
        await self._call("set_if_absent", key, value, self.storage.set_if_absent(key, value))

    async def compare_and_set(self) -> None:
        """Reads first, which is a call of its own."""
        key, value = self._key("register"), next(self.values)
        version = 0

        async def read() -> Any:
            nonlocal version
            entry = await self.storage.get_entry(key)
            version = entry.version if entry else 0
            return entry and entry.value

        seen = await self._call("get", key, None, read())
        await self.pause(0)
        if seen is not None:
            change = self.storage.compare_and_set(key, value, version)
            await self._call("compare_and_set", key, [seen, value], change)

    async def mget(self) -> None:
        keys = self.rng.sample(self.plan.keys("register", self.window()), 2)
        await self._calls("get", dict.fromkeys(keys), self.storage.mget(keys), list)

    async def mset(self) -> None:
        keys = self.rng.sample(self.plan.keys("register", self.window()), 2)
        pairs = {key: next(self.values) for key in keys}
        await self._calls("set", pairs, self.storage.mset(pairs), lambda _: [None] * len(keys))

    async def increment(self) -> None:
        key, by = self._key("counter"), self.rng.randrange(1, 4)
        await self._call("increment", key, by, self.storage.increment(key, by))

    async def count(self) -> None:
        await self._get(self._key("counter"))

    async def snapshot(self) -> None:
        """Some lists as of one moment."""
        await self._read(self.rng.sample(self.plan.keys("list", self.window()), 3))

    async def _read(self, keys: list[str]) -> None:
        async def read(steps: list[Any]) -> None:
            found = await self.storage.mget(keys)
            steps += [["read", key, values or []] for key, values in zip(keys, found, strict=True)]

        await self._transaction([["read", key, None] for key in keys], read)

    async def transaction(self) -> None:
        """Reads some lists and appends to some of them."""
        keys = [self._key("list") for _ in range(self.rng.randrange(1, 5))]
        plan = [(key, next(self.values) if self.rng.random() < 0.5 else None) for key in keys]
        steps: list[list[Any]] = []
        for key, value in plan:
            steps += [["read", key, None]] + ([["append", key, value]] if value else [])

        async def body(done: list[Any]) -> None:
            async with self.storage.transaction() as tx:
                for key, value in plan:
                    held = await tx.get(key, [])
                    done.append(["read", key, held])
                    await self.pause(0)
                    if value:
                        await tx.set(key, [*held, value])
                        done.append(["append", key, value])

        await self._transaction(steps, body)

    async def _transaction(self, steps: list[list[Any]], body: Callable[[list[Any]], Awaitable[None]]) -> None:
        name = f"{self.name}/{next(self.numbers)}"
        done: list[Any] = []
        self.recorder.begins(name, TRANSACTION, None, steps)
        try:
            await body(done)
        except BaseException as error:
            outcome = outcome_of(error)
            self.recorder.ends(name, outcome, done if len(done) == len(steps) else None)
            self.made(outcome)
            raise
        self.recorder.ends(name, "ok", done)
        self.made("ok")


def outcome_of(error: BaseException) -> Outcome:
    """What may be concluded from an error: nothing happened, unless it says that this is not known."""
    if isinstance(error, StorageError) and not isinstance(error, PartialWriteError):
        return "unknown" if "unknown" in str(error) else "failed"
    return "unknown"


def _go_on() -> None:
    """The present task takes note of its cancellation, and doesn't end."""
    task = asyncio.current_task()
    if task is not None and hasattr(task, "uncancel"):
        task.uncancel()

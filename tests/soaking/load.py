"""A mixed load whose size stays the same: what is written is overwritten, deleted, or expires."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

from rrag_storage import ConflictError, StorageError, UnsupportedOperationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .samples import Meter

TASKS = 8

KEYS = 2_000
"""How many keys there are for small values, and a hundredth of them for large ones."""

SMALL = (10, 100, 1_000, 8_000)
LARGE = (50_000, 200_000, 1_000_000)

ACCOUNTS = [f"bank::account-{number}" for number in range(20)]


class Load:
    """Tasks that work on one storage until they are told to stop.

    Args:
        storage: The storage.
        meter: Is told how long each call took.
        seed: Of all choices.
    """

    def __init__(self, storage: Any, meter: Meter, seed: int = 1) -> None:
        self.storage = storage
        self.meter = meter
        self.rng = random.Random(seed)
        self.stopped = False
        self.steps: dict[Callable[[], Awaitable[Any]], int] = {
            self.read: 30,
            self.write: 20,
            self.read_many: 5,
            self.write_many: 3,
            self.expiring: 10,
            self.delete: 6,
            self.count: 6,
            self.compare_and_set: 4,
            self.pop: 3,
            self.transfer: 4,
            self.listing: 2,
            self.large: 2,
            self.sizes: 1,
        }

    async def prepare(self) -> None:
        """As many keys as there are in the long run."""
        keys = [f"small::{number:05}" for number in range(KEYS)]
        for start in range(0, KEYS, 100):
            await self.storage.mset({key: self.small() for key in keys[start : start + 100]})
        await self.storage.mset(dict.fromkeys(ACCOUNTS, 100))

    async def run(self) -> None:
        """Until `stop`; raises what no storage may raise."""
        await asyncio.gather(*(self.task() for _ in range(TASKS)))

    def stop(self) -> None:
        """Each task ends after its present call."""
        self.stopped = True

    async def task(self) -> None:
        """One call after the other."""
        steps, weights = list(self.steps), list(self.steps.values())
        while not self.stopped:
            step = self.rng.choices(steps, weights)[0]
            began = time.perf_counter()
            try:
                await step()
            except (ConflictError, UnsupportedOperationError):
                await asyncio.sleep(0)
            except StorageError:
                self.meter.failure()
                await asyncio.sleep(0.01)
            else:
                self.meter.call(step.__name__, time.perf_counter() - began)
            # A storage that answers at once would let no other task have its turn.
            await asyncio.sleep(0)

    def small(self) -> Any:
        """A value of some hundred bytes on average."""
        return {"text": "x" * self.rng.choice(SMALL), "tags": ["a", "b"], "score": self.rng.random()}

    def key(self) -> str:
        """A key of a small value."""
        return f"small::{self.rng.randrange(KEYS):05}"

    # The steps.

    async def read(self) -> None:
        await self.storage.get(self.key())

    async def write(self) -> None:
        await self.storage.set(self.key(), self.small())

    async def read_many(self) -> None:
        await self.storage.mget([self.key() for _ in range(20)])

    async def write_many(self) -> None:
        await self.storage.mset({self.key(): self.small() for _ in range(20)})

    async def expiring(self) -> None:
        """Keys that nobody uses again: they have to go by themselves."""
        await self.storage.set(f"session::{self.rng.getrandbits(64):016x}", self.small(), ttl=self.rng.uniform(0.2, 2))

    async def delete(self) -> None:
        await self.storage.delete(self.key())

    async def pop(self) -> None:
        await self.storage.pop(self.key())

    async def count(self) -> None:
        await self.storage.increment(f"count::{self.rng.randrange(20)}")

    async def compare_and_set(self) -> None:
        key = self.key()
        entry = await self.storage.get_entry(key)
        if entry is None:
            await self.storage.set_if_absent(key, self.small())
        else:
            await self.storage.compare_and_set(key, self.small(), entry.version)

    async def transfer(self) -> None:
        source, target = self.rng.sample(ACCOUNTS, 2)
        async with self.storage.transaction() as tx:
            await tx.increment(source, -1)
            await tx.increment(target, 1)

    async def listing(self) -> None:
        after = self.key()
        await self.storage.keys(namespace="small", after=after, limit=100)
        async for _ in self.storage.items(prefix=after[:-2]):
            pass

    async def large(self) -> None:
        key = f"large::{self.rng.randrange(KEYS // 100)}"
        await self.storage.set(key, b"x" * self.rng.choice(LARGE))
        await self.storage.get(key)

    async def sizes(self) -> None:
        await self.storage.count("session")
        await self.storage.stats()

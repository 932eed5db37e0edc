"""What a process of tests/test_processes.py does: `process_worker.py ACT NUMBER URL OPTIONS`, the options as JSON."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from typing import TYPE_CHECKING

from rrag_storage import connect

if TYPE_CHECKING:
    from rrag_storage import Storage, Transaction

INCREMENTS = 500
TRANSFERS = 100
ACCOUNTS = [f"account::{number:02}" for number in range(50)]
START = 1_000


async def increments(storage: Storage) -> None:
    """Counts, ten at a time."""
    for _ in range(INCREMENTS // 10):
        await asyncio.gather(*(storage.increment("count") for _ in range(10)))


async def transfers(storage: Storage, seed: int) -> None:
    """Moves money between accounts, and now and then adds them all up."""
    rng = random.Random(seed)

    async def move(tx: Transaction) -> None:
        source, target = rng.sample(ACCOUNTS, 2)
        held, other = await tx.mget([source, target])
        amount = rng.randrange(100)
        await tx.set(source, held - amount)
        await tx.set(target, other + amount)

    async def total(tx: Transaction) -> int:
        return sum(await tx.mget(ACCOUNTS))

    for number in range(TRANSFERS):
        await storage.transact(move, max_attempts=10_000)
        if number % 10 == 0:
            assert await storage.transact(total, max_attempts=10_000) == START * len(ACCOUNTS)


async def main(act: str, number: int, url: str, options: str) -> None:
    """One process."""
    async with connect(url, **json.loads(options)) as storage:
        await (increments(storage) if act == "increments" else transfers(storage, number))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]))

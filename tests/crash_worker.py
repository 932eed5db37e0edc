"""Writes of every kind, each acknowledged on stdout once it was awaited: `crash_worker.py PATH MODE SEED`, and
`layers` behind it for a file whose values are encrypted, the larger ones in an object store, and rotated all the while.

What a task writes follows from the seed alone, so that whoever killed the process can work out from the number of
acknowledgements what must be there. Each task has one operation under way at a time and keys of its own.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rrag_storage import DatabaseStorage, Transaction

TASKS = 4
KEYS = [f"key-{number}" for number in range(8)]
ACCOUNTS = [f"account-{number}" for number in range(4)]
HOUR = 3_600


class Held(NamedTuple):
    """What one key holds."""

    value: Any
    expires: bool = False


State = dict[str, Held]
"""What one task's keys hold."""


class Step(NamedTuple):
    """One operation: its name, its keys, a value that no other step has."""

    kind: str
    keys: list[str]
    value: Any


KINDS = [
    "set",
    "set",
    "set-ttl",
    "mset",
    "mset",
    "delete",
    "mdelete",
    "pop",
    "set_if_absent",
    "compare_and_set",
    "increment",
    "expire",
    "persist",
    "transaction",
    "transfer",
    "clear",
]


def steps(seed: int, task: int) -> Iterator[Step]:
    """What this task does, for ever."""
    rng = random.Random(f"{seed}/{task}")
    number = 0
    while True:
        number += 1
        kind = rng.choice(KINDS)
        if kind == "transfer":
            yield Step(kind, rng.sample(ACCOUNTS, 2), rng.randrange(1, 50))
            continue
        keys = rng.sample(KEYS, rng.randrange(1, 6) if kind in ("mset", "mdelete", "transaction") else 1)
        size = rng.choice([0, 10, 1_000, 20_000])
        yield Step(kind, keys, [seed, task, number, "x" * size])


def apply(state: State, step: Step) -> State:
    """What the keys hold after `step`, done as a whole."""
    state = dict(state)
    key = step.keys[0]
    held = state.get(key)
    if step.kind in ("set", "set-ttl"):
        state[key] = Held(step.value, step.kind == "set-ttl")
    elif step.kind in ("mset", "transaction"):
        state.update({key: Held(step.value) for key in step.keys})
    elif step.kind in ("delete", "pop", "mdelete"):
        for each in step.keys:
            state.pop(each, None)
    elif step.kind == "set_if_absent":
        state.setdefault(key, Held(step.value))
    elif step.kind == "compare_and_set":
        if held is not None:
            state[key] = Held(step.value)
    elif step.kind == "increment":
        count = state.get("count", Held(0))
        state["count"] = Held(count.value + 1, count.expires)
    elif step.kind in ("expire", "persist"):
        if held is not None:
            state[key] = Held(held.value, step.kind == "expire")
    elif step.kind == "transfer":
        for each, amount in zip(step.keys, (-step.value, step.value), strict=True):
            account = state.get(each, Held(0))
            state[each] = Held(account.value + amount, account.expires)
    elif step.kind == "clear":
        for each in [each for each in state if each.startswith("key-1")]:
            del state[each]
    return state


async def do(storage: DatabaseStorage, step: Step) -> None:  # one branch a kind
    """The same on a storage (a task's view)."""
    key = step.keys[0]
    if step.kind == "set":
        await storage.set(key, step.value)
    elif step.kind == "set-ttl":
        await storage.set(key, step.value, ttl=HOUR)
    elif step.kind == "mset":
        await storage.mset(dict.fromkeys(step.keys, step.value))
    elif step.kind == "delete":
        await storage.delete(key)
    elif step.kind == "mdelete":
        await storage.mdelete(step.keys)
    elif step.kind == "pop":
        await storage.pop(key)
    elif step.kind == "set_if_absent":
        await storage.set_if_absent(key, step.value)
    elif step.kind == "compare_and_set":
        entry = await storage.get_entry(key)
        if entry is not None:
            assert await storage.compare_and_set(key, step.value, entry.version)
    elif step.kind == "increment":
        await storage.increment("count")
    elif step.kind == "expire":
        await storage.expire(key, HOUR)
    elif step.kind == "persist":
        await storage.persist(key)
    elif step.kind == "clear":
        await storage.clear(prefix="key-1")
    elif step.kind == "transaction":
        async with storage.transaction() as tx:
            for each in step.keys:
                await tx.set(each, step.value)
    else:

        async def transfer(tx: Transaction) -> None:
            await tx.increment(step.keys[0], -step.value)
            await tx.increment(step.keys[1], step.value)

        await storage.transact(transfer)


async def work(storage: DatabaseStorage, seed: int, task: int) -> None:
    """One task: an acknowledgement is one write, so that none is cut in two."""
    view = storage.namespace(f"task-{task}")
    for step in steps(seed, task):
        await do(view, step)
        os.write(1, b"%d\n" % task)


def layered(path: str, synchronous: str, seed: int) -> DatabaseStorage:
    """The file with layers; its active key is another one at each seed."""
    from rrag_storage import DatabaseStorage, Key, ObjectStorage

    return DatabaseStorage(
        f"sqlite:{path}",
        synchronous=synchronous,
        encryption_key={"even": Key(b"e" * 32), "odd": Key(b"o" * 32)},
        active_key="odd" if seed % 2 else "even",
        large_values=ObjectStorage(f"file://{path}-large"),
        large_value_threshold=500,
    )


async def rotate(storage: DatabaseStorage) -> None:
    """Again and again: whoever writes with another key than the last one leaves it something to do."""
    while True:
        await storage.rotate(page_size=3)
        await asyncio.sleep(0)


async def main(path: str, synchronous: str, seed: int, *layers: str) -> None:
    """Until the process is killed."""
    from rrag_storage import DatabaseStorage

    if not layers:
        storage = DatabaseStorage(f"sqlite:{path}", synchronous=synchronous)
        await asyncio.gather(*(work(storage, seed, task) for task in range(TASKS)))
    storage, other = layered(path, synchronous, seed), layered(path, synchronous, seed + 1)
    halves = TASKS // 2
    writers = [work(storage if task < halves else other, seed, task) for task in range(TASKS)]
    await asyncio.gather(*writers, rotate(storage))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:]))

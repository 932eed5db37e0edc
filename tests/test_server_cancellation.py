"""Ten thousand cancelled calls: those after them get their own answers, and no connection is lost."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

import pytest
from rrag_storage.testing import run

if TYPE_CHECKING:
    from rrag_storage import Storage
    from servers import Places

CANCELLED = 10_000
AT_ONCE = 100
CONNECTIONS = 4
PATIENCE = 60.0
"""Seconds within which a pool has opened as many connections as another one."""
KEYS = [f"n{number % 7}::key-{number}" for number in range(50)]


def owner(value: str) -> str:
    """The key that a value was written under."""
    return value.partition("#")[0]


def call(storage: Storage, rng: random.Random) -> tuple[str, Any]:
    """Any operation on a key that is always there, and the key."""
    key = rng.choice(KEYS)
    value = f"{key}#{rng.random()}"
    calls = [
        lambda: storage.get(key),
        lambda: storage.get(key),
        lambda: storage.mget([key]),
        lambda: storage.get_entry(key),
        lambda: storage.set(key, value),
        lambda: storage.mset({key: value}),
        lambda: storage.keys(prefix=key, limit=1),
        lambda: storage.exists(key),
        lambda: storage.set_if_absent(key, value),
        lambda: storage.increment(f"count::{key}"),
        lambda: storage.expire(key, 1_000),
    ]
    return key, rng.choice(calls)()


def check_answer(key: str, answer: Any) -> None:
    """Fails where an answer is another call's."""
    if isinstance(answer, str):
        assert owner(answer) == key
    elif isinstance(answer, list):
        assert [owner(each) for each in answer] in ([key], [f"{key}{digit}" for digit in range(10)])
    elif answer is not None and not isinstance(answer, int):
        assert (answer.key, owner(answer.value)) == (key, key)


async def cancelled_calls(storage: Storage, rng: random.Random) -> None:
    """Makes calls until `CANCELLED` of them were cancelled: after some turns of the loop, or some time."""
    cancelled = 0
    while cancelled < CANCELLED:
        keys, tasks = [], []
        timeouts = rng.random() < 0.3
        for _ in range(AT_ONCE):
            key, operation = call(storage, rng)
            keys.append(key)
            if timeouts:
                operation = asyncio.wait_for(operation, rng.choice([0, 1e-6, 1e-4, 1e-3]))
            tasks.append(asyncio.ensure_future(operation))
        if not timeouts:
            if rng.random() < 0.5:
                await asyncio.sleep(rng.random() * 0.005)
            else:
                for _ in range(rng.randrange(5)):
                    await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
        for key, outcome in zip(keys, await asyncio.gather(*tasks, return_exceptions=True), strict=True):
            if isinstance(outcome, asyncio.CancelledError | asyncio.TimeoutError):
                cancelled += 1
            else:
                assert not isinstance(outcome, BaseException), outcome
                check_answer(key, outcome)


async def right_answers(storage: Storage) -> None:
    """Ten thousand calls, each of whose answers is known."""
    for turn in range(25):
        writes = [storage.set(f"probe::{number}", [turn, number]) for number in range(200)]
        assert await asyncio.gather(*writes) == [None] * 200
        reads = [storage.get(f"probe::{number}") for number in range(200)]
        assert await asyncio.gather(*reads) == [[turn, number] for number in range(200)]


async def most_connections(server: Places, storage: Storage) -> int:
    """How many connections are open once many calls were made at the same time."""
    before = server.connections()
    for _ in range(5):
        await asyncio.gather(
            *(storage.get(f"probe::{number}") for number in range(100)),
            *(storage.set(f"probe::{number}", number) for number in range(100)),
            *(storage.keys(namespace=f"n{number % 7}") for number in range(30)),
        )
    return server.connections() - before


def test_ten_thousand_cancelled_calls(server: Places) -> None:
    async def main() -> None:
        rng = random.Random(20_240_229)
        async with server.storage(max_connections=CONNECTIONS) as storage:
            for key in KEYS:
                await storage.set(key, f"{key}#0")
            await cancelled_calls(storage, rng)
            await right_answers(storage)
            await most_connections(server, storage)
            after = server.connections()
            async with server.storage(max_connections=CONNECTIONS) as untouched:
                many = await most_connections(server, untouched)
                assert many > 0
                # How many a pool opens is what it needed at a time, which is chance: until it has as many, it works.
                deadline = time.monotonic() + PATIENCE
                while server.connections() < 2 * many:
                    assert time.monotonic() < deadline, (server.connections(), many)
                    await most_connections(server, storage)
        assert after <= CONNECTIONS * 3  # of each of a cluster's nodes

    run(main())


@pytest.mark.parametrize("cancelled", [False, True], ids=["undisturbed", "after-cancelled-calls"])
def test_calls_that_wait_for_a_frozen_server_are_answered_when_it_thaws(server: Places, cancelled: bool) -> None:
    async def main() -> None:
        async with server.storage(max_connections=CONNECTIONS) as storage:
            await storage.mset({f"probe::{number}": number for number in range(100)})
            with server.stopped():
                tasks = [asyncio.ensure_future(storage.get(f"probe::{number}")) for number in range(100)]
                await asyncio.sleep(0.05)
                if cancelled:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
                    tasks = [asyncio.ensure_future(storage.get(f"probe::{number}")) for number in range(100)]
                    await asyncio.sleep(0.05)
            assert await asyncio.gather(*tasks) == list(range(100))
            await right_answers(storage)

    run(main())

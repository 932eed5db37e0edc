"""A server that closes in the middle of an answer, after any of its bytes: no half of one is ever taken for the whole."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from rrag_storage import BackendUnavailableError, OperationTimeoutError, Storage, StorageError, Transaction, connect
from rrag_storage.testing import run
from servers.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TIMEOUT = 20.0

OFFSETS = 4
"""At so many places of each answer the connection is closed."""

PATIENCE = 60.0
"""Seconds within which a connection breaks, and more than any call takes."""

UNREACHABLE = (BackendUnavailableError, OperationTimeoutError)

HELD: dict[str, Any] = {f"n::{number}": [number, "x" * 150 * number] for number in range(10)}
"""What is stored for the reads; more than one read of a socket, and each entry of another length."""


async def items(storage: Storage) -> dict[str, Any]:
    return {key: value async for key, value in storage.items(prefix="n::")}


async def add(tx: Transaction) -> int:
    return await tx.increment("count", 1)


READS: dict[str, tuple[Any, Callable[[Storage], Awaitable[Any]]]] = {
    "get": (HELD["n::7"], lambda storage: storage.get("n::7")),
    "mget": ([*HELD.values(), None], lambda storage: storage.mget([*HELD, "none"])),
    "keys": (sorted(HELD), lambda storage: storage.keys(prefix="n::")),
    "items": (HELD, items),
}
"""Each read, and what it gives: asked again where its answer broke."""

REPEATED: dict[str, Callable[[Storage, int], Awaitable[Any]]] = {
    "set": lambda storage, number: storage.set("written", number),
    "mset": lambda storage, number: storage.mset({"written": number, "other": number}),
}
"""The writes that may be made twice, and are."""

ONCE: dict[str, Callable[[Storage], Awaitable[Any]]] = {
    "increment": lambda storage: storage.increment("count"),
    "transact": lambda storage: storage.transact(add, max_attempts=1),
}
"""Writes that must not be made twice: each adds one."""


def offsets(size: int) -> list[int]:
    """Places in an answer of so many bytes: its first ones, its last, and some in between."""
    near = {0, 1, 5, size - 1}
    spread = {size * step // OFFSETS for step in range(OFFSETS)}
    return sorted(offset for offset in near | spread if 0 <= offset < size)


async def in_the_middle(proxy: Proxy, call: Callable[[], Awaitable[None]]) -> int:
    """Makes a call whose answer breaks, at one place after the other. How many broke."""
    await call()
    before = proxy.answered
    await call()
    places = offsets(proxy.answered - before)
    for place in places:
        proxy.break_after(place)
        end = time.monotonic() + PATIENCE
        # An answer may have become shorter by some digits: then it is the next one's turn.
        while proxy.breaks:
            await call()
            assert time.monotonic() < end
        # The connections that are whole by now give everybody the right answers.
        await call()
    return len(places)


@pytest.mark.parametrize("kind", ["postgres", "mariadb", "redis", "s3"])
def test_an_answer_that_breaks_off(kind: str, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue(kind)
    options = server.options()

    async def main() -> None:
        with Proxy(server.port) as proxy:
            async with (
                connect(**options) as direct,
                connect(**proxy.options(options), connection_timeout=TIMEOUT) as storage,
            ):
                await direct.mset({**HELD, "count": 0})
                for expected, call in READS.values():

                    async def read(expected: Any = expected, call: Any = call) -> None:
                        assert await call(storage) == expected

                    assert await in_the_middle(proxy, read) >= 4
                number = 0
                for call in REPEATED.values():

                    async def write(call: Any = call) -> None:
                        nonlocal number
                        number += 1
                        await call(storage, number)
                        assert await direct.get("written") == number

                    assert await in_the_middle(proxy, write) >= 4
                for name, once in ONCE.items():
                    if name == "transact" and server.one_key_at_a_time:
                        continue

                    async def count(once: Any = once) -> None:
                        before = await direct.get("count")
                        try:
                            after = await once(storage)
                        except UNREACHABLE:
                            # Told not to know, whoever called looks.
                            assert await direct.get("count") in (before, before + 1)
                        else:
                            assert after == before + 1
                            assert await direct.get("count") == after

                    assert await in_the_middle(proxy, count) >= 4

    run(main())


@pytest.mark.parametrize("kind", ["postgres", "mariadb", "redis", "s3"])
def test_a_greeting_that_breaks_off(kind: str, request: pytest.FixtureRequest) -> None:
    """At every place of what a server says before it takes the first call."""
    server = request.getfixturevalue(kind)
    options = server.options()

    async def main() -> None:
        with Proxy(server.port) as proxy:
            async with connect(**options) as direct:
                await direct.set("key", "value")

            async def first() -> None:
                storage = connect(**proxy.options(options), connection_timeout=TIMEOUT)
                try:
                    assert await storage.get("key") == "value"
                except StorageError as error:
                    # Nothing has answered at that place before: it is said at once, and the next call may do better.
                    assert isinstance(error, UNREACHABLE), repr(error)
                    assert await storage.get("key") == "value"
                finally:
                    await storage.close()

            async def again() -> None:
                proxy.close_all()
                assert await known.get("key") == "value"

            assert await in_the_middle(proxy, first) >= 6
            async with connect(**proxy.options(options), connection_timeout=TIMEOUT) as known:
                # A server that has answered before is asked again until the timeout.
                assert await in_the_middle(proxy, again) >= 6

    run(main())

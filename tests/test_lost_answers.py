"""The server does a write and its answer never arrives: whatever the client does then, no other's write is undone.

Another client sees the write done, and writes on top of it or takes it away, before the connection breaks. The calls of
both, and what the key holds in the end, must be linearizable: a write that is simply made again would undo what came in
between.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING, Any

import pytest
from histories import linearizability
from histories.clients import outcome_of
from histories.record import Call, Outcome
from rrag_storage import Storage, StorageError, connect
from rrag_storage.testing import run
from servers.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TIMEOUT = 10.0

PATIENCE = 120.0
"""Seconds for which it is tried: what a storage does in the background gets answers too, and may miss one instead."""

WRITES: dict[str, tuple[Any, Any, Callable[[Storage, str, int], Awaitable[Any]]]] = {
    "set": (0, 0, lambda storage, key, _: storage.set(key, 0)),
    "mset": (0, 0, lambda storage, key, _: storage.mset({key: 0, f"{key}-other": 0})),
    "delete": (None, None, lambda storage, key, _: storage.delete(key)),
    "pop": (None, None, lambda storage, key, _: storage.pop(key)),
    "increment": (110, 10, lambda storage, key, _: storage.increment(key, 10)),
    "compare_and_set": (0, [100, 0], lambda storage, key, version: storage.compare_and_set(key, 0, version)),
    "set_if_absent": (0, 0, lambda storage, key, _: storage.set_if_absent(key, 0)),
}
"""What the key holds after the call, the call's argument, and the call, which is given the version of what was there."""

MEANWHILE: dict[str, tuple[Any, Callable[[Storage, str], Awaitable[Any]]]] = {
    "increment": (1, lambda storage, key: storage.increment(key)),
    "pop": (None, lambda storage, key: storage.pop(key)),
}
"""What the other client does before the connection breaks: the argument, and the call."""


def cases() -> list[tuple[str, str, str]]:
    """Every write on every server, and what somebody else does to what was written."""
    kinds = ("postgres", "mariadb", "redis", "s3")
    combinations = itertools.product(WRITES, kinds, MEANWHILE)
    return [case for case in combinations if WRITES[case[0]][0] is not None or case[2] != "pop"]


class History:
    """The calls of two clients on one key."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.calls: list[Call] = []

    async def call(self, client: str, kind: str, argument: Any, operation: Awaitable[Any]) -> Any:
        """Makes a call and records it."""
        began, result = time.monotonic_ns(), None
        outcome: Outcome = "ok"
        try:
            result = await operation
        except StorageError as error:
            outcome = outcome_of(error)
        kind = "set" if kind == "mset" else kind
        self.calls.append(Call(client, kind, self.key, argument, began, time.monotonic_ns(), outcome, result))
        return result


@pytest.mark.parametrize(("write", "kind", "meanwhile"), cases())
def test_a_write_whose_answer_is_lost_undoes_nothing(
    write: str, kind: str, meanwhile: str, request: pytest.FixtureRequest
) -> None:
    """Of the answers that the call gets, the first is lost, then the second, until it needs no more of them."""
    server = request.getfixturevalue(kind)
    options = server.options()
    met = 0

    async def main() -> None:
        nonlocal met
        with Proxy(server.port) as proxy:
            one, other = connect(**proxy.options(options), connection_timeout=TIMEOUT), connect(**options)
            deadline = time.monotonic() + PATIENCE
            for attempt in itertools.count():
                for answers in itertools.count():
                    key = f"n::key-{attempt}-{answers}"
                    done, lost = await scenario(proxy, one, other, write, meanwhile, answers, key)
                    met += done
                    if not lost:
                        break
                    assert answers < 50
                if met:
                    break
                assert time.monotonic() < deadline, "no answer was lost after the write was done"
            for storage in (one, other):
                await storage.close()

    run(main())
    assert met > 0


async def scenario(
    proxy: Proxy, one: Storage, other: Storage, write: str, meanwhile: str, answers: int, key: str
) -> tuple[bool, bool]:
    """Whether the write was done when its answer was lost, and whether any answer was lost."""
    after, argument, make = WRITES[write]
    history, version = History(key), 0
    await make(one, "n::known", 1)  # what it needs to know once, it knows
    if write != "set_if_absent":
        await history.call("one", "set", 100, one.set(key, 100))
        entry = await one.get_entry(key)
        assert entry is not None
        version = entry.version
    proxy.swallow(answers)
    call = asyncio.create_task(history.call("one", write, argument, make(one, key, version)))
    while not proxy.swallowed and not call.done():
        await asyncio.sleep(0)
    lost = not call.done()
    # What the server has answered is done, or waits for the rest of a transaction.
    done = lost and await other.get(key, "none") == ("none" if after is None else after)
    if done:
        await history.call("other", "get", None, other.get(key))
        step, do = MEANWHILE[meanwhile]
        await history.call("other", meanwhile, step, do(other, key))
    proxy.cut()
    await call
    for name, storage in (("one", one), ("other", other)):
        await history.call(name, "get", None, storage.get(key))
    violation = linearizability.check_key(history.calls)
    assert violation is None, str(violation)
    return done, lost


@pytest.mark.parametrize("kind", ["postgres", "mariadb", "redis"])
def test_a_write_after_a_deletion_of_ones_own_is_not_in_doubt(kind: str, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue(kind)

    async def main() -> None:
        with Proxy(server.port) as proxy:
            async with connect(**proxy.options(server.options()), connection_timeout=TIMEOUT) as storage:
                for number in range(20):
                    await storage.set("n::key", number)
                    assert await storage.delete("n::key")
                    proxy.cut()
                    await storage.set("n::key", -number)
                    assert await storage.get("n::key") == -number

    run(main())

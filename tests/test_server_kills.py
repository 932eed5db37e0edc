"""A server that is killed, or closes its connections, in the middle of a load: nothing acknowledged is lost.

    RRAG_SERVER_KILLS=200 pytest -s tests/test_server_kills.py -k killed_and_restarted

kills each kind of server 200 times, and prints for each how many calls met it and what became of them.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from rrag_storage.testing import eventually
from server_load import TIMEOUT, Load

if TYPE_CHECKING:
    from collections.abc import Callable

    from servers import Places

CALLS = 1_000

RETRIED = {"get", "get_entry", "mget", "keys", "set", "mset"}
"""Calls that can be made twice: where the server is back in time they raise nothing."""


KILLS = int(os.environ.get("RRAG_SERVER_KILLS", "2"))
"""How often each server is killed."""

KILLS_A_LOAD = 5
"""After so many, what is there is compared with what was acknowledged, and a new load begins in a new place."""

BETWEEN = 200
"""Calls from one kill to the next."""


def under_load(server: Places, seed: int, upset: Callable[[Load], None]) -> Load:
    """Runs a load with an upset in its middle, on one storage, and checks what is there with it and with another."""
    options = server.options(connection_timeout=TIMEOUT)

    async def main() -> Load:
        async with server.storage(**options) as storage:
            load = Load(storage, seed, one_key_at_a_time=server.one_key_at_a_time)
            await load.run(CALLS, lambda: upset(load))
            assert load.done >= CALLS
            await load.check(storage)
            async with server.storage(**options) as other:
                await load.check(other)
            assert {name: errors[0] for name, errors in load.raised.items() if name in RETRIED} == {}
            return load

    return asyncio.run(main())


def kill(server: Places, count: int) -> Callable[[Load], None]:
    """An upset of so many kills, with some of the load between one and the next."""

    def upset(load: Load) -> None:
        for _ in range(count):
            server.kill()
            server.restart()
            goal = load.done + BETWEEN
            eventually(lambda goal=goal: load.done >= goal, "the load goes on")

    return upset


@pytest.mark.timeout(300 + 60 * KILLS)
def test_a_server_that_is_killed_and_restarted(server: Places) -> None:
    killed = calls = 0
    unknown: Counter[str] = Counter()
    for seed in range(1, KILLS + 1):
        count = min(KILLS_A_LOAD, KILLS - killed)
        if count == 0:
            break
        load = under_load(server, seed, kill(server, count))
        killed += count
        calls += load.done
        unknown.update({name: len(errors) for name, errors in load.raised.items()})
    assert killed == KILLS > 0
    of_these = ", ".join(f"{number} {name}" for name, number in unknown.most_common()) or "none"
    print(f"{type(server).__name__}: {killed} kills, {calls:,} calls, 0 lost, 0 torn; unknown outcome: {of_these}")


def test_a_server_that_stays_away_for_a_while(server: Places) -> None:
    def upset(_: Load) -> None:
        server.kill()
        # Long enough that every task has met it: what is tested is the way back.
        time.sleep(1)
        server.restart()

    under_load(server, 3, upset)


def test_connections_that_the_server_closes(server: Places) -> None:
    def upset(_: Load) -> None:
        for _ in range(5):
            server.cut()
            time.sleep(0.05)  # for the load to go on in between

    under_load(server, 4, upset)


def test_a_server_that_hangs_for_a_while(server: Places) -> None:
    def upset(_: Load) -> None:
        server.stop()
        time.sleep(0.5)
        server.cont()

    under_load(server, 5, upset)

"""A server that is killed, or closes its connections, in the middle of a load: nothing acknowledged is lost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from rrag_storage.testing import run
from server_load import TIMEOUT, Load

if TYPE_CHECKING:
    from collections.abc import Callable

    from servers import Places

CALLS = 1_000

RETRIED = {"get", "get_entry", "mget", "keys", "set", "mset"}
"""Calls that can be made twice: where the server is back in time they raise nothing."""


def under_load(server: Places, seed: int, upset: Callable[[], None]) -> None:
    """Runs a load with an upset in its middle, on one storage, and checks what is there with it and with another."""
    options = server.options(connection_timeout=TIMEOUT)

    async def main() -> None:
        async with server.storage(**options) as storage:
            load = Load(storage, seed, one_key_at_a_time=server.one_key_at_a_time)
            await load.run(CALLS, upset)
            assert load.done >= CALLS
            await load.check(storage)
            async with server.storage(**options) as other:
                await load.check(other)
            assert {name: errors[0] for name, errors in load.raised.items() if name in RETRIED} == {}

    run(main())


@pytest.mark.parametrize("seed", [1, 2])
def test_a_server_that_is_killed_and_restarted(server: Places, seed: int) -> None:
    def upset() -> None:
        server.kill()
        server.restart()

    under_load(server, seed, upset)


def test_a_server_that_stays_away_for_a_while(server: Places) -> None:
    def upset() -> None:
        server.kill()
        # Long enough that every task has met it: what is tested is the way back.
        time.sleep(1)
        server.restart()

    under_load(server, 3, upset)


def test_connections_that_the_server_closes(server: Places) -> None:
    def upset() -> None:
        for _ in range(5):
            server.cut()
            time.sleep(0.05)  # for the load to go on in between

    under_load(server, 4, upset)


def test_a_server_that_hangs_for_a_while(server: Places) -> None:
    def upset() -> None:
        server.stop()
        time.sleep(0.5)
        server.cont()

    under_load(server, 5, upset)

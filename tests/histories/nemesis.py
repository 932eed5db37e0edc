"""The faults: of the server, of client processes, of tasks."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from servers import Places
    from servers.proxy import Proxy

    from .rounds import Process, Rounds

AWAY = 1.0
"""Seconds that a server is away, or frozen: longer than the connection timeout of some of the clients."""

CALLS = 150
"""How many calls others make while a client process is frozen."""


class Nemesis:
    """Faults of every kind that a place knows, in an order that depends on the seed alone.

    Args:
        rounds: Whose processes it attacks.
        server: The server, or None where there is none.
        proxy: What can lose its answers, or None.
        killable: Whether client processes may be killed: what a process holds in memory would be gone.
        seed: Of the order.
    """

    def __init__(
        self, rounds: Rounds, server: Places | None, proxy: Proxy | None, *, killable: bool, seed: int
    ) -> None:
        self.rounds = rounds
        self.server = server
        self.proxy = proxy
        self.rng = random.Random(seed)
        of_server: dict[str, Callable[[], Awaitable[None]]] = {
            "kill server": self.kill_server,
            "pause server": self.pause_server,
            "cut connections": self.cut_connections,
            "restart server": self.restart_server,
            "server away": self.server_away,
        }
        of_clients: dict[str, Callable[[], Awaitable[None]]] = {
            "kill client": self.kill_client,
            "cancel tasks": self.cancel_tasks,
            "pause client": self.pause_client,
        }
        if not killable:
            del of_clients["kill client"]
        pairs = itertools.zip_longest(of_server.items() if server else (), of_clients.items())
        self.faults = dict(each for pair in pairs for each in pair if each is not None)
        names = list(self.faults)
        if proxy is not None:
            self.faults["lose answers"] = self.lose_answers
            names = [each for name in names for each in ("lose answers", name)]
        self.order: Iterator[str] = itertools.cycle(names)

    async def strike(self) -> str:
        """The next fault, which is over when this returns. Gives its name."""
        name = next(self.order)
        await self.faults[name]()
        return name

    # Of the server.

    async def kill_server(self) -> None:
        """kill -9, and started again at once."""
        await self._in_a_thread("kill", "restart")

    async def server_away(self) -> None:
        """kill -9, and started again later."""
        await self._in_a_thread("kill")
        await asyncio.sleep(AWAY)
        await self._in_a_thread("restart")

    async def restart_server(self) -> None:
        """Asked to end, and started again."""
        await self._in_a_thread("terminate", "restart")

    async def pause_server(self) -> None:
        """SIGSTOP and SIGCONT."""
        await self._in_a_thread("stop")
        await asyncio.sleep(AWAY)
        await self._in_a_thread("cont")

    async def cut_connections(self) -> None:
        """All connections are closed by the server."""
        await self._in_a_thread("cut")

    async def _in_a_thread(self, *methods: str) -> None:
        for method in methods:
            await asyncio.to_thread(getattr(self.server, method))

    async def lose_answers(self) -> None:
        """What some ask is done and not answered, until others have gone on; then their connections are closed."""
        assert self.proxy is not None
        self.proxy.swallow()
        try:
            await self._others_go_on(2)
        finally:
            await asyncio.to_thread(self.proxy.cut)

    # Of the clients.

    async def kill_client(self) -> None:
        """kill -9; another process takes over what was left to do."""
        await self.rounds.replace(self._any_process())

    async def pause_client(self) -> None:
        """SIGSTOP, and SIGCONT once others went on, or where there are no others after a moment."""
        process = self._any_process()
        process.signal(signal.SIGSTOP)
        try:
            await self._others_go_on(0.2 if len(self.rounds.processes) == 1 else 2)
        finally:
            process.signal(signal.SIGCONT)

    async def cancel_tasks(self) -> None:
        """Each task's present call is cancelled, in every process."""
        for process in self.rounds.processes:
            await process.send("cancel")

    async def _others_go_on(self, most: float) -> None:
        """Waits until `CALLS` more calls were made, but not for more than so many seconds."""
        until = self.rounds.made + CALLS
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.rounds.until(lambda: self.rounds.made >= until), most)

    def _any_process(self) -> Process:
        working = [process for process in self.rounds.processes if not process.done]
        return self.rng.choice(working or self.rounds.processes)

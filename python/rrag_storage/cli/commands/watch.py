"""`watch`: the count, again and again."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timezone
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from .. import output
from ..filters import Namespace, Prefix
from ..output import Json
from ..places import Place

_SHOWN = 15


class _Reading(NamedTuple):
    when: datetime
    entries: int
    change: int


async def watch(
    place: Place,
    namespace: Namespace = None,
    prefix: Prefix = None,
    interval: Annotated[
        float, typer.Option("--interval", min=0.001, metavar="SECONDS", help="The time between two counts.")
    ] = 2.0,
    count: Annotated[int | None, typer.Option("--count", min=1, metavar="N", help="End after N counts.")] = None,
    json: Json = False,
) -> None:
    """Count entries at an interval, until interrupted."""
    async with place.open() as storage:
        readings = _readings(lambda: storage.count(namespace, prefix=prefix), interval, count)
        if sys.stdout.isatty() and not json:
            await _live(readings)
            return
        async for reading in readings:
            when = output.moment(reading.when)
            if json:
                output.say_json({"time": when, "count": reading.entries, "change": reading.change})
            else:
                output.say(f"{when} {reading.entries} {reading.change:+d}")


async def _readings(count: Callable[[], Awaitable[int]], interval: float, times: int | None) -> AsyncIterator[_Reading]:
    before: int | None = None
    while times is None or times > 0:
        now = await count()
        yield _Reading(datetime.now(timezone.utc), now, 0 if before is None else now - before)
        before, times = now, None if times is None else times - 1
        if times != 0:
            await asyncio.sleep(interval)


async def _live(readings: AsyncIterator[_Reading]) -> None:
    last: deque[_Reading] = deque(maxlen=_SHOWN)
    with Live(console=Console(highlight=False), auto_refresh=False) as live:
        async for reading in readings:
            last.append(reading)
            live.update(_table(last), refresh=True)


def _table(readings: deque[_Reading]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("time", "entries", "change"):
        table.add_column(name, justify="left" if name == "time" else "right")
    for reading in readings:
        change = output.cell(
            f"{reading.change:+,d}", "green" if reading.change > 0 else "red" if reading.change else "dim"
        )
        table.add_row(reading.when.astimezone().strftime("%H:%M:%S"), f"{reading.entries:,}", change)
    return table

"""`stats`: how much there is, and in which namespaces."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.bar import Bar
from rich.table import Table

from ... import UnsupportedOperationError
from .. import output
from ..output import Json
from ..places import Place

if TYPE_CHECKING:
    from ... import MemoryStats, Storage

_COUNTED = 10_000
"""Of more namespaces than these none is counted: each is a query."""
_AT_ONCE = 100


async def stats(
    place: Place,
    namespaces: Annotated[
        int, typer.Option("--namespaces", min=0, metavar="N", help="Show the N largest namespaces.")
    ] = 20,
    json: Json = False,
) -> None:
    """Show how many entries there are, the space they take, and how they fall into first-level namespaces."""
    async with place.open() as storage:
        figures = await storage.stats()
        counts = await _counts(storage)
        url = storage.url
    largest = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:namespaces])
    if json:
        output.say_json(_document(figures, url, largest))
    else:
        _show(figures, url, largest, hidden=figures.namespace_count - len(largest))


async def _counts(storage: Storage) -> dict[str, int]:
    """The entries of each first-level namespace; of none where they can't be listed or are too many."""
    try:
        names = await storage.namespaces(max_depth=1)
    except UnsupportedOperationError:
        return {}
    if len(names) > _COUNTED:
        return {}
    counts: dict[str, int] = {}
    for start in range(0, len(names), _AT_ONCE):
        page = names[start : start + _AT_ONCE]
        counts.update(zip(page, await asyncio.gather(*map(storage.count, page)), strict=True))
    return counts


def _document(figures: MemoryStats, url: str, counts: dict[str, int]) -> dict[str, Any]:
    return {
        "url": url,
        "backend": figures.backend_type,
        "total_keys": figures.total_keys,
        "memory_bytes": figures.memory_bytes,
        "namespace_count": figures.namespace_count,
        "namespaces": counts,
        "extra": {name: value if math.isfinite(value) else None for name, value in figures.extra.items()},
        "last_updated": output.moment(figures.last_updated),
    }


def _show(figures: MemoryStats, url: str, counts: dict[str, int], hidden: int) -> None:
    console = output.stdout()
    console.print(
        _table(
            {
                "url": url,
                "backend": figures.backend_type,
                "entries": f"{figures.total_keys:,}",
                "space": output.size(figures.memory_bytes),
                "namespaces": f"{figures.namespace_count:,}",
            }
        )
    )
    # A name with a point is of an operation of this very process.
    extra = {name: f"{value:,g}" for name, value in figures.extra.items() if "." not in name}
    if extra:
        console.print()
        console.print(_table(extra))
    if counts:
        console.print()
        console.print(_bars(counts))
        if hidden > 0:
            console.print(f"and {hidden:,} more")


def _table(rows: dict[str, str]) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in rows.items():
        table.add_row(output.cell(name, "dim"), output.cell(value))
    return table


def _bars(counts: dict[str, int]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("namespace")
    table.add_column("entries", justify="right")
    table.add_column("")
    most = max(*counts.values(), 1)
    for name, count in counts.items():
        table.add_row(output.cell(name), f"{count:,}", Bar(most, 0, count, width=40, color="cyan"))
    return table

"""Whether a listing, a count and the statistics on a server cost with 1,000,000 entries what they cost with 10,000.

    python benches/scale.py --suite redis --write scale.md

fills two storages on a private server, one small and one large, asks both in turn, and prints the medians, their ratio
and how the filling went. The exit status says whether all answers were right, never how fast they came.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import adapters
import servers
import tables
from adapters.base import Adapter
from measure import Timing, progress

SPACE = 1000
"""The entries of a namespace."""

LISTED = 100
AT_ONCE = 4
"""Batches of a namespace that are under way at once while a storage is filled."""

WITHIN = 3.0
"""The ratio that is wanted."""


@dataclass
class Sized:
    """A storage that holds so many entries, and what it took."""

    adapter: Adapter
    entries: int
    filling: float = 0.0
    samples: dict[str, list[float]] = field(default_factory=dict)

    @property
    def storage(self) -> Any:
        """The storage itself."""
        return self.adapter.storage  # type: ignore[attr-defined]


def space_of(number: int) -> str:
    """A namespace's name."""
    return f"space{number:05d}"


def names_of(number: int) -> list[str]:
    """The keys of a namespace, in order."""
    return [f"{space_of(number)}::name-{index:03d}" for index in range(SPACE)]


async def fill(sized: Sized) -> None:
    """Store its entries: strs of 100 characters."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def store(number: int) -> None:
        async with gate:
            await sized.storage.mset(dict.fromkeys(names_of(number), f"{number:0100d}"))
        if number % 100 == 0:
            progress(f"filling: {number * SPACE:,} of {sized.entries:,}", first=False)

    start = perf_counter()
    await asyncio.gather(*[store(number) for number in range(sized.entries // SPACE)])
    sized.filling = (perf_counter() - start) / sized.entries


async def list_some(sized: Sized, number: int) -> bool:
    """The first keys under a prefix."""
    return bool(await sized.storage.keys(prefix=f"{space_of(number)}::", limit=LISTED) == names_of(number)[:LISTED])


async def count(sized: Sized, number: int) -> bool:
    """How many are in a namespace."""
    return bool(await sized.storage.count(space_of(number)) == SPACE)


async def stats(sized: Sized, number: int) -> bool:
    """The statistics of all."""
    return bool((await sized.storage.stats()).total_keys == sized.entries)


CALLS: dict[str, Callable[[Sized, int], Awaitable[bool]]] = {
    f"keys(prefix=…, limit={LISTED})": list_some,
    f"count(namespace) of {SPACE:,}": count,
    "stats()": stats,
}


async def compare(contender: type[Adapter], server: servers.Server | None, options: argparse.Namespace) -> list[Sized]:
    """Fill both, ask both in turn."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        both = []
        for name, entries in (("small", options.small), ("large", options.entries)):
            adapter = contender()
            adapter.server = server
            adapter.name = f"scale-{name}"  # type: ignore[misc]
            (place := Path(directory) / name).mkdir()
            await adapter.open(place, "str")
            both.append(Sized(adapter, entries))
        for sized in both:
            progress(f"{contender.label}: filling {sized.entries:,}")
            await fill(sized)
        gc.collect()
        for what, call in CALLS.items():
            for number in range(options.rounds + 2):
                for sized in both:
                    space = number * 7919 % (sized.entries // SPACE)
                    start = perf_counter()
                    right = await call(sized, space)
                    took = perf_counter() - start
                    if not right:
                        raise SystemExit(f"{contender.label}: wrong answer to {what} of {sized.entries:,}")
                    if number >= 2:  # the first two are the warm-up
                        sized.samples.setdefault(what, []).append(took)
        for sized in both:
            await sized.adapter.close()
    return both


def rows_of(contender: type[Adapter], both: list[Sized]) -> list[tuple[str, ...]]:
    """The rows of a contender's table."""
    few, many = both
    rows: list[tuple[str, ...]] = []
    for what in CALLS:
        small, large = Timing(tuple(few.samples[what])), Timing(tuple(many.samples[what]))
        ratio = large.median / small.median
        verdict = "met" if ratio <= WITHIN else "missed"
        rows.append(
            (contender.label, what, tables.cell(small), tables.cell(large), f"{tables.digits(ratio)}×", verdict)
        )
    filling = (tables.time(few.filling), tables.time(many.filling), f"{tables.digits(many.filling / few.filling)}×")
    rows.append((contender.label, "mset of 1,000, each", *filling, ""))
    return rows


def main() -> int:
    """Parse the command line, measure, tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--suite", choices=(*servers.SERVERS, "disk", "all"), default="all")
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--write", type=Path, metavar="PATH", help="write the table there too")
    options = parser.parse_args()
    rows: list[tuple[str, ...]] = []
    for suite in servers.SERVERS if options.suite == "all" else (options.suite,):
        found, _ = adapters.load(suite)
        for contender in [each for each in found if each.ours]:
            with servers.running(suite) as server:
                rows += rows_of(contender, asyncio.run(compare(contender, server, options)))
    head = ("storage", "call", f"of {options.small:,}", f"of {options.entries:,}", "ratio", f"within {WITHIN:g}×")
    text = tables.table(head, rows)
    print(text)
    if options.write:
        options.write.write_text(text + "\n")
    return 0 if rows else 1


if __name__ == "__main__":
    sys.exit(main())

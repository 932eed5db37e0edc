"""Bytes of process growth an entry, and a prefix listing at two sizes: one contender in a process of its own.

`measure` starts the process; run as a script this is that process, which prints its findings as JSON.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import adapters
import loops
import values
from adapters.base import Adapter
from measure import Timing

GROUP = 1000
"""The keys that share a prefix."""

CHUNK = 1000


def _padded(size: int, number: int) -> str:
    return f"{number:0{size}d}"


VALUES: dict[str, tuple[str, Callable[[int], Any]]] = {
    "32-byte str": ("str", partial(_padded, 32)),
    "100-byte str": ("str", partial(_padded, 100)),
    "200-byte dict": ("dict", partial(values.make, "dict")),
}
"""The entries that are filled in: their kind, and what makes the value of a number."""

LISTED = "100-byte str"
"""The entries that the prefix listings are shown of."""


@dataclass(frozen=True)
class Growth:
    """What one process found."""

    entries: int
    small_entries: int
    bytes_an_entry: float
    prefix_small: Timing | None
    prefix_large: Timing | None


def measure(contender: str, entries: int, small: int, value: str, rounds: int, *, uvloop: bool) -> Growth | str:
    """Run this file for a contender and one of VALUES; a str says what went wrong."""
    numbers = ["--entries", str(entries), "--small", str(small), "--value", value, "--rounds", str(rounds)]
    command = [sys.executable, __file__, contender, *numbers, *(["--uvloop"] if uvloop else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        return last[0][:300]
    found = json.loads(done.stdout)
    timings = [Timing(tuple(found[name])) if found[name] else None for name in ("prefix_small", "prefix_large")]
    return Growth(entries, small, found["bytes_an_entry"], *timings)


def resident() -> int:
    """The bytes of this process in memory; where there is no /proc, the most there ever were."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return pages * os.sysconf("SC_PAGESIZE")


def key_of(index: int) -> str:
    """A key of a group of 1,000 that share a prefix, and no namespace."""
    return f"{prefix_of(index // GROUP)}{index % GROUP:03d}"


def prefix_of(group: int) -> str:
    """The prefix of a group."""
    return f"group-{group:05d}-"


async def fill(store: Adapter, entries: int, make: Callable[[int], Any]) -> None:
    """Store `entries` distinct values."""
    for start in range(0, entries, CHUNK):
        await store.mset({key_of(index): make(index) for index in range(start, min(start + CHUNK, entries))})


async def list_prefix(store: Adapter, group: int) -> float:
    """Seconds for listing a group, checked."""
    assert store.prefix is not None
    start = perf_counter()
    keys = await store.prefix(prefix_of(group))
    took = perf_counter() - start
    if sorted(keys) != [key_of(group * GROUP + index) for index in range(GROUP)]:
        raise SystemExit(f"not the keys of group {group}")
    return took


async def main(options: argparse.Namespace) -> dict[str, Any]:
    """Fill, and look at the process; then time the listings, in turn at both sizes."""
    contenders, _ = adapters.load("memory")
    [contender] = [each for each in contenders if each.name == options.contender]
    kind, make = VALUES[options.value]
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        small = contender()
        await small.open(Path(directory), kind)
        await fill(small, options.small, make)
        gc.collect()
        gc.disable()
        before = resident()
        large = contender()
        await large.open(Path(directory), kind)
        await fill(large, options.entries, make)
        gc.enable()
        gc.collect()
        growth = resident() - before
        for index in (0, options.entries // 2, options.entries - 1):
            if not values.same(await large.get(key_of(index)), make(index)):
                raise SystemExit(f"wrong value of {key_of(index)}")
        timings: dict[str, list[float]] = {"prefix_small": [], "prefix_large": []}
        if large.prefix is not None:
            gc.freeze()
            gc.disable()
            for number in range(options.rounds + 2):
                pair = [
                    await list_prefix(small, number * 7 % (options.small // GROUP)),
                    await list_prefix(large, number * 7919 % (options.entries // GROUP)),
                ]
                if number >= 2:  # the first two are the warm-up
                    for name, took in zip(timings, pair, strict=True):
                        timings[name].append(took)
        await small.close()
        await large.close()
    return {"bytes_an_entry": growth / options.entries, **timings}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("contender")
    parser.add_argument("--entries", type=int, required=True)
    parser.add_argument("--small", type=int, required=True)
    parser.add_argument("--value", choices=VALUES, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--uvloop", action="store_true")
    arguments = parser.parse_args()
    print(json.dumps(loops.run(main(arguments), uvloop=arguments.uvloop)))

"""A mixed load for minutes or hours: `python tests/soak.py --minutes 30 --url sqlite:soak.db`.

Churn, expiring entries, large values, listings and transactions, by some tasks at once, on a storage of bounded size.
Prints what each minute measured. Exits with 1 where memory, descriptors, threads or bytes on the disk grow, where the
latencies of the last fifth exceed one and a half times those of the first, or where calls failed. The first tenth warms
up and doesn't count. `--server postgres` (or mariadb, redis, redis-cluster, s3) starts a private server instead of `--url`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from typing import TYPE_CHECKING, Any

from rrag_storage import connect
from servers import KINDS
from soaking import samples
from soaking.load import Load
from soaking.samples import Meter, Sample
from soaking.verdict import complaints, table

if TYPE_CHECKING:
    from collections.abc import Callable

PERIODS = 10
"""The fewest periods that a soak is cut into, however short."""


async def soak(storage: Any, seconds: float, told: Callable[[Sample], None] = lambda _: None) -> list[Sample]:
    """Puts the load on a storage for so many seconds after the warm-up. Calls `told` with each sample, and returns all."""
    meter = Meter()
    load = Load(storage, meter)
    await load.prepare()
    working = asyncio.create_task(load.run())
    taken: list[Sample] = []
    period = min(60.0, seconds / PERIODS)
    try:
        await _wait(working, seconds / PERIODS)
        meter.take()
        began = time.monotonic()
        while (done := time.monotonic() - began) < seconds:
            await _wait(working, min(period, seconds - done + 0.001))
            latencies, failed = meter.take()
            held = await samples.storage(storage)
            sample = Sample(time.monotonic() - began, latencies, failed, **samples.process(), **held)  # type: ignore[arg-type]
            taken.append(sample)
            told(sample)
    finally:
        load.stop()
        await working
    return taken


async def _wait(working: asyncio.Task[None], seconds: float) -> None:
    """Lets the load work; what it raises is raised at once."""
    await asyncio.wait([working], timeout=seconds)
    if working.done():
        working.result()


def arguments() -> argparse.Namespace:
    """The command line's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--url", help="of the storage, which should be empty")
    where.add_argument("--server", choices=list(KINDS), help="a private server of this kind")
    return parser.parse_args()


async def main() -> int:
    """The exit code."""
    asked = arguments()
    with contextlib.ExitStack() as stack:
        options = {"url": asked.url} if asked.url else stack.enter_context(KINDS[asked.server]()).options()
        async with connect(**options) as storage:
            print(f"{storage.backend_name}, {asked.minutes:g} minutes", file=sys.stderr)
            taken = await soak(
                storage, asked.minutes * 60, lambda each: print(table([each]).splitlines()[-1], file=sys.stderr)
            )
    print(table(taken))
    found = complaints(taken)
    failed = sum(sample.failed for sample in taken)
    if failed:
        found.append(f"{failed} calls failed")
    print("\n".join(found) or f"flat: {sum(sample.calls for sample in taken):,} calls")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))

"""`copy`: from one storage to another."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import typer

from ... import MemoryQuery
from .. import output
from ..copying import Copier
from ..filters import After, Namespace, Pattern, Prefix
from ..output import Json
from ..places import Place


async def copy(
    source: Place,
    target: Place,
    namespace: Namespace = None,
    prefix: Prefix = None,
    pattern: Pattern = None,
    after: After = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave entries of the target whose keys the source has too.")
    ] = False,
    page_size: Annotated[int, typer.Option("--page-size", min=1, metavar="N", help="Entries at a time.")] = 500,
    workers: Annotated[
        int, typer.Option("--workers", min=1, max=64, metavar="N", help="Pages read and written at once.")
    ] = 4,
    json: Json = False,
) -> None:
    """Copy the entries of SOURCE to TARGET, with their versions, times and expiries.

    Where it was interrupted, run it again: what the target has in the same version is not written again. Nothing is
    deleted from the target.
    """
    query = MemoryQuery(namespace=namespace, prefix=prefix, pattern=pattern)
    began = time.monotonic()
    async with source.open() as old, target.open(create=True) as new:
        with output.progress("entries") as bar:
            total = None if pattern or after else await old.count(namespace, prefix=prefix)
            task = bar.add_task("copy", total=total)
            copier = Copier(old, new, query, overwrite=not keep, page_size=page_size)
            try:
                await copier.run(after, workers, lambda: bar.update(task, completed=copier.copied + copier.skipped))
            except asyncio.CancelledError:
                output.note(f"{copier.copied} copied; run the same command again to go on")
                raise
    seconds = time.monotonic() - began
    if json:
        output.say_json({"copied": copier.copied, "skipped": copier.skipped, "seconds": round(seconds, 3)})
    else:
        output.say(f"{copier.copied} copied, {copier.skipped} were there already, {seconds:.1f} s")

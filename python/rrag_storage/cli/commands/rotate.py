"""`rotate`: everything rewritten into the present options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .. import output
from ..output import Json
from ..places import Place

if TYPE_CHECKING:
    from ... import RotateProgress


async def rotate(
    place: Place,
    page_size: Annotated[int, typer.Option("--page-size", min=1, metavar="N", help="Records at a time.")] = 500,
    json: Json = False,
) -> None:
    """Rewrite what was stored with other keys, compression or large values into the options given here.

    Where it was interrupted, run it again: what is rewritten already is only looked at.
    """
    async with place.open() as storage:
        with output.progress("records") as bar:
            task = bar.add_task("rotate", total=await storage.count())

            def show(so_far: RotateProgress) -> None:
                bar.update(task, completed=so_far.seen)

            done = await storage.rotate(progress=show, page_size=page_size)
    if json:
        output.say_json({"seen": done.seen, "rewritten": done.rewritten})
    else:
        output.say(f"{done.rewritten} of {done.seen} records rewritten")

"""`delete`: keys, or all under a namespace or prefix."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from .. import output
from ..exits import CommandError, Exit
from ..filters import Namespace, Prefix
from ..output import Json
from ..places import Place


async def delete(
    place: Place,
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY]...", help="The keys; after -- where one starts with a dash.")
    ] = None,
    namespace: Namespace = None,
    prefix: Prefix = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask before deleting a namespace or prefix.")] = False,
    json: Json = False,
) -> None:
    """Delete KEYs in one step, or all that is under a namespace or prefix."""
    if bool(keys) == (namespace is not None or prefix is not None):
        raise CommandError("give either keys, or --namespace or --prefix")
    if "" in (namespace, prefix):
        raise CommandError("an empty --namespace or --prefix would not say what to delete")
    async with place.open() as storage:
        if keys:
            deleted = await storage.mdelete(keys)
        else:
            if not yes:
                _confirm(await storage.count(namespace, prefix=prefix))
            deleted = await storage.clear(namespace, prefix=prefix)
    if json:
        output.say_json({"deleted": deleted})
    else:
        output.say(f"{deleted} deleted")
    if deleted < len(set(keys or [])):
        raise typer.Exit(Exit.NOT_FOUND)


def _confirm(count: int) -> None:
    if not sys.stdin.isatty():
        raise CommandError(f"{count} entries would go; say --yes where nobody can be asked")
    if not typer.confirm(f"Delete {count} entries?", err=True):
        raise CommandError("nothing was deleted", Exit.NOT_FOUND)

"""`ls`: the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ... import MemoryQuery
from .. import output
from ..filters import After, Namespace, Pattern, Prefix, page
from ..output import Json
from ..places import Place

if TYPE_CHECKING:
    from ... import MemoryEntry

_PAGE = 1_000


async def ls(
    place: Place,
    namespace: Namespace = None,
    prefix: Prefix = None,
    pattern: Pattern = None,
    after: After = None,
    limit: Annotated[int | None, typer.Option("--limit", min=0, metavar="N", help="At most N keys.")] = None,
    long: Annotated[bool, typer.Option("--long", help="Kind, size and times too. Reads the values.")] = False,
    json: Json = False,
) -> None:
    """List keys, a line each, in key order."""
    query = MemoryQuery(namespace=namespace, prefix=prefix, pattern=pattern, after=after, limit=limit)
    async with place.open() as storage:
        if long:
            async for entry in storage.entries(query):
                if json:
                    output.say_json(described(entry))
                else:
                    output.say(_row(entry))
            return
        left = limit
        while left is None or left > 0:
            keys = await storage.keys(page(query, after, _PAGE if left is None else min(left, _PAGE)))
            if not keys:
                return
            for key in keys:
                if json:
                    output.say_json({"key": key})
                else:
                    output.say(output.printable(key))
            after = keys[-1]
            left = None if left is None else left - len(keys)


def described(entry: MemoryEntry) -> dict[str, object]:
    """What a storage knows of an entry beside its value, as JSON has it."""
    return {
        "key": entry.key,
        "kind": entry.kind,
        "size_bytes": entry.size_bytes,
        "created_at": output.moment(entry.created_at),
        "updated_at": output.moment(entry.updated_at),
        "expires_at": output.moment(entry.expires_at),
        # More digits than most readers of JSON take for a number.
        "version": str(entry.version),
    }


def _row(entry: MemoryEntry) -> str:
    updated = entry.updated_at.isoformat(sep=" ", timespec="seconds")[:19]
    expires = "-" if entry.expires_at is None else entry.expires_at.isoformat(sep=" ", timespec="seconds")[:19]
    key = output.printable(entry.key)
    return f"{entry.kind:<9} {output.size(entry.size_bytes):>10}  {updated}  {expires:<19}  {key}"

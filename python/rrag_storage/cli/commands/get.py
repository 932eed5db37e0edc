"""`get`: one value."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import notation, output
from ..exits import CommandError, Exit
from ..output import Json
from ..places import Place
from .ls import described

if TYPE_CHECKING:
    from ... import MemoryEntry


async def get(
    place: Place,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key; after -- where it starts with a dash.")],
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="Write the value, text or bytes, into FILE.")
    ] = None,
    json: Json = False,
) -> None:
    """Print the value of KEY: text and bytes as they are, anything else as docs/cli.md writes values."""
    if json and file is not None:
        raise CommandError("--json and --file exclude one another")
    async with place.open() as storage:
        entry = await storage.get_entry(key)
    if entry is None:
        raise CommandError(f"there is no key {key!r}", Exit.NOT_FOUND)
    if json:
        output.say_json({**described(entry), "value": notation.encoded(entry.value, entry.kind)})
    elif file is not None:
        file.write_bytes(_raw(entry))
    else:
        _show(entry)


def _raw(entry: MemoryEntry) -> bytes:
    value = entry.value
    return value if entry.kind == "bytes" else _text(entry).encode()


def _text(entry: MemoryEntry) -> str:
    value = entry.value
    return value if entry.kind == "string" else notation.dumps(value, entry.kind)


def _show(entry: MemoryEntry) -> None:
    is_terminal = sys.stdout.isatty()
    if entry.kind != "bytes":
        text = _text(entry)
        output.say("\n".join(map(output.printable, text.split("\n"))) if is_terminal else text)
    elif is_terminal:
        output.say(notation.dumps(entry.value))
        output.note("bytes go as they are into a pipe, or into a file with --file")
    else:
        output.write(entry.value)

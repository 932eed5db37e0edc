"""`export`: everything into a file."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Annotated

import typer

from ... import MemoryQuery
from .. import output
from ..exits import CommandError
from ..filters import After, Namespace, Pattern, Prefix
from ..formats import Format, FormatOption, format_of
from ..json_lines import JsonLinesWriter
from ..output import Json
from ..parquet import ParquetWriter
from ..places import Place

_TOLD = 500


async def export(
    place: Place,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A new file, or - for stdout.")],
    namespace: Namespace = None,
    prefix: Prefix = None,
    pattern: Pattern = None,
    after: After = None,
    format_: FormatOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE where it exists.")] = False,
    json: Json = False,
) -> None:
    """Write entries with their values and expiries into FILE, in the clear even where the storage is encrypted.

    FILE is there when the export is whole, and not before.
    """
    if json and file == "-":
        raise CommandError("--json and stdout exclude one another")
    query = MemoryQuery(namespace=namespace, prefix=prefix, pattern=pattern, after=after)
    async with place.open() as storage:
        total = None if pattern or after else await storage.count(namespace, prefix=prefix)
        count = 0
        with _new_file(file, force=force) as stream, output.progress("entries") as bar:
            task = bar.add_task("export", total=total)
            make = ParquetWriter if format_of(file, format_) is Format.PARQUET else JsonLinesWriter
            writer = make(stream)
            async for entry in storage.entries(query):
                writer.write(entry)
                count += 1
                if count % _TOLD == 0:
                    bar.update(task, completed=count)
            writer.finish()
    if json:
        output.say_json({"exported": count})
    elif file != "-":
        output.say(f"{count} entries exported")


@contextmanager
def _new_file(name: str, *, force: bool) -> Iterator[IO[bytes]]:
    """A stream that becomes the file `name` at the end of the block; nothing is left of it where the block fails."""
    path = Path(name)
    if name == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if path.exists() and not path.is_file():  # a pipe, a device
        with path.open("wb") as stream:
            yield stream
        return
    if path.exists() and not force:
        raise CommandError(f"{name} exists; --force replaces it")
    try:
        # For nobody else to read, as the storage may have been.
        descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise CommandError(f"{name} can't be written: {error.strerror}") from None
    try:
        with open(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(part)

"""`import`: what an export holds."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Annotated

import typer

from .. import output
from ..exits import CommandError, Exit
from ..formats import Format, FormatOption, format_of
from ..importing import Importer
from ..json_lines import read_json_lines
from ..output import Json
from ..parquet import read_parquet
from ..places import Place
from ..records import BadRecordError, CutOffError


async def import_(
    place: Place,
    file: Annotated[str, typer.Argument(metavar="FILE", help="An export, or - for stdin.")],
    format_: FormatOption = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Name what can't be read or stored, and go on after it.")
    ] = False,
    json: Json = False,
) -> None:
    """Store what FILE holds, over what the storage has under the same keys.

    It ends at the first line that can't be read or stored: all before it is stored then, and nothing after it.
    """
    is_parquet = format_of(file, format_) is Format.PARQUET
    if is_parquet and file == "-":
        raise CommandError("a Parquet file is read from its end: name a file, not stdin")
    read = read_parquet if is_parquet else read_json_lines
    reason = None
    with _stream(file) as stream:
        async with place.open(create=True) as storage:
            importer = Importer(storage, bad=(lambda error: output.note(str(error))) if skip_bad else None)
            with output.progress("entries") as bar:
                task = bar.add_task("import", total=None)
                try:
                    await importer.run(read(stream), lambda: bar.update(task, completed=importer.imported))
                except BadRecordError as error:
                    reason = f"{error}; nothing from there on was imported"
                except CutOffError as error:
                    reason = str(error)
    if json:
        output.say_json({"imported": importer.imported, "expired": importer.expired, "bad": importer.bad})
    else:
        output.say(f"{importer.imported} entries imported, {importer.expired} had expired, {importer.bad} were bad")
    if reason is not None:
        raise CommandError(reason, Exit.UNREADABLE)
    if importer.bad:
        raise typer.Exit(Exit.UNREADABLE)


def _stream(file: str) -> AbstractContextManager[IO[bytes]]:
    if file == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise CommandError(f"{file} can't be read: {error.strerror}") from None

"""`import`: what an export holds."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Annotated

import typer

from ... import StorageError
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
    reason = None
    with _stream(file) as stream:
        async with place.open(create=True) as storage:
            records = read_parquet(stream) if is_parquet else read_json_lines(_lines(stream))
            importer = Importer(storage, bad=(lambda error: output.note(str(error))) if skip_bad else None)
            with output.progress("import", "entries", None) as show:
                try:
                    await importer.run(records, lambda: show(importer.imported))
                except BadRecordError as error:
                    reason = f"{error}; nothing from there on was imported"
                except CutOffError as error:
                    reason = str(error)
                except (StorageError, asyncio.CancelledError, KeyboardInterrupt):
                    output.note(f"{importer.imported} entries imported; run the same command again")
                    raise
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


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    """The lines of a stream, where an interrupt ends the wait for one: asyncio's handler would let it go on."""
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):  # interrupts are ignored
        yield from stream
        return
    while True:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            line = stream.readline()
        finally:
            signal.signal(signal.SIGINT, handler)
        if not line:
            return
        yield line

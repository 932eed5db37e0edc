"""What commands print: results on stdout, for people or as JSON; everything else on stderr.

Colours and bars are for terminals alone, and `NO_COLOR` takes the colours away.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime, timezone
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
"""The option that every command has which prints."""

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def say(text: str) -> None:
    """A line on stdout, in UTF-8 whatever the locale."""
    write(f"{text}\n".encode())


def write(data: bytes) -> None:
    """Bytes on stdout, after what was printed before."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def say_json(document: Any) -> None:
    """One JSON document as a line on stdout."""
    say(json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")))


def note(text: str) -> None:
    """A line on stderr: what is no result."""
    print(f"rrag-storage: {text}", file=sys.stderr, flush=True)


def stdout() -> Console:
    """For tables; as wide as the lines are where nobody reads them on a terminal."""
    console = Console(highlight=False, markup=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, width=200)


def progress(unit: str) -> Progress:
    """A bar on stderr; nothing where that is no terminal."""
    console = Console(stderr=True, highlight=False)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def printable(text: str) -> str:
    """`text` in one line, without what a terminal would take for a command."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def cell(text: str, style: str = "") -> Text:
    """`printable(text)` in a table; nothing in it is markup."""
    return Text(printable(text), style=style)


def size(count: float) -> str:
    """Bytes for people: `1.5 MiB`."""
    for unit in _UNITS:
        if count < 1024 or unit == _UNITS[-1]:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("the last unit takes every size")


def moment(when: datetime | None) -> str | None:
    """A time in ISO 8601, UTC, to the microsecond."""
    return None if when is None else when.astimezone(timezone.utc).isoformat(timespec="microseconds")

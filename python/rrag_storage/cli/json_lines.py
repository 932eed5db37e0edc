"""Exports as JSON lines: a line that names the format, a line an entry, and a line that says how many there were.

The last line tells a whole export from one that was cut off. Exports may follow one another in a file. Lines of entries
alone, without the first and the last, are read too.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any

from . import notation
from .output import moment
from .records import BadRecordError, CutOffError, Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .. import MemoryEntry

VERSION = 1


class JsonLinesWriter:
    """Writes an export to a binary stream; `finish` makes it whole."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._count = 0
        self._line({"rrag-storage": VERSION})

    def write(self, entry: MemoryEntry) -> None:
        """Adds an entry."""
        line: dict[str, Any] = {"key": entry.key, "value": notation.encoded(entry.value, entry.kind)}
        if entry.expires_at is not None:
            line["expires_at"] = moment(entry.expires_at)
        self._line(line)
        self._count += 1

    def finish(self) -> None:
        """Adds the last line."""
        self._line({"entries": self._count})

    def _line(self, data: Any) -> None:
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        self._stream.write(text.encode() + b"\n")


def read_json_lines(stream: IO[bytes]) -> Iterator[Record | BadRecordError]:
    """The records of a stream, and in their places the lines that are none.

    Raises:
        CutOffError: at the end, where the last line is missing or counts other than what was there.
    """
    expected: int | None = None
    number = 0
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            data = notation.parse(line)
        except notation.NotationError as error:
            data = error
        match data:
            case {"rrag-storage": version, **rest} if not rest:
                if expected is not None:
                    raise CutOffError(f"{place}: another export begins where the one before it has not ended")
                if version != VERSION:
                    raise CutOffError(f"{place}: the export has format {version!r}; format {VERSION} is what is read")
                expected = 0
            case {"entries": count, **rest} if not rest:
                if count != expected:
                    raise CutOffError(f"{place}: it counts {count} entries, and {expected or 0} stand before it")
                expected = None
            case _:
                expected = None if expected is None else expected + 1
                yield _record(place, data, len(line))
    if expected is not None:
        raise CutOffError(f"the export is cut off after line {number}: its last line is missing")


def _record(place: str, data: Any, size: int) -> Record | BadRecordError:
    try:
        if isinstance(data, notation.NotationError):
            raise data
        if not isinstance(data, dict) or not {"key", "value"} <= data.keys() <= {"key", "value", "expires_at"}:
            raise notation.NotationError('an entry has "key", "value" and, where it expires, "expires_at"')
        if type(data["key"]) is not str:
            raise notation.NotationError('"key" is no text')
        return Record(place, data["key"], notation.decoded(data["value"]), expiry(data.get("expires_at")), size)
    except notation.NotationError as error:
        return BadRecordError(place, str(error))


def expiry(text: Any) -> datetime | None:
    """The time that `text` says; None for None.

    Raises:
        NotationError: it says none.
    """
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise notation.NotationError('"expires_at" is no time in ISO 8601') from None
    if when.tzinfo is None:
        raise notation.NotationError('"expires_at" needs an offset from UTC: 2026-01-02T03:04:05+00:00')
    return when

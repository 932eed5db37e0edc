"""`set`: one value."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from ... import MemoryValue
from .. import notation
from ..exits import CommandError
from ..places import Place


class Type(str, Enum):
    """What VALUE is read as."""

    STR = "str"
    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    NULL = "null"
    BYTES = "bytes"
    DATETIME = "datetime"
    DATE = "date"
    TIME = "time"
    DECIMAL = "decimal"
    UUID = "uuid"
    JSON = "json"
    NOTATION = "notation"


_BOOLEANS = {"true": True, "false": False}
_READERS: dict[Type, Callable[[str], Any]] = {
    Type.STR: str,
    Type.INT: int,
    Type.FLOAT: float,
    Type.BOOL: lambda text: _BOOLEANS[text.lower()],
    Type.NULL: lambda text: {"null": None, "": None}[text],
    Type.DATETIME: datetime.fromisoformat,
    Type.DATE: date.fromisoformat,
    Type.TIME: time.fromisoformat,
    Type.DECIMAL: Decimal,
    Type.UUID: UUID,
    Type.JSON: lambda text: MemoryValue.json(notation.parse(text)),  # a document, which has a kind of its own
    Type.NOTATION: notation.loads,
}


async def set_(
    place: Place,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key; after -- where it starts with a dash.")],
    value: Annotated[str | None, typer.Argument(metavar="[VALUE]", help="The value, unless --file is given.")] = None,
    type_: Annotated[Type | None, typer.Option("--type", help="What VALUE is.")] = None,
    json: Annotated[
        bool, typer.Option("--json", help="VALUE is JSON: its maps, lists, numbers and texts are stored as such.")
    ] = False,
    file: Annotated[
        str | None, typer.Option("--file", metavar="FILE", help="Take the value from FILE, - for stdin: bytes.")
    ] = None,
    ttl: Annotated[float | None, typer.Option("--ttl", metavar="SECONDS", help="Let it expire after so long.")] = None,
) -> None:
    """Store VALUE under KEY: text, unless an option says otherwise. An older value and its expiry go."""
    if json and type_ is not None:
        raise CommandError("--json and --type exclude one another")
    if (value is None) == (file is None) and type_ is not Type.NULL:
        raise CommandError("give either VALUE or --file")
    given = _data(file) if value is None else value
    stored = _json(given) if json else _stored(given, type_)
    async with place.open(create=True) as storage:
        try:
            await storage.set(key, stored, ttl)
        except ValueError as error:
            # A ttl that is not positive and finite; a storage's own errors say more of themselves.
            raise error if hasattr(error, "retryable") else CommandError(str(error)) from None


def _data(file: str | None) -> bytes:
    if file is None:
        return b""
    return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()


def _json(given: str | bytes) -> Any:
    try:
        return notation.parse(given)
    except notation.NotationError as error:
        raise CommandError(f"the value can't be read: {error}") from None


def _stored(given: str | bytes, kind: Type | None) -> Any:
    """The value that `given` is, as a `kind`; text on the command line and bytes of a file where None is asked for."""
    if kind is Type.BYTES or (kind is None and isinstance(given, bytes)):
        return given if isinstance(given, bytes) else given.encode("utf-8", "surrogateescape")
    try:
        text = given.decode() if isinstance(given, bytes) else given
        return _READERS[kind or Type.STR](text)
    except notation.NotationError as error:
        raise CommandError(f"the value can't be read: {error}") from None
    except (KeyError, ValueError, ArithmeticError):
        raise CommandError(f"the value is no {(kind or Type.STR).value}") from None

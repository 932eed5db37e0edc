"""What an export holds of an entry, and what is wrong with a part of one that can't be read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Record:
    """An entry on its way into a storage.

    Attributes:
        place: where it stood: `line 12`, `row 12`.
        key: its key.
        value: its value; a `MemoryValue` where it is a JSON document.
        expires_at: when it expires, aware; None where it never does.
        size: about how many bytes it takes.
    """

    place: str
    key: str
    value: Any
    expires_at: datetime | None
    size: int


class BadRecordError(ValueError):
    """A line or a row that is no entry; what follows it can be read.

    Attributes:
        place: where it stands: `line 12`.
    """

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place


class CutOffError(ValueError):
    """An export that ends before its end, or is damaged from some place on."""

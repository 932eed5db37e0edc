"""Bytes, taken apart into choices."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


class Choices:
    """What is left of some bytes. Past their end every choice is the first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def bytes(self, most: int) -> bytes:
        """At most `most` bytes."""
        start = self._at
        self._at = min(start + most, len(self._data))
        return self._data[start : self._at]

    def rest(self) -> bytes:
        """All that is left."""
        return self.bytes(len(self._data))

    def byte(self) -> int:
        """A number below 256."""
        taken = self.bytes(1)
        return taken[0] if taken else 0

    def below(self, end: int) -> int:
        """A number below `end`, of at most 65,536."""
        return int.from_bytes(self.bytes(1 if end <= 256 else 2), "little") % end

    def of(self, options: Sequence[T]) -> T:
        """One of them."""
        return options[self.below(len(options))]

    def integer(self) -> int:
        """Of any sign, small more often than large."""
        size = self.of((1, 1, 2, 4, 8, 9, 16, 300))
        return int.from_bytes(self.bytes(size), "little", signed=True)

    def text(self) -> str:
        """Text; whatever is no UTF-8 stands in it as U+FFFD."""
        return self.bytes(self.below(24)).decode(errors="replace")

"""What goes wrong between a value and a model, before anyone knows under which key."""

from __future__ import annotations


class Misfit(Exception):  # noqa: N818  # never leaves the package: it becomes an InvalidValueError
    """A value that does not fit, told from the inside out: whoever holds it puts his own place before `where`."""

    def __init__(self, why: str, where: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.where = where

    def under(self, place: str) -> Misfit:
        """The same one, seen from what holds it at `place`: `.name` or `[3]`."""
        self.where = place + self.where
        return self

    def __str__(self) -> str:
        where = self.where.removeprefix(".")
        return f"{where}: {self.why}" if where else self.why


def kind_of(value: object) -> str:
    """The name of a value's type, as messages say it."""
    return "None" if value is None else type(value).__name__

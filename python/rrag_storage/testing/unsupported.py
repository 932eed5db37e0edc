"""Subclasses of the types that are stored, and numpy's that aren't: none may be taken for what it resembles."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

try:
    import numpy
except ImportError:
    numpy = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable


class Str(str):
    """A str that is more than one."""

    __slots__ = ()


class Int(int):
    """An int that is more than one."""


class Float(float):
    """A float that is more than one."""


class Bytes(bytes):
    """Bytes that are more than that."""


class List(list):  # type: ignore[type-arg]
    """A list whose length and items lie."""

    def __len__(self) -> int:
        return 2**40

    def __iter__(self) -> Any:
        raise ZeroDivisionError


class Dict(dict):  # type: ignore[type-arg]
    """A dict whose items lie."""

    def items(self) -> Any:
        raise ZeroDivisionError


class Tuple(tuple):  # type: ignore[type-arg]
    """A tuple that is more than one."""

    __slots__ = ()


class Set(set):  # type: ignore[type-arg]
    """A set that is more than one."""


class FrozenSet(frozenset):  # type: ignore[type-arg]
    """A frozenset that is more than one."""


class DateTime(datetime):
    """A datetime that is more than one, as pandas.Timestamp is."""


class Date(date):
    """A date that is more than one."""


class Time(time):
    """A time that is more than one."""


class TimeDelta(timedelta):
    """A timedelta that is more than one."""


class Number(Decimal):
    """A Decimal that is more than one."""


class Identity(UUID):
    """A UUID that is more than one."""


class Impostor:
    """Says that it is a dict, hashes and compares with an exception."""

    @property
    def __class__(self) -> Any:
        return dict

    def __eq__(self, _other: object) -> bool:
        raise ZeroDivisionError

    def __hash__(self) -> int:
        raise ZeroDivisionError

    def __len__(self) -> int:
        raise ZeroDivisionError

    def __iter__(self) -> Any:
        raise ZeroDivisionError

    def __repr__(self) -> str:
        raise ZeroDivisionError


SUBCLASSES: dict[str, Callable[[], Any]] = {
    "Str": lambda: Str("x"),
    "Int": lambda: Int(1),
    "Float": lambda: Float(1.5),
    "Bytes": lambda: Bytes(b"x"),
    "List": lambda: List([1]),
    "Dict": lambda: Dict(a=1),
    "Tuple": lambda: Tuple((1,)),
    "Set": lambda: Set({1}),
    "FrozenSet": lambda: FrozenSet({1}),
    "DateTime": lambda: DateTime(2024, 1, 2),
    "Date": lambda: Date(2024, 1, 2),
    "Time": lambda: Time(12, 0),
    "TimeDelta": lambda: TimeDelta(seconds=1),
    "Number": lambda: Number("1.5"),
    "Identity": lambda: Identity(int=1),
    "Impostor": Impostor,
}
"""By class name, what makes one."""


def _arrays() -> dict[str, tuple[Callable[[], Any], str]]:
    if numpy is None:
        return {}
    masked: Any = numpy.ma
    return {
        "object-dtype": (lambda: numpy.array([object()], dtype=object), "object"),
        "str-dtype": (lambda: numpy.array(["a"]), "dtype"),
        "bytes-dtype": (lambda: numpy.array([b"a"]), "dtype"),
        "complex-dtype": (lambda: numpy.array([1j]), "complex"),
        "datetime-dtype": (lambda: numpy.array(["2024-01-02"], dtype="datetime64[D]"), "datetime64"),
        "timedelta-dtype": (lambda: numpy.array([1], dtype="timedelta64[s]"), "timedelta64"),
        "structured": (lambda: numpy.zeros(2, dtype=[("a", "i4"), ("b", "f8")]), "dtype"),
        "str-scalar": (lambda: numpy.str_("a"), "str"),
        "bytes-scalar": (lambda: numpy.bytes_(b"a"), "bytes"),
        "complex-scalar": (lambda: numpy.complex64(1j), "complex"),
        "datetime-scalar": (lambda: numpy.datetime64("2024-01-02"), "datetime64"),
        "masked-array": (lambda: masked.array([1, 2], mask=[True, False]), "MaskedArray"),
        "record-array": (lambda: numpy.zeros(2, dtype=[("a", "i4")]).view(numpy.recarray), "recarray"),
        "subclass": (lambda: numpy.ones(2).view(Array), "Array"),
        "dtype": (lambda: numpy.dtype("int8"), "dtype"),
    }


if numpy is not None:

    class Array(numpy.ndarray):  # type: ignore[type-arg]
        """An array that is more than one."""


ARRAYS = _arrays()
"""By name, what makes one, and a word that the message holds."""

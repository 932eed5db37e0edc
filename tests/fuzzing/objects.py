"""Choices made into nested objects."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
from rrag_storage.testing import unsupported
from rrag_storage.testing.cases import DEEPEST

if TYPE_CHECKING:
    from .choices import Choices

T = TypeVar("T")

ZONE = ZoneInfo("UTC")
DTYPES = ("?", "i1", "u1", *(order + kind for order in "<>" for kind in ("i2", "u2", "i4", "u8", "f2", "f4", "f8")))
REFUSED = (*unsupported.SUBCLASSES.values(), *(make for make, _ in unsupported.ARRAYS.values()), object, lambda: 1j)
LONG = unsupported.Str("longer than a key that is made of choices")
MOST = 200
"""The most parts of one object: what a few bytes say may be as large as it likes otherwise."""


class Objects:
    """Makes an object out of choices.

    Attributes:
        refused: whether something is in it that no storage takes.
    """

    def __init__(self, choices: Choices) -> None:
        self.refused = False
        self._choices = choices
        self._made = 0
        self._doubled = 0
        self._around: list[Any] = []

    def any(self) -> Any:
        """An object of any kind, in the containers that are open."""
        self._made += 1
        if self._made > MOST:
            return None
        make = self._choices.of((*SCALARS, *CONTAINERS) if len(self._around) <= DEEPEST else SCALARS)
        return make(self)

    def _refuse(self, value: Any) -> Any:
        self.refused = True
        return value

    # What stands alone

    def none(self) -> None:
        return None

    def boolean(self) -> bool:
        return bool(self._choices.below(2))

    def integer(self) -> int:
        return self._choices.integer()

    def real(self) -> float:
        special = (0.0, -0.0, float("nan"), float("inf"), float("-inf"), 5e-324, 1.7976931348623157e308)
        if self._choices.below(2):
            return self._choices.of(special)
        return float(np.frombuffer(self._choices.bytes(8).ljust(8, b"\0"), "<f8")[0])

    def text(self) -> str:
        text = self._choices.text()
        return text if self._choices.below(16) != 15 else self._refuse(text + "\udc80")

    def octets(self) -> bytes:
        return self._choices.bytes(self._choices.below(64))

    def decimal(self) -> Decimal:
        digits = tuple(byte % 10 for byte in self._choices.bytes(self._choices.below(40)))
        exponent: Any = self._choices.of((0, -2, 5, "n", "N", "F", self._choices.below(60_000) - 30_000))
        return Decimal((self._choices.below(2), digits, exponent))

    def uuid(self) -> UUID:
        return UUID(bytes=self._choices.bytes(16).ljust(16, b"\0"))

    def day(self) -> date:
        return date.fromordinal(1 + int.from_bytes(self._choices.bytes(3), "little") % date.max.toordinal())

    def clock(self) -> time:
        second, micro = self._choices.below(60), int.from_bytes(self._choices.bytes(3), "little") % 1_000_000
        zone = None if self._choices.below(2) else self._offset()
        return time(self._choices.below(24), 59, second, micro, zone, fold=self._choices.below(2))

    def moment(self) -> datetime:
        zone = ZONE if self._choices.below(8) == 7 else None
        at = datetime.combine(self.day(), self.clock())
        return at.replace(tzinfo=zone) if zone else at

    def span(self) -> timedelta:
        days, micros = self._choices.below(40_000) - 20_000, self._choices.integer() % 86_400_000_000
        return timedelta(days=days * self._choices.of((1, 49_999)), microseconds=micros)

    def _offset(self) -> timezone:
        return timezone(timedelta(seconds=self._choices.below(60_000) - 30_000, microseconds=self._choices.below(2)))

    def array(self) -> np.ndarray[Any, Any]:
        dtype = np.dtype(self._choices.of(DTYPES))
        shape = tuple(self._choices.below(4) for _ in range(self._choices.below(4)))
        size = int(np.prod(shape)) * dtype.itemsize
        data = bytearray(self._choices.bytes(size).ljust(size, b"\x01"))
        if dtype.kind == "b":
            data = bytearray(byte & 1 for byte in data)
        made = np.frombuffer(data, dtype).reshape(shape)
        views = (
            made,
            np.asfortranarray(made),
            made.T,
            made[..., ::-1] if shape else made,
            made.copy()[::2] if shape else made,
        )
        return self._choices.of(views)

    def number(self) -> Any:
        dtype = np.dtype(self._choices.of(DTYPES)).newbyteorder("=")
        data = self._choices.bytes(dtype.itemsize).ljust(dtype.itemsize, b"\0")
        return np.bool_(data[0] & 1) if dtype.kind == "b" else np.frombuffer(data, dtype)[0]

    def strange(self) -> Any:
        """What no storage takes."""
        return self._refuse(self._choices.of(REFUSED)())

    def ancestor(self) -> Any:
        """A container that this stands in: a cycle."""
        around = [container for container in self._around if container is not None]
        return self._refuse(self._choices.of(around)) if around else None

    # What holds others

    def list(self) -> list[Any]:
        made: list[Any] = []
        for _ in range(self._enter(made)):
            made.append(self.any())
        return self._leave(made)

    def tuple(self) -> tuple[Any, ...]:
        many = self._enter(None)
        made = tuple(self.any() for _ in range(many))
        return self._leave(made)

    def dict(self) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        for _ in range(self._enter(made)):
            key = self._choices.text()
            if key not in made:
                made[key] = self.any()
        if made and self._choices.below(32) == 31:
            made[self._choices.of((1, None, b"key", ("key",), "\ud800", unsupported.Str("other")))] = self._refuse(0)
        return self._leave(made)

    def set(self) -> set[Any]:
        return self._leave({self._member(0) for _ in range(self._enter(None))})

    def frozenset(self) -> frozenset[Any]:
        return self._leave(frozenset(self._member(0) for _ in range(self._enter(None))))

    def twice(self) -> Any:
        """One object in two places, which is no cycle. Inside each other they would be millions soon."""
        self._doubled += 1
        if self._doubled > 4:
            return None
        self._enter(None)
        inner = self.any()
        return self._leave([inner, inner])

    def deep(self) -> Any:
        """In so many containers that it may be too many."""
        depth = self._choices.below(DEEPEST + 8)
        for _ in range(depth):
            self._enter(None)
        made: Any = self.any()
        for wrap in (self._choices.of(WRAPS) for _ in range(depth)):
            made = self._leave(wrap(made))
        return made

    def _member(self, depth: int) -> Any:
        """Something that can be hashed. What may be dropped for an equal member is nothing that is refused."""
        make = self._choices.of(HASHABLE)
        if make is Objects.tuple:
            many = self._enter(None) if depth < 3 else 0
            members = tuple(self._member(depth + 1) for _ in range(many % 4))
            return self._leave(members) if depth < 3 else members
        made = make(self)
        return 0 if isinstance(made, Decimal) and made.is_snan() else made

    def _enter(self, container: Any) -> int:
        """How many items a container gets that is opened here."""
        self._around.append(container)
        if len(self._around) > DEEPEST:
            self.refused = True
        return self._choices.of((0, 1, 1, 2, 3, 5))

    def _leave(self, made: T) -> T:
        self._around.pop()
        return made


HASHABLE = (
    Objects.integer,
    Objects.text,
    Objects.octets,
    Objects.none,
    Objects.boolean,
    Objects.real,
    Objects.decimal,
    Objects.uuid,
    Objects.day,
    Objects.clock,
    Objects.moment,
    Objects.span,
    Objects.number,
    Objects.tuple,
)
SCALARS = (*HASHABLE[:-1], Objects.array, Objects.strange, Objects.ancestor)
CONTAINERS = (
    *(Objects.list, Objects.dict, Objects.tuple, Objects.list, Objects.dict),
    *(Objects.set, Objects.frozenset, Objects.twice, Objects.deep),
)
WRAPS = (lambda made: [made], lambda made: (made,), lambda made: {"in": made})

"""One record in the words of four libraries, and an example of each: what tests/test_typed.py stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, IntFlag
from typing import Annotated, Any, Literal, NewType
from uuid import UUID

import msgspec
import numpy as np
import pydantic
from numpy.typing import NDArray
from typing_extensions import NotRequired, TypedDict  # pydantic takes no other before Python 3.12


class Color(Enum):
    """Stored as a str."""

    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    """Stored as an int."""

    LOW = 1
    HIGH = 2


class Rights(IntFlag):
    """Stored as an int, several at once too."""

    READ = 1
    WRITE = 2


UserId = NewType("UserId", int)


@dataclass(frozen=True)
class Point:
    """Nested, and in a set of fields of its own."""

    x: float
    y: float = 0.0


@dataclass
class Square:
    """The twin of `Circle` by its fields."""

    size: float


@dataclass
class Circle:
    """The twin of `Square` by its fields."""

    size: float


class Label(TypedDict):
    """A dict of known keys, of which one may be missing."""

    name: str
    weight: NotRequired[float]


class Author(pydantic.BaseModel):
    """pydantic's, in records of the others too."""

    name: str = pydantic.Field(alias="fullName", min_length=1)
    born: date | None = None


class Page(msgspec.Struct, rename="camel"):
    """msgspec's, in records of the others too."""

    page_number: int
    words: frozenset[str] = frozenset()


@dataclass
class DataRecord:
    """What a dataclass may have."""

    identity: UUID
    when: datetime
    day: date
    clock: time
    took: timedelta
    price: Decimal
    raw: bytes
    number: int
    ratio: float
    flag: bool
    nothing: None
    tags: set[str]
    fixed: frozenset[int]
    pair: tuple[int, str]
    many: tuple[float, ...]
    empty: tuple[()]
    counts: dict[str, int]
    matrix: np.ndarray[Any, Any]
    vector: NDArray[np.float32]
    scalar: np.int64
    color: Color
    level: Level
    rights: Rights
    mode: Literal["fast", 1, Color.RED]
    user: UserId
    several: Sequence[int]
    mapping: Mapping[str, Point]
    bounded: Annotated[int, "more than zero"]
    either: int | str | None
    old: Point | None
    shape: Circle | Square
    shapes: list[Circle | Square | dict[str, int]]
    label: Label
    author: Author
    page: Page
    anything: Any
    children: list[DataRecord] = field(default_factory=list)
    later: int = field(default=0, init=False)


class ModelRecord(pydantic.BaseModel):
    """What a pydantic model may have."""

    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True, extra="allow")

    identity: UUID
    when: datetime
    day: date
    clock: time
    took: timedelta
    price: Decimal
    raw: bytes
    tags: set[str]
    fixed: frozenset[int]
    pair: tuple[int, str]
    counts: dict[int, Point]
    by_color: dict[Color, int]
    matrix: np.ndarray[Any, Any]
    color: Color
    level: Level
    mode: Literal["fast", 1]
    either: int | str | None
    old: Point | None
    label: Label
    author: Author
    link: pydantic.AnyUrl
    anything: Any
    renamed: int = pydantic.Field(validation_alias="in", serialization_alias="out")
    parsed: pydantic.Json[list[int]]
    children: list[ModelRecord] = []

    @pydantic.computed_field
    def total(self) -> int:
        """Written by pydantic unless told not to, and read by nobody."""
        return len(self.tags)


class StructRecord(msgspec.Struct, tag="record", rename="camel", kw_only=True):
    """What a struct may have."""

    identity: UUID
    when: datetime
    day: date
    clock: time
    took: timedelta
    price: Decimal
    raw: bytes
    tags: set[str]
    fixed: frozenset[int]
    pair: tuple[int, str]
    counts: dict[int, Point]
    matrix: np.ndarray
    color: Color
    level: Level
    mode: Literal["fast", 1]
    either: int | str | None
    old_point: Point | None
    page: Page
    anything: Any
    children: list[StructRecord] = []


class DictRecord(TypedDict, total=False):
    """What a TypedDict may have."""

    identity: UUID
    tags: set[str]
    matrix: np.ndarray[Any, Any]
    color: Color
    shape: Circle | Square
    author: Author
    children: list[DictRecord]


COMMON: dict[str, Any] = {
    "identity": UUID("12345678123456781234567812345678"),
    "when": datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    "day": date(2024, 2, 29),
    "clock": time(23, 59, 59, 999999),
    "took": timedelta(days=-1, microseconds=1),
    "price": Decimal("1.50"),
    "raw": b"\xff\x00",
    "tags": {"a", "b"},
    "fixed": frozenset({1, 2}),
    "pair": (1, "one"),
    "matrix": np.arange(6, dtype=np.int16).reshape(2, 3),
    "color": Color.BLUE,
    "level": Level.HIGH,
    "anything": {"deep": [(1, {2.5}), b"x", None]},
}


def data_record(**changes: Any) -> DataRecord:
    """A DataRecord with something in each field."""
    fields: dict[str, Any] = {
        **COMMON,
        "number": 2**70,
        "ratio": -0.0,
        "flag": True,
        "nothing": None,
        "many": (float("inf"), 0.1),
        "empty": (),
        "counts": {"z": 1, "a": 2},
        "vector": np.ones(3, dtype=np.float32),
        "scalar": np.int64(5),
        "rights": Rights.READ | Rights.WRITE,
        "mode": Color.RED,
        "user": UserId(7),
        "several": (1, 2),
        "mapping": {"here": Point(1.5)},
        "bounded": 3,
        "either": "1",
        "old": Point(1.0, 2.0),
        "shape": Square(2.0),
        "shapes": [Square(1.0), Circle(1.0), {"size": 1}],
        "label": {"name": "x"},
        "author": Author(fullName="Ada", born=date(1815, 12, 10)),
        "page": Page(3, frozenset({"word"})),
    }
    return DataRecord(**{**fields, **changes})


def model_record(**changes: Any) -> ModelRecord:
    """A ModelRecord with something in each field, and one more."""
    fields: dict[str, Any] = {
        **COMMON,
        "counts": {1: Point(1.0), -2: Point(2.0)},
        "by_color": {Color.RED: 1},
        "mode": 1,
        "either": "1",
        "old": None,
        "label": {"name": "x", "weight": 0.5},
        "author": Author(fullName="Ada"),
        "link": "https://example.org/a?b=c",
        "in": 5,
        "parsed": "[1, 2]",
        "extra_field": (1, 2),
    }
    return ModelRecord(**{**fields, **changes})


def struct_record(**changes: Any) -> StructRecord:
    """A StructRecord with something in each field."""
    fields: dict[str, Any] = {
        **COMMON,
        "counts": {1: Point(1.0), -2: Point(2.0)},
        "mode": "fast",
        "either": 1,
        "old_point": Point(0.5),
        "page": Page(3),
    }
    return StructRecord(**{**fields, **changes})


def dict_record(**changes: Any) -> DictRecord:
    """A DictRecord with most of its keys."""
    record: DictRecord = {
        "identity": COMMON["identity"],
        "tags": {"a"},
        "matrix": COMMON["matrix"],
        "color": Color.RED,
        "shape": Circle(1.0),
        "author": Author(fullName="Ada"),
    }
    return {**record, **changes}  # type: ignore[typeddict-item]


RECORDS: list[tuple[type[Any], Any]] = [
    (DataRecord, data_record(children=[data_record()])),
    (ModelRecord, model_record(children=[model_record()])),
    (StructRecord, struct_record(children=[struct_record()])),
    (DictRecord, dict_record(children=[dict_record()])),
]
"""Each model with an example."""

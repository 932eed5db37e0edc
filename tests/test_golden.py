"""The stored bytes of one value and more of each kind: what a version has written, every later one reads."""

from __future__ import annotations

import datetime as dt
import json
import pickle
import uuid
from decimal import Decimal
from pathlib import Path

import pytest
from rrag_storage import MemoryValue

np = pytest.importorskip("numpy")

GOLDEN = json.loads((Path(__file__).parent / "golden" / "values.json").read_text(encoding="utf-8"))

VALUES = {
    "null": None,
    "boolean": True,
    "integer": -500,
    "integer, 64 bits": 2**64 - 1,
    "integer, bignum": 2**64,
    "integer, negative bignum": -(2**64) - 1,
    "float": 1.1,
    "float, -0.0": -0.0,
    "string": "naïve",
    "bytes": b"\x00\xff",
    "list": [1, [2.0, None]],
    "map": {"b": 1, "a": {"": False}},
    "tuple": (1, ()),
    "set": {"one"},
    "frozenset": frozenset({1}),
    "datetime, naive": dt.datetime(2024, 2, 29, 12, 30),
    "datetime, UTC": dt.datetime(2024, 2, 29, 12, 30, 0, 1, dt.timezone.utc),
    "datetime, offset": dt.datetime(2024, 2, 29, 12, 30, tzinfo=dt.timezone(-dt.timedelta(hours=3, minutes=30))),
    "datetime, offset with seconds": dt.datetime(1900, 1, 1, tzinfo=dt.timezone(dt.timedelta(minutes=9, seconds=21))),
    "datetime, fold": dt.datetime(2024, 10, 27, 2, 30, fold=1),
    "date": dt.date(2024, 2, 29),
    "time": dt.time(23, 59, 59, 999_999),
    "time, aware": dt.time(6, tzinfo=dt.timezone.utc),
    "timedelta": dt.timedelta(days=-1, microseconds=1),
    "timedelta, whole seconds": dt.timedelta(minutes=1),
    "decimal": Decimal("273.15"),
    "decimal, -0": Decimal("-0.00"),
    "decimal, NaN": Decimal("sNaN12"),
    "uuid": uuid.UUID("12345678-1234-5678-1234-567812345678"),
    "array, float32": np.array([[1.0, 2.0]], dtype="<f4"),
    "array, big-endian": np.array([1, 2], dtype=">u2"),
    "array, bool, no dimension": np.array(True),
    "array, empty": np.zeros((0, 3), dtype="i1"),
    "array, scalar": np.float16(1.5),
    "array, boolean scalar": np.True_,
    "json": MemoryValue.json({"a": [1, 2.5, None]}),
}


def body_of(value: MemoryValue) -> bytes:
    return value.__reduce__()[1][0]


def make(value: object) -> MemoryValue:
    return value if isinstance(value, MemoryValue) else MemoryValue.from_python(value)


@pytest.mark.parametrize("name", VALUES)
def test_the_bytes_are_those_that_were_agreed(name: str) -> None:
    assert body_of(make(VALUES[name])).hex() == GOLDEN[name]


@pytest.mark.parametrize("name", GOLDEN)
def test_the_bytes_are_read(name: str) -> None:
    make_value, _ = make(None).__reduce__()
    read = make_value(bytes.fromhex(GOLDEN[name]))
    assert read == make(VALUES[name])
    assert (
        body_of(MemoryValue.json(read.to_python()) if read.kind == "json" else make(read.to_python())).hex()
        == GOLDEN[name]
    )


def test_every_kind_has_its_golden_bytes() -> None:
    kinds = {make(value).kind for value in VALUES.values()}
    expected = "null boolean integer float string bytes list map tuple set frozenset datetime date time timedelta"
    assert kinds == {*expected.split(), "decimal", "uuid", "array", "json"}


def test_values_pickle() -> None:
    for value in VALUES.values():
        assert pickle.loads(pickle.dumps(make(value))) == make(value)
    large = MemoryValue.json([1 << 1_000_000])
    assert pickle.loads(pickle.dumps(large)) == large

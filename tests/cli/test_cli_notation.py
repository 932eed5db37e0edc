"""Values as JSON: every one comes back, and what is no value is refused with a reason."""

from __future__ import annotations

import json
import math
import struct
import sys
from datetime import datetime, time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rrag_storage import MemoryValue
from rrag_storage.cli import notation
from rrag_storage.testing import assert_same, cases, strategies


@pytest.mark.parametrize("case", cases.VALUES, ids=[case.name for case in cases.VALUES])
def test_every_value_comes_back(case: cases.Value) -> None:
    text = notation.dumps(case.value)
    assert "\n" not in text
    assert_same(notation.loads(text), case.value)
    assert_same(notation.loads(text.encode()), case.value)


@given(strategies.values())
def test_any_value_comes_back(value: Any) -> None:
    assert_same(notation.loads(notation.dumps(value)), value)


@given(st.integers(0, 2**64 - 1))
def test_any_float_comes_back_to_the_bit(bits: int) -> None:
    (value,) = struct.unpack(">d", bits.to_bytes(8, "big"))
    assert struct.pack(">d", notation.loads(notation.dumps(value))) == bits.to_bytes(8, "big")


@pytest.mark.parametrize("moment", [datetime(2026, 10, 25, 2, 30, fold=1), time(2, 30, fold=1)])
def test_the_fold_comes_back(moment: datetime | time) -> None:
    back = notation.loads(notation.dumps(moment))
    assert (back, back.fold) == (moment, 1)


@pytest.mark.parametrize(("name", "document", "back"), cases.DOCUMENTS)
def test_documents_keep_their_kind(name: str, document: Any, back: Any) -> None:
    value = MemoryValue.json(document)
    assert notation.loads(notation.dumps(value.to_python(), value.kind)) == value, name
    assert_same(value.to_python(), back)


def test_it_is_json_for_others() -> None:
    for value in (math.nan, 2**60, {"$a": (1, -0.0)}, [math.inf], {"a": [1.0, "é", None, True]}):
        json.loads(notation.dumps(value), parse_constant=pytest.fail)
    assert notation.dumps({"a": [1.0, "é", None, True]}) == '{"a":[1.0,"é",null,true]}'
    assert notation.dumps(2**53) == "9007199254740992"
    assert notation.dumps(2**53 + 1) == '{"$int":"9007199254740993"}'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("1 2", "no JSON"),
        (b"\xff", "no UTF-8"),
        ("NaN", "nan"),
        ("-Infinity", "nan"),
        ("1e999", "no float holds"),
        ("1" * (sys.get_int_max_str_digits() + 1), "thousands of digits"),
        ('{"a": 1, "a": 2}', "twice"),
        ("[" * 100_000, "nested"),
        ('{"$complex": "1j"}', r"\$complex"),
        ('{"$json": {"a": {"$bytes": ""}}}', "bytes"),
        ('[{"$json": 1}]', r"\$json"),
        ('{"$int": 1}', r"\$int"),
        ('{"$int": "1", "more": 1}', r"\$int"),
        ('{"$float": "1.5"}', r"\$float"),
        ('{"$float": "3ff0000000000000"}', r"\$float"),
        ('{"$float": "7ff8"}', r"\$float"),
        ('{"$bytes": "?"}', "base64"),
        ('{"$bytes": "AA"}', "base64"),
        ('{"$map": {"a": 1}}', r"\$map"),
        ('{"$map": [["a", 1], ["a", 2]]}', r"\$map"),
        ('{"$map": [[1, 1]]}', r"\$map"),
        ('{"$tuple": [{"$date": "2026-02-30"}]}', r"\$date"),
        ('{"$set": [1, 1]}', "twice"),
        ('{"$set": [[1]]}', r"\$set"),
        ('{"$datetime": "yesterday"}', r"\$datetime"),
        ('{"$datetime": "2026-01-02", "fold": 2}', r"\$datetime"),
        ('{"$time": 3}', r"\$time"),
        ('{"$timedelta": [1, 2]}', r"\$timedelta"),
        ('{"$timedelta": [1, 2, 0.5]}', r"\$timedelta"),
        ('{"$timedelta": [9999999999, 0, 0]}', r"\$timedelta"),
        ('{"$decimal": "one"}', r"\$decimal"),
        ('{"$uuid": "1"}', r"\$uuid"),
        ('{"$array": "", "dtype": "O", "shape": [0]}', "dtype"),
        ('{"$array": "AAAA", "dtype": "<f4", "shape": [1]}', "don't fit"),
        ('{"$array": "AAAAAA==", "dtype": "<f4", "shape": [2]}', "don't fit"),
        ('{"$array": "AAAAAA==", "dtype": "<f4", "shape": [-1]}', "sizes"),
        ('{"$array": "AAAAAA==", "dtype": "<f4"}', "sizes"),
        ('{"$scalar": "AAAAAA==", "shape": []}', r"\$scalar"),
    ],
)
def test_what_is_refused(text: str | bytes, says: str) -> None:
    with pytest.raises(notation.NotationError, match=says):
        notation.loads(text)


def test_what_no_storage_gives() -> None:
    with pytest.raises(TypeError, match="object"):
        notation.dumps([object()])

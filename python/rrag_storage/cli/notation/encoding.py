"""From values to JSON."""

from __future__ import annotations

import base64
import math
import struct
import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable

_SAFE = 2**53
_DIGITS = 64
"""From so many bits on an int is written in hexadecimal: Python refuses very long decimal ones."""
_NAN = struct.pack(">d", math.nan)


def encode(value: Any) -> Any:
    """`value` as an object that `json.dumps` takes.

    Raises:
        TypeError: something that no storage gives.
    """
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return value if -_SAFE <= value <= _SAFE else {"$int": _int_text(value)}
    if kind is float:
        return value if math.isfinite(value) else {"$float": _float_text(value)}
    if kind is list:
        return [encode(item) for item in value]
    if kind is dict:
        if any(key.startswith("$") for key in value):
            return {"$map": [[key, encode(item)] for key, item in value.items()]}
        return {key: encode(item) for key, item in value.items()}
    if kind in _ENCODERS:
        return _ENCODERS[kind](value)
    numpy = sys.modules.get("numpy")  # loaded, where there is a value of its types
    if numpy is not None and isinstance(value, numpy.ndarray):
        return {"$array": _base64(value.tobytes()), "dtype": value.dtype.str, "shape": list(value.shape)}
    if numpy is not None and isinstance(value, numpy.generic):
        return {"$scalar": _base64(value.tobytes()), "dtype": value.dtype.str}
    raise TypeError(f"no storage gives a {kind.__module__}.{kind.__qualname__}")


def _int_text(value: int) -> str:
    return str(value) if value.bit_length() <= _DIGITS else hex(value)


def _float_text(value: float) -> str:
    bits = struct.pack(">d", value)
    return "nan" if bits == _NAN else bits.hex() if math.isnan(value) else repr(value)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _moment(name: str) -> Callable[[Any], dict[str, Any]]:
    def encode(value: Any) -> dict[str, Any]:
        return {name: value.isoformat(), **({"fold": 1} if value.fold else {})}

    return encode


_ENCODERS: dict[type, Callable[[Any], dict[str, Any]]] = {
    bytes: lambda value: {"$bytes": _base64(value)},
    tuple: lambda value: {"$tuple": [encode(item) for item in value]},
    set: lambda value: {"$set": [encode(item) for item in value]},
    frozenset: lambda value: {"$frozenset": [encode(item) for item in value]},
    datetime: _moment("$datetime"),
    time: _moment("$time"),
    date: lambda value: {"$date": value.isoformat()},
    timedelta: lambda value: {"$timedelta": [value.days, value.seconds, value.microseconds]},
    Decimal: lambda value: {"$decimal": str(value)},
    UUID: lambda value: {"$uuid": str(value)},
}

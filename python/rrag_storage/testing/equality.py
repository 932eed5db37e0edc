"""Equality as the contract means it: the same types all the way down, to the sign of a zero and the order of a dict."""

from __future__ import annotations

import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

try:
    import numpy
except ImportError:
    numpy = None  # type: ignore[assignment]


def canonical(value: Any) -> Any:  # one return a type
    """A hashable twin of `value`: two values are the same exactly where their twins are equal."""
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if kind is float:
        return (name, "nan" if math.isnan(value) else value.hex())
    if kind in (list, tuple):
        return (name, tuple(canonical(item) for item in value))
    if kind is dict:
        return (name, tuple((canonical(key), canonical(item)) for key, item in value.items()))
    if kind in (set, frozenset):
        return (name, tuple(sorted((canonical(item) for item in value), key=repr)))
    if kind is datetime:
        return (name, value.replace(tzinfo=None, fold=0).isoformat(), value.utcoffset())
    if kind is time:
        return (name, value.replace(tzinfo=None, fold=0).isoformat(), value.utcoffset())
    if kind is Decimal:
        return (name, value.as_tuple())
    if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic):
        return (name, value.dtype.str, value.shape, value.tobytes())
    if value is None or kind in (bool, int, str, bytes, date, timedelta, UUID):
        return (name, value)
    raise TypeError(f"{name} has no exact equality here")


def same(one: Any, other: Any) -> bool:
    """Whether the two are equal, of the same types, at every depth."""
    return bool(canonical(one) == canonical(other))


def assert_same(got: Any, wanted: Any) -> None:
    """Fails where `got` is not `wanted`, exactly."""
    if not same(got, wanted):
        raise AssertionError(f"got {type(got).__name__} {_short(got)}, wanted {type(wanted).__name__} {_short(wanted)}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}…"

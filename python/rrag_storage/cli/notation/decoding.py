"""From JSON to values."""

from __future__ import annotations

import base64
import binascii
import math
import struct
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from .text import NotationError

if TYPE_CHECKING:
    from collections.abc import Callable

_DTYPES = "biuf"


def decode(data: Any) -> Any:
    """The value that `encode` made `data` of.

    Raises:
        NotationError: an unknown `$` name, or contents that don't fit it.
        TypeError, ValueError: contents that make no value, such as a list in a set.
    """
    if isinstance(data, list):
        return [decode(item) for item in data]
    if not isinstance(data, dict):
        return data
    name = next((name for name in data if name.startswith("$")), None)
    if name is None:
        return {key: decode(item) for key, item in data.items()}
    decoder = _DECODERS.get(name)
    if decoder is None:
        raise NotationError(f"it has an unknown name {name!r}; a map with such a key is written as $map")
    rest = {key: item for key, item in data.items() if key != name}
    try:
        return decoder(data[name], **rest)
    except TypeError:
        raise NotationError(f"{name} holds what does not fit it") from None


def _typed(name: str, wanted: type, make: Callable[[Any], Any]) -> Callable[..., Any]:
    def decode(content: Any, **rest: Any) -> Any:
        if rest or type(content) is not wanted:
            raise NotationError(f"${name} holds what does not fit it")
        try:
            return make(content)
        except NotationError:
            raise
        except (TypeError, ValueError, ArithmeticError):
            raise NotationError(f"${name} holds what does not fit it") from None

    return decode


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise NotationError("its base64 is damaged") from None


def _of_bits(text: str) -> float:
    if text in ("nan", "inf", "-inf"):
        return float(text)
    bits = bytes.fromhex(text)
    value = struct.unpack(">d", bits)[0] if len(bits) == 8 else 0.0
    if not math.isnan(value):
        raise NotationError("$float holds nan, inf, -inf or the bits of a NaN")
    return float(value)


def _map(pairs: list[Any]) -> dict[str, Any]:
    made = {key: decode(item) for key, item in pairs}
    if len(made) != len(pairs) or not all(type(key) is str for key in made):
        raise NotationError("$map holds a name twice, or one that is no text")
    return made


def _set(items: list[Any]) -> set[Any]:
    made = set(map(decode, items))
    if len(made) != len(items):
        raise NotationError("a set holds an element twice")
    return made


def _timedelta(parts: list[Any]) -> timedelta:
    days, seconds, microseconds = parts
    if not all(type(part) is int for part in parts):
        raise NotationError("$timedelta holds days, seconds and microseconds")
    return timedelta(days, seconds, microseconds)


def _moments(name: str, kind: type[datetime] | type[time]) -> Callable[..., Any]:
    def decode(text: Any, fold: Any = 0, **rest: Any) -> Any:
        if rest or fold not in (0, 1) or type(text) is not str:
            raise NotationError(f"${name} holds what does not fit it")
        try:
            return kind.fromisoformat(text).replace(fold=fold)
        except ValueError:
            raise NotationError(f"${name} holds what does not fit it") from None

    return decode


def _elements(text: Any, dtype: Any, shape: list[int]) -> Any:
    try:
        import numpy
    except ImportError:
        raise NotationError("it has an array, which needs numpy: pip install 'rrag-storage[numpy]'") from None
    if type(text) is not str or type(dtype) is not str or numpy.dtype(dtype).kind not in _DTYPES:
        raise NotationError("its array is damaged: a dtype of bool, int, uint or float is needed")
    if not all(type(size) is int and size >= 0 for size in shape):
        raise NotationError("its array is damaged: the shape is a list of sizes")
    try:
        return numpy.frombuffer(bytearray(_bytes(text)), dtype=dtype).reshape(shape)
    except ValueError:
        raise NotationError("its array is damaged: dtype, shape and elements don't fit") from None


def _array(text: Any, dtype: Any = None, shape: Any = None) -> Any:
    if type(shape) is not list:
        raise NotationError("its array is damaged: the shape is a list of sizes")
    return _elements(text, dtype, shape)


def _scalar(text: Any, dtype: Any = None) -> Any:
    return _elements(text, dtype, [])[()]


_DECODERS: dict[str, Callable[..., Any]] = {
    "$int": _typed("int", str, lambda text: int(text, 16 if "x" in text else 10)),
    "$float": _typed("float", str, _of_bits),
    "$bytes": _typed("bytes", str, _bytes),
    "$map": _typed("map", list, _map),
    "$tuple": _typed("tuple", list, lambda items: tuple(map(decode, items))),
    "$set": _typed("set", list, _set),
    "$frozenset": _typed("frozenset", list, lambda items: frozenset(_set(items))),
    "$datetime": _moments("datetime", datetime),
    "$time": _moments("time", time),
    "$date": _typed("date", str, date.fromisoformat),
    "$timedelta": _typed("timedelta", list, _timedelta),
    "$decimal": _typed("decimal", str, Decimal),
    "$uuid": _typed("uuid", str, UUID),
    "$array": _array,
    "$scalar": _scalar,
}

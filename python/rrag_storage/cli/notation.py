"""Values as JSON, without loss: what JSON has stands as it is, every other kind as an object with a `$` name.

====================================  ===================================================================
`null true "text" [1, 2] {"a": 1}`    None, bool, str, list, dict
`12`                                  int of at most 53 bits; `{"$int": "9007199254740993"}` where it has more
`1.5 -0.0`                            finite float, always with a point or an exponent
`{"$float": "nan"}`                   also `inf`, `-inf`; other NaNs by their 64 bits, in hexadecimal
`{"$bytes": "AAE="}`                  base64
`{"$map": [["$a", 1]]}`               dict with a key that starts with `$`
`{"$tuple": [1]}`                     `$set` and `$frozenset` likewise
`{"$datetime": "2026-01-02T03:04"}`   `$date` and `$time` likewise, ISO 8601; `"fold": 1` beside it where it is set
`{"$timedelta": [1, 2, 3]}`           days, seconds, microseconds
`{"$decimal": "1.50"}`                `$uuid` likewise
`{"$array": "AAA=", …}`               base64 of the elements in C order; `"dtype": "<f4", "shape": [2]` beside it
`{"$scalar": "AAA=", …}`              a numpy scalar: `"dtype": "<f4"` beside it
`{"$json": {"a": 1}}`                 `MemoryValue.json`, of a whole value only
====================================  ===================================================================
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import struct
import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from .. import MemoryValue

if TYPE_CHECKING:
    from collections.abc import Callable

_SAFE = 2**53
_DIGITS = 64
"""From so many bits on an int is written in hexadecimal: Python refuses very long decimal ones."""
_DTYPES = "biuf"


class NotationError(ValueError):
    """Text that is not in this notation; the message says what is wrong with it."""


def dumps(value: Any, kind: str | None = None) -> str:
    """One line of JSON for a value that a storage gave; `kind` tells a JSON document from a map or list.

    Raises:
        TypeError: something that no storage gives.
    """
    return _text(encoded(value, kind))


def encoded(value: Any, kind: str | None = None) -> Any:
    """The same as an object that `json.dumps` takes."""
    return {"$json": _encode(value)} if kind == "json" else _encode(value)


def loads(text: str | bytes) -> Any:
    """The value that `dumps` made `text` of.

    Raises:
        NotationError: anything else.
    """
    return decoded(parse(text))


def parse(text: str | bytes) -> Any:
    """`text` as plain JSON: each name once in an object, no `NaN`.

    Raises:
        NotationError: text that is no JSON.
    """
    try:
        return json.loads(
            text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_float, parse_int=_integer
        )
    except NotationError:
        raise
    except RecursionError:
        raise NotationError("it is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise NotationError(f"it is no UTF-8: {error.reason} at byte {error.start}") from None
    except ValueError as error:
        raise NotationError(f"it is no JSON: {error}") from None


def decoded(data: Any) -> Any:
    """The value that `encoded` made `data` of.

    Raises:
        NotationError: an unknown `$` name, or contents that don't fit it.
    """
    try:
        if isinstance(data, dict) and data.keys() == {"$json"}:
            return MemoryValue.json(_decode(data["$json"]))
        return _decode(data)
    except NotationError:
        raise
    except RecursionError:
        raise NotationError("it is nested too deeply") from None
    except (TypeError, ValueError) as error:
        raise NotationError(str(error)) from None


def _text(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _encode(value: Any) -> Any:
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return value if -_SAFE <= value <= _SAFE else {"$int": _int_text(value)}
    if kind is float:
        return value if math.isfinite(value) else {"$float": _float_text(value)}
    if kind is list:
        return [_encode(item) for item in value]
    if kind is dict:
        if any(key.startswith("$") for key in value):
            return {"$map": [[key, _encode(item)] for key, item in value.items()]}
        return {key: _encode(item) for key, item in value.items()}
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


_NAN = struct.pack(">d", math.nan)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _moment(name: str) -> Callable[[Any], dict[str, Any]]:
    def encode(value: Any) -> dict[str, Any]:
        return {name: value.isoformat(), **({"fold": 1} if value.fold else {})}

    return encode


_ENCODERS: dict[type, Callable[[Any], dict[str, Any]]] = {
    bytes: lambda value: {"$bytes": _base64(value)},
    tuple: lambda value: {"$tuple": [_encode(item) for item in value]},
    set: lambda value: {"$set": [_encode(item) for item in value]},
    frozenset: lambda value: {"$frozenset": [_encode(item) for item in value]},
    datetime: _moment("$datetime"),
    time: _moment("$time"),
    date: lambda value: {"$date": value.isoformat()},
    timedelta: lambda value: {"$timedelta": [value.days, value.seconds, value.microseconds]},
    Decimal: lambda value: {"$decimal": str(value)},
    UUID: lambda value: {"$uuid": str(value)},
}


def _decode(data: Any) -> Any:
    if isinstance(data, list):
        return [_decode(item) for item in data]
    if not isinstance(data, dict):
        return data
    name = next((name for name in data if name.startswith("$")), None)
    if name is None:
        return {key: _decode(item) for key, item in data.items()}
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
    (value,) = struct.unpack(">d", bytes.fromhex(text))
    if not math.isnan(value):
        raise NotationError("$float holds nan, inf, -inf or the bits of a NaN")
    return float(value)


def _map(pairs: list[Any]) -> dict[str, Any]:
    made = {key: _decode(item) for key, item in pairs}
    if len(made) != len(pairs) or not all(type(key) is str for key in made):
        raise NotationError("$map holds a name twice, or one that is no text")
    return made


def _set(items: list[Any]) -> set[Any]:
    made = set(map(_decode, items))
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
    "$tuple": _typed("tuple", list, lambda items: tuple(map(_decode, items))),
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


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise NotationError("an object has a name twice")
    return made


def _no_constant(name: str) -> Any:
    raise NotationError(f'{name} is no JSON; write {{"$float": "nan"}}, inf or -inf')


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise NotationError("it has a number that no float holds")
    return value


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise NotationError('it has an integer of thousands of digits; write {"$int": "0x…"}') from None

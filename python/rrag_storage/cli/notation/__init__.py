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

import json
from typing import Any

from ... import MemoryValue
from .decoding import decode
from .encoding import encode
from .text import NotationError, parse

__all__ = ["NotationError", "decoded", "dumps", "encoded", "loads", "parse"]


def dumps(value: Any, kind: str | None = None) -> str:
    """One line of JSON for a value that a storage gave; `kind` tells a JSON document from a map or list.

    Raises:
        TypeError: something that no storage gives.
    """
    return json.dumps(encoded(value, kind), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def encoded(value: Any, kind: str | None = None) -> Any:
    """The same as an object that `json.dumps` takes."""
    return {"$json": encode(value)} if kind == "json" else encode(value)


def loads(text: str | bytes) -> Any:
    """The value that `dumps` made `text` of.

    Raises:
        NotationError: anything else.
    """
    return decoded(parse(text))


def decoded(data: Any) -> Any:
    """The value that `encoded` made `data` of.

    Raises:
        NotationError: an unknown `$` name, or contents that don't fit it.
    """
    try:
        if isinstance(data, dict) and data.keys() == {"$json"}:
            return MemoryValue.json(decode(data["$json"]))
        return decode(data)
    except NotationError:
        raise
    except RecursionError:
        raise NotationError("it is nested too deeply") from None
    except (TypeError, ValueError) as error:
        raise NotationError(str(error)) from None

"""JSON, read strictly."""

from __future__ import annotations

import json
import math
from typing import Any


class NotationError(ValueError):
    """Text that is not in this notation; the message says what is wrong with it."""


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

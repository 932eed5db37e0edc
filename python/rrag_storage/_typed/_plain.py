"""What pydantic and msgspec leave of a model, as the plain Python that storages keep."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from ._difference import fields_of
from ._misfit import Misfit, kind_of

LEAVES = frozenset({type(None), bool, int, float, str, bytes, datetime, date, time, timedelta, Decimal, UUID})
"""The types that are stored as they are, and hold no others."""


@dataclasses.dataclass(frozen=True)
class Stand:
    """What stands for what storages don't keep: each gives it, or raises `Misfit`."""

    leaf: Callable[[Any], Any]
    """For a value of a type of its own."""
    key: Callable[[Any], Any]
    """For a key of a map that is no str."""


def is_array(cls: type) -> bool:
    """Whether a class is numpy's array or one of its scalars; numpy is not imported to find out."""
    return any(base.__module__ == "numpy" and base.__name__ in ("ndarray", "generic") for base in cls.__mro__)


def plain(value: Any, stand: Stand) -> Any:
    """`value` with enums as their values and records as maps of their fields, at every depth.

    What is none of the kinds that storages keep goes through `stand`. Nothing of `value` itself is changed.
    """
    kind = type(value)
    if kind in LEAVES:
        return value
    if isinstance(value, Enum):
        return plain(value.value, stand)
    if kind is dict:
        return {_key(key, stand): _at(_place(key), item, stand) for key, item in value.items()}
    if kind in (list, tuple, set, frozenset):
        return kind(_at(f"[{place}]", item, stand) for place, item in enumerate(value))
    if is_array(kind):
        return value
    if dataclasses.is_dataclass(kind):
        fields = fields_of(value) or {}
        return {name: _at(f".{name}", item, stand) for name, item in fields.items()}
    return stand.leaf(value)


def _at(place: str, item: Any, stand: Stand) -> Any:
    if type(item) in LEAVES:
        return item
    try:
        return plain(item, stand)
    except Misfit as misfit:
        raise misfit.under(place) from misfit.__cause__


def _place(key: Any) -> str:
    return f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!r}]"


def _key(key: Any, stand: Stand) -> Any:
    if type(key) is str:
        return key
    if isinstance(key, Enum) and type(key.value) is str:
        return key.value
    name = stand.key(key)
    if type(name) is not str:
        raise Misfit(f"a key is {kind_of(key)}; a stored map has str keys")
    return name

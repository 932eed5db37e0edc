"""Whether a value came back as it was, whatever it is made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime, time
from decimal import Decimal
from typing import Any

from ._misfit import kind_of


def difference(value: Any, back: Any, where: str = "") -> str | None:
    """Where `back` is not `value` again, and how, without either of them; None where it is.

    The same means: of the same types at every depth, fields, items and their order included; of floats, the sign of
    zero and nan too.
    """
    if type(value) is not type(back):
        return _told(where, f"{kind_of(value)} would come back as {kind_of(back)}")
    if (fields := fields_of(value)) is not None:
        return _of_mappings(fields, fields_of(back) or {}, where, ".{}")
    if isinstance(value, Mapping):
        if list(value) != list(back) or any(type(a) is not type(b) for a, b in zip(value, back, strict=True)):
            return _told(where, "other keys would come back")
        return _of_mappings(value, back, where, "[{!r}]")
    if isinstance(value, list | tuple):
        if len(value) != len(back):
            return _told(where, f"{len(value)} items would come back as {len(back)}")
        pairs = enumerate(zip(value, back, strict=True))
        return next((d for i, (a, b) in pairs if (d := difference(a, b, f"{where}[{i}]"))), None)
    return None if _same_leaf(value, back) else _told(where, "another value would come back")


def fields_of(value: Any) -> dict[str, Any] | None:
    """The fields of a dataclass, a pydantic model or a msgspec struct by their names; None of anything else."""
    cls = type(value)
    if dataclasses.is_dataclass(cls):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(cls)}
    if hasattr(cls, "model_fields"):
        return {name: getattr(value, name, None) for name in cls.model_fields} | (value.model_extra or {})
    if hasattr(cls, "__struct_fields__"):
        return {name: getattr(value, name) for name in cls.__struct_fields__}
    return None


def _of_mappings(one: Mapping[Any, Any], other: Mapping[Any, Any], where: str, place: str) -> str | None:
    if one.keys() != other.keys():
        return _told(where, "other fields would come back")
    return next((d for key in one if (d := difference(one[key], other[key], where + place.format(key)))), None)


def _same_leaf(value: Any, back: Any) -> bool:
    if isinstance(value, float):
        return bool(value.hex() == back.hex())
    if isinstance(value, Decimal):
        return bool(value.as_tuple() == back.as_tuple())
    if isinstance(value, datetime | time):
        return bool(value.replace(tzinfo=None, fold=0) == back.replace(tzinfo=None, fold=0)) and (
            value.utcoffset() == back.utcoffset()
        )
    if isinstance(value, set | frozenset):
        return {(type(item), item) for item in value} == {(type(item), item) for item in back}
    if hasattr(value, "dtype") and hasattr(value, "tobytes"):
        return bool(value.dtype == back.dtype and value.shape == back.shape and value.tobytes() == back.tobytes())
    return bool(value == back)


def _told(where: str, what: str) -> str:
    where = where.removeprefix(".")
    return f"{where}: {what}" if where else what

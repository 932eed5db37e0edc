"""Dataclasses and TypedDicts: records whose fields are stored as a map of their names."""

from __future__ import annotations

import dataclasses
from typing import Any

from ._converters import Converter, convert_at
from ._misfit import Misfit, kind_of


class Dataclass(Converter):
    """A dataclass: each field under its name. It is made by its constructor, which may refuse.

    `fields` is filled once all annotations are read, because a field may be of the class itself.
    """

    record = True

    def __init__(self, cls: type) -> None:
        self.name = cls.__qualname__.rpartition("<locals>.")[2]
        self.fields: dict[str, Converter] = {}
        self._cls = cls
        own = dataclasses.fields(cls)
        self._init = {field.name for field in own if field.init}
        self._required = {
            field.name
            for field in own
            if field.init and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        }

    def encode(self, value: Any) -> Any:
        if type(value) is not self._cls:
            raise self.refused(value)
        plain = {}
        for name, field in self.fields.items():
            try:
                item = getattr(value, name)
            except AttributeError:
                raise Misfit("is not set", f".{name}") from None
            plain[name] = convert_at(f".{name}", field.encode, item)
        return plain

    def decode(self, plain: Any) -> Any:
        if type(plain) is not dict:
            raise self.refused(plain)
        found = decode_fields(self.fields, self._required, plain)
        try:
            made = self._cls(**{name: item for name, item in found.items() if name in self._init})
        except Exception as error:
            raise Misfit(f"{self.name} refuses it: {type(error).__name__}: {error}") from error
        for name, item in found.items():
            if name not in self._init:
                object.__setattr__(made, name, item)  # as a frozen one's own __init__ does
        return made


class TypedDict(Converter):
    """A TypedDict: a dict with the keys that it names, and no others."""

    record = True

    def __init__(self, cls: type) -> None:
        self.name = cls.__qualname__.rpartition("<locals>.")[2]
        self.fields: dict[str, Converter] = {}
        self.required: set[str] = set()

    def encode(self, value: Any) -> Any:
        if type(value) is not dict:
            raise self.refused(value)
        for name in value:
            if name not in self.fields:
                raise Misfit(f"{name!r} is no key of {self.name}" if type(name) is str else _no_str(name))
        _check_required(self.required, value)
        return {name: convert_at(f"[{name!r}]", self.fields[name].encode, item) for name, item in value.items()}

    def decode(self, plain: Any) -> Any:
        if type(plain) is not dict:
            raise self.refused(plain)
        return decode_fields(self.fields, self.required, plain)


def decode_fields(fields: dict[str, Converter], required: set[str], plain: dict[str, Any]) -> dict[str, Any]:
    """The fields of a record from what is stored: no unknown one, and none missing that must be there."""
    for name in plain:
        if name not in fields:
            raise Misfit("is stored and not among the fields of the model", f".{name}")
    _check_required(required, plain)
    return {name: convert_at(f".{name}", fields[name].decode, item) for name, item in plain.items()}


def _check_required(required: set[str], there: dict[str, Any]) -> None:
    for name in sorted(required - there.keys()):
        raise Misfit("is missing", f".{name}")


def _no_str(name: object) -> str:
    return f"a key must be str, not {kind_of(name)}"

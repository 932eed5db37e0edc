"""pydantic's models and dataclasses: written and checked by pydantic, by the names of their fields."""

from __future__ import annotations

import collections.abc
import dataclasses
import typing
from typing import Any

import pydantic
from pydantic import PydanticSchemaGenerationError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from rrag_storage.errors import ConfigurationError, UnsupportedTypeError

from ._converters import Converter
from ._misfit import Misfit, kind_of
from ._plain import LEAVES, Stand, is_array, plain

_FIRST_VERSION = (2, 11)  # takes by_name and by_alias at each call


class PydanticModel(Converter):
    """A model, or a dataclass of pydantic's own kind."""

    record = True

    def __init__(self, cls: type, where: str) -> None:
        if tuple(map(int, pydantic.VERSION.split(".")[:2])) < _FIRST_VERSION:
            raise ConfigurationError(f"typed views need pydantic 2.11 or newer; this is {pydantic.VERSION}")
        self.name = cls.__name__
        self._cls = cls
        _check_fields(cls, where, set())
        self._adapter: TypeAdapter[Any] = TypeAdapter(cls)

    def encode(self, value: Any) -> Any:
        if type(value) is not self._cls:
            raise self.refused(value)
        try:
            # Of a value that is not of its field's type it need not warn: reading it back tells where.
            dumped = self._adapter.dump_python(value, mode="python", by_alias=False, round_trip=True, warnings=False)
        except (PydanticSerializationError, ValueError) as error:
            raise Misfit(f"pydantic can't write it: {type(error).__name__}") from error
        return plain(dumped, _IN_JSON)

    def decode(self, plain: Any) -> Any:
        try:
            return self._adapter.validate_python(plain, by_alias=False, by_name=True)
        except ValidationError as error:
            raise _misfit(error) from error


def _misfit(error: ValidationError) -> Misfit:
    """What pydantic says, where, without the values."""
    told = error.errors(include_url=False, include_context=False, include_input=False)
    first = told[0]
    where = "".join(f"[{place}]" if isinstance(place, int) else f".{place}" for place in first["loc"])
    more = f" (and {len(told) - 1} more)" if len(told) > 1 else ""
    return Misfit(f"{first['msg']}{more}", where)


def _leaf(value: Any) -> Any:
    try:
        return to_jsonable_python(value)
    except PydanticSerializationError as error:
        raise Misfit(f"{kind_of(value)} can't be stored") from error


def _key(key: Any) -> Any:
    return next(iter(_leaf({key: None})))


# A path, a url, an address and the like stand as what they are in JSON; reading back shows if that will do.
_IN_JSON = Stand(_leaf, _key)


def _check_fields(cls: Any, where: str, seen: set[type]) -> None:
    """Refuses what could never be read back, by the name of its field."""
    seen.add(cls)
    fields = getattr(cls, "model_fields", None) or getattr(cls, "__pydantic_fields__", {})
    own = _written_by_the_model(cls)
    for name, field in fields.items():
        place = f"{where}.{name}"
        if field.exclude:
            raise UnsupportedTypeError(f"{place}: exclude=True leaves it out of what is written, so it would be lost")
        if name in own or "*" in own or any(type(each).__name__.endswith("Serializer") for each in field.metadata):
            continue  # its author says how it is written
        _check_annotation(field.annotation, place, seen)


def _written_by_the_model(cls: Any) -> set[str]:
    decorators = getattr(cls, "__pydantic_decorators__", None)
    serializers = getattr(decorators, "field_serializers", {})
    return {name for each in serializers.values() for name in each.info.fields}


def _check_annotation(hint: Any, where: str, seen: set[type]) -> None:
    origin = typing.get_origin(hint)
    if origin is collections.abc.Callable or hint is collections.abc.Callable:
        raise UnsupportedTypeError(f"{where}: a callable can't be stored")
    if origin is typing.Literal or (isinstance(origin, type) and is_array(origin)):
        return
    for argument in typing.get_args(hint):
        _check_annotation(argument, where, seen)
    if not isinstance(hint, type) or origin is not None or hint in seen or hint in LEAVES or is_array(hint):
        return
    if hasattr(hint, "model_fields") or (dataclasses.is_dataclass(hint) and hasattr(hint, "__pydantic_fields__")):
        _check_fields(hint, where, seen)
    elif hasattr(hint, "get_secret_value"):
        raise UnsupportedTypeError(f"{where}: pydantic masks a {hint.__name__} when it writes it, so it would be lost")
    else:
        seen.add(hint)
        try:
            TypeAdapter(hint)
        except PydanticSchemaGenerationError as error:
            raise UnsupportedTypeError(f"{where}: {hint.__qualname__} can't be stored") from error

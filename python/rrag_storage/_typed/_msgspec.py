"""msgspec's structs: written by their encoded names, checked by `msgspec.convert`."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import ValidationError

from rrag_storage.errors import UnsupportedTypeError

from ._converters import Converter
from ._misfit import Misfit, kind_of
from ._plain import Stand, is_array, plain


class MsgspecStruct(Converter):
    """A struct: tags, renamed fields and `array_like` as msgspec itself has them; every field is written."""

    record = True

    def __init__(self, cls: type, where: str) -> None:
        self.name = cls.__name__
        self._cls = cls
        _check(msgspec.inspect.type_info(cls), where, set())

    def encode(self, value: Any) -> Any:
        if type(value) is not self._cls:
            raise self.refused(value)
        return _write(value)

    def decode(self, plain: Any) -> Any:
        try:
            return msgspec.convert(plain, self._cls, dec_hook=_own, str_keys=True)
        except ValidationError as error:
            why, _, where = str(error).partition(" - at `$")
            raise Misfit(why, where.removesuffix("`")) from error


def _write(value: Any) -> Any:
    cls = type(value)
    if not isinstance(value, msgspec.Struct):
        raise Misfit(f"{kind_of(value)} can't be stored")
    config = value.__struct_config__
    items = [
        (name, _field(value, own))
        for name, own in zip(cls.__struct_encode_fields__, cls.__struct_fields__, strict=True)
    ]
    tag = [] if config.tag is None else [(config.tag_field, config.tag)]
    return [item for _, item in tag + items] if config.array_like else dict(tag + items)


def _field(struct: Any, name: str) -> Any:
    try:
        return plain(getattr(struct, name), _WRITTEN)
    except Misfit as misfit:
        raise misfit.under(f".{name}") from misfit.__cause__


def _key(key: Any) -> Any:
    return next(iter(msgspec.to_builtins({key: None}, str_keys=True)))


_WRITTEN = Stand(_write, _key)


def _own(cls: type, value: Any) -> Any:
    """numpy's arrays and scalars, which msgspec leaves to its caller."""
    if not isinstance(value, cls):
        raise ValueError(f"Expected `{cls.__name__}`, got `{kind_of(value)}`")
    return value


def _check(info: Any, where: str, seen: set[int]) -> None:
    """Refuses types that msgspec does not know, by the name of their field, numpy's excepted."""
    if id(info) in seen:
        return
    seen.add(id(info))
    if isinstance(info, msgspec.inspect.CustomType) and not is_array(info.cls):
        raise UnsupportedTypeError(f"{where}: {info.cls.__qualname__} can't be stored")
    for name in getattr(info, "__struct_fields__", ()):
        part = getattr(info, name)
        for each in part if isinstance(part, tuple) else (part,):
            if isinstance(each, msgspec.inspect.Field):
                _check(each.type, f"{where}.{each.name}", seen)
            elif isinstance(each, msgspec.inspect.Type):
                _check(each, where, seen)

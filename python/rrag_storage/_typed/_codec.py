"""Between the values of one model and what is stored for them, under keys that errors name."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from rrag_storage.errors import InvalidValueError

from ._annotations import Annotations
from ._converters import Converter
from ._difference import difference
from ._misfit import Misfit
from .entry import TypedEntry

if TYPE_CHECKING:
    from rrag_storage._native import MemoryEntry

M = TypeVar("M")


class Codec(Generic[M]):
    """Encodes and decodes the values of `model`."""

    def __init__(self, model: type[M]) -> None:
        self.model = model
        self._converter = _converter_of(model)

    def encode(self, key: object, value: M) -> Any:
        """What is stored for `value`. Raises InvalidValueError where the very same would not come back."""
        try:
            plain = self._converter.encode(value)
            changed = difference(value, self._converter.decode(plain))
        except Misfit as misfit:
            self._refuse(f"key {key!r}: not stored, no valid {self._converter.name}: {misfit}", key, misfit)
        except RecursionError:
            self._refuse(f"key {key!r}: not stored: nested too deeply, or in a cycle", key)
        if changed:
            self._refuse(
                f"key {key!r}: not stored, because it would not come back the same from {self._converter.name}: {changed}",
                key,
            )
        return plain

    def decode(self, key: str, plain: Any) -> M:
        """The value that `plain` stands for. Raises InvalidValueError where it fits the model no longer."""
        try:
            made: M = self._converter.decode(plain)
        except Misfit as misfit:
            self._refuse(
                f"key {key!r}: what is stored is no valid {self._converter.name}: {misfit}", key, misfit, plain
            )
        return made

    def decode_pair(self, pair: tuple[str, Any]) -> tuple[str, M]:
        """A key and its value."""
        key, plain = pair
        return key, self.decode(key, plain)

    def decode_entry(self, entry: MemoryEntry) -> TypedEntry[M]:
        """The entry with its value."""
        return TypedEntry(
            entry.key,
            self.decode(entry.key, entry.value),
            entry.created_at,
            entry.updated_at,
            entry.expires_at,
            entry.version,
            entry.size_bytes,
            entry.kind,
        )

    def _refuse(self, message: str, key: object, misfit: Misfit | None = None, stored: Any = None) -> NoReturn:
        error = InvalidValueError(message)
        error.key = key if isinstance(key, str) else None
        error.stored = stored
        raise error from (misfit.__cause__ if misfit else None)


def _converter_of(model: Any) -> Converter:
    if not isinstance(model, type):
        raise TypeError(f"a model is a class, not {model!r}")
    converter = _foreign(model, model.__name__) or Annotations(_foreign).record(model)
    if converter is None:
        raise TypeError(
            f"a model is a pydantic model, a dataclass, a TypedDict or a msgspec Struct, not {model.__qualname__}"
        )
    return converter


def _foreign(cls: type, where: str) -> Converter | None:
    """The converter of a class of pydantic's or msgspec's; neither is imported unless the class is of theirs."""
    pydantic, msgspec = sys.modules.get("pydantic"), sys.modules.get("msgspec")
    if pydantic is not None and (
        issubclass(cls, pydantic.BaseModel) or pydantic.dataclasses.is_pydantic_dataclass(cls)
    ):
        from ._pydantic import PydanticModel

        return PydanticModel(cls, where)
    if msgspec is not None and issubclass(cls, msgspec.Struct):
        from ._msgspec import MsgspecStruct

        return MsgspecStruct(cls, where)
    return None

"""From the annotations of dataclasses and TypedDicts to converters; what can't be kept is refused here, by its name."""

from __future__ import annotations

import collections.abc
import dataclasses
import types
import typing
from collections.abc import Callable
from enum import Enum, Flag
from typing import Any, Literal, NewType

from rrag_storage.errors import UnsupportedTypeError

from ._converters import TAG, Anything, Array, Choice, Converter, Exactly, Items, Map, Tuple, Union
from ._plain import LEAVES, is_array
from ._records import Dataclass, TypedDict

Foreign = Callable[[type, str], Converter | None]
"""The converter of a class that another library's model is made of; None where it is none of them."""

# A float may be written as an int, as type checkers have it; it comes back as the int.
_LEAVES: dict[Any, Converter] = {
    **{leaf: Exactly(leaf.__name__, leaf) for leaf in LEAVES},
    type(None): Exactly("None", type(None)),
    None: Exactly("None", type(None)),
    float: Exactly("float", float, int),
    Any: Anything(),
    object: Anything(),
}
_KINDS: dict[Any, tuple[type, ...]] = {
    **{kind: (kind,) for kind in (list, set, frozenset)},
    collections.abc.MutableSequence: (list,),
    collections.abc.MutableSet: (set,),
    collections.abc.Set: (set, frozenset),
    collections.abc.Sequence: (list, tuple),
    collections.abc.Iterable: (list, tuple, set, frozenset),
    collections.abc.Collection: (list, tuple, set, frozenset),
}
_MAPS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_QUALIFIERS = ("Required", "NotRequired", "ReadOnly", "Final")


class Annotations:
    """Reads the annotations of one model and all that it is made of, each class once."""

    def __init__(self, foreign: Foreign) -> None:
        self._foreign = foreign
        self._records: dict[type, Converter] = {}

    def record(self, cls: type) -> Converter | None:
        """The converter of a dataclass or TypedDict; None of anything else."""
        if cls in self._records:
            return self._records[cls]
        made: Dataclass | TypedDict
        if is_typeddict(cls):
            made = self._records[cls] = TypedDict(cls)
            hints = _hints(cls)
            made.required = {name for name, hint in hints.items() if _is_required(cls, name, hint)}
            names = list(hints)
        elif dataclasses.is_dataclass(cls):
            made = self._records[cls] = Dataclass(cls)
            hints = _hints(cls)
            names = [field.name for field in dataclasses.fields(cls)]
            for name, hint in hints.items():
                if isinstance(hint, dataclasses.InitVar):
                    raise UnsupportedTypeError(
                        f"{made.name}.{name}: an InitVar is not kept by the object, so not stored"
                    )
        else:
            return None
        if TAG in names:
            raise UnsupportedTypeError(f"{made.name}.{TAG}: this name says of which class a record is; use another")
        made.fields.update((name, self.read(hints[name], f"{made.name}.{name}")) for name in names)
        return made

    def read(self, hint: Any, where: str) -> Converter:
        """The converter of an annotation. `where` is the field, for UnsupportedTypeError."""
        hint = _bare(hint)
        if (leaf := _leaf(hint)) is not None:
            return leaf
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin in (typing.Union, types.UnionType):
            return self._union([self.read(argument, where) for argument in arguments], where)
        if origin is Literal:
            return Choice(f"one of {', '.join(map(repr, arguments))}", arguments)
        if (container := self._container(origin or hint, arguments, where)) is not None:
            return container
        if isinstance(hint, type) and origin is None:
            made = self._enum(hint, where) or self._foreign(hint, where) or self.record(hint)
            if made is not None:
                return made
        raise _unsupported(hint, where)

    def _container(self, kind: Any, arguments: tuple[Any, ...], where: str) -> Converter | None:
        if kind is tuple and arguments and arguments[-1] is not Ellipsis:
            return Tuple([self.read(argument, where) for argument in arguments if argument != ()])
        if kind is tuple:
            return Items(tuple, self.read(arguments[0] if arguments else Any, where))
        if kind in _MAPS:
            if arguments and _bare(arguments[0]) not in (str, Any):
                raise UnsupportedTypeError(f"{where}: a stored map has str keys, not {_name(arguments[0])}")
            return Map(self.read(arguments[1] if arguments else Any, where))
        if kind in _KINDS:
            item = self.read(arguments[0] if arguments else Any, where)
            if kind in (set, frozenset) and not item.hashable and not isinstance(item, Anything):
                raise UnsupportedTypeError(f"{where}: what is stored for {item.name} can't stand in a set; use a list")
            made: list[Converter] = [Items(each, item) for each in _KINDS[kind]]
            return made[0] if len(made) == 1 else Union(made, {})
        if isinstance(kind, type) and is_array(kind):
            return _array(kind, arguments)
        return None

    def _enum(self, cls: type, where: str) -> Converter | None:
        if not issubclass(cls, Enum):
            return None
        members = list(cls.__members__.values())
        for member in members:
            if type(member.value) not in LEAVES and type(member.value) is not tuple:
                raise UnsupportedTypeError(f"{where}: {cls.__name__}.{member.name} has a value that can't be stored")
        return Choice(cls.__name__, members, cls if issubclass(cls, Flag) else None)

    def _union(self, members: list[Converter], where: str) -> Converter:
        tags: dict[str, Converter] = {}
        maps = sum(member.record or isinstance(member, Anything) for member in members)
        for member in members:
            if maps > 1 and member.record and not isinstance(member, TypedDict | Map):
                if member.name in tags:
                    raise UnsupportedTypeError(f"{where}: two of its classes are called {member.name}")
                tags[member.name] = member
        return Union(members, tags)


def is_typeddict(cls: object) -> bool:
    """Whether a class is a TypedDict, of `typing` or of `typing_extensions`."""
    return isinstance(cls, type) and issubclass(cls, dict) and hasattr(cls, "__required_keys__")


def _bare(hint: Any) -> Any:
    """An annotation without what says nothing of the value: Annotated, Required, a name of its own."""
    while True:
        if isinstance(hint, NewType):
            hint = hint.__supertype__
        elif typing.get_origin(hint) is typing.Annotated or _qualifier(hint):
            hint = typing.get_args(hint)[0]
        elif type(hint).__name__ == "TypeAliasType":
            hint = hint.__value__
        else:
            return hint


def _qualifier(hint: Any) -> str | None:
    name = getattr(typing.get_origin(hint), "_name", None)
    return name if name in _QUALIFIERS else None


def _is_required(cls: Any, name: str, hint: Any) -> bool:
    while (qualifier := _qualifier(hint)) or typing.get_origin(hint) is typing.Annotated:
        if qualifier in ("Required", "NotRequired"):
            return qualifier == "Required"
        hint = typing.get_args(hint)[0]
    return name in cls.__required_keys__


def _leaf(hint: Any) -> Converter | None:
    try:
        return _LEAVES.get(hint)
    except TypeError:  # not hashable, as a Literal of a list is
        return None


def _array(cls: type, arguments: tuple[Any, ...]) -> Converter:
    """`ndarray`, `NDArray[float32]`, which is `ndarray[…, dtype[float32]]`, or a scalar's class."""
    of = typing.get_args(arguments[1]) if len(arguments) == 2 else ()
    scalar = of[0] if of and isinstance(of[0], type) and is_array(of[0]) else None
    return Array(f"array of {scalar.__name__}" if scalar else cls.__name__, cls, scalar)


def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls, localns={cls.__name__: cls}, include_extras=True)
    except (NameError, TypeError) as error:
        raise UnsupportedTypeError(f"{cls.__qualname__}: its annotations can't be read at run time: {error}") from error


def _unsupported(hint: Any, where: str) -> UnsupportedTypeError:
    return UnsupportedTypeError(f"{where}: {_name(hint)} can't be stored exactly; docs/typed.md lists what can")


def _name(hint: Any) -> str:
    return (
        hint.__qualname__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint).replace("typing.", "")
    )

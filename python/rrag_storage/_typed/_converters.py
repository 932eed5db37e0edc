"""One class for each shape of annotation: it checks a value and gives what is stored for it, and the other way round.

Nothing is converted that need not be: a list is no tuple, a bool no int, a str no UUID, in either direction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Any

from ._misfit import Misfit, kind_of

TAG = "__type__"
"""What a record in a union of several says which it is by."""


class Converter(ABC):
    """What is known of one annotation."""

    name: str
    """The annotation, as messages say it."""
    hashable: bool = False
    """Whether what is stored for it can stand in a set."""
    record: bool = False
    """Whether it is stored as a map that does not say by itself what it is of."""

    @abstractmethod
    def encode(self, value: Any) -> Any:
        """What is stored for `value`. Raises Misfit where it is not of this annotation."""

    @abstractmethod
    def decode(self, plain: Any) -> Any:
        """The value that `plain` stands for. Raises Misfit where it stands for none."""

    def refused(self, value: object) -> Misfit:
        return Misfit(f"must be {self.name}, not {kind_of(value)}")


class Anything(Converter):
    """`Any` and `object`: what the storage itself takes."""

    name = "anything"

    def encode(self, value: Any) -> Any:
        return value

    def decode(self, plain: Any) -> Any:
        return self.encode(plain)


class Exactly(Converter):
    """One of the types that are stored as they are."""

    hashable = True

    def __init__(self, name: str, *types: type) -> None:
        self.name = name
        self._types = types

    def encode(self, value: Any) -> Any:
        if type(value) not in self._types:
            raise self.refused(value)
        return value

    def decode(self, plain: Any) -> Any:
        return self.encode(plain)


class Array(Converter):
    """A numpy array or scalar, of one dtype where the annotation names it."""

    def __init__(self, name: str, cls: type, scalar: type | None = None) -> None:
        self.name = name
        self._cls = cls
        self._scalar = scalar
        self._exact = cls.__name__ == "ndarray"

    def encode(self, value: Any) -> Any:
        if type(value) is not self._cls if self._exact else not isinstance(value, self._cls):
            raise self.refused(value)
        if self._scalar is not None and not issubclass(value.dtype.type, self._scalar):
            raise Misfit(f"must be {self.name}, not an array of {value.dtype}")
        return value

    def decode(self, plain: Any) -> Any:
        return self.encode(plain)


class Items(Converter):
    """A list, tuple, set or frozenset of any length whose items are all of one kind."""

    def __init__(self, kind: type, item: Converter) -> None:
        self.name = kind.__name__
        self.hashable = kind in (tuple, frozenset) and item.hashable
        self._kind: Any = kind
        self._item = item

    def encode(self, value: Any) -> Any:
        return self._all(value, self._item.encode)

    def decode(self, plain: Any) -> Any:
        return self._all(plain, self._item.decode)

    def _all(self, value: Any, convert: Callable[[Any], Any]) -> Any:
        if type(value) is not self._kind:
            raise self.refused(value)
        made: list[Any] = []
        try:
            made.extend(map(convert, value))
        except Misfit as misfit:
            place = f"[{len(made)}]" if self._kind in (list, tuple) else "[…]"
            raise misfit.under(place) from misfit.__cause__
        return made if self._kind is list else self._kind(made)


class Tuple(Converter):
    """A tuple of so many items, each of its own kind."""

    def __init__(self, items: Sequence[Converter]) -> None:
        self.name = f"tuple of {len(items)}"
        self.hashable = all(item.hashable for item in items)
        self._encoders = [item.encode for item in items]
        self._decoders = [item.decode for item in items]

    def encode(self, value: Any) -> Any:
        return self._all(value, self._encoders)

    def decode(self, plain: Any) -> Any:
        return self._all(plain, self._decoders)

    def _all(self, value: Any, converters: Sequence[Callable[[Any], Any]]) -> tuple[Any, ...]:
        if type(value) is not tuple:
            raise self.refused(value)
        if len(value) != len(converters):
            raise Misfit(f"must be a {self.name}, not of {len(value)}")
        return tuple(
            convert_at(f"[{i}]", convert, item) for i, (convert, item) in enumerate(zip(converters, value, strict=True))
        )


class Map(Converter):
    """A dict of str keys whose values are all of one kind."""

    name = "dict"
    record = True

    def __init__(self, item: Converter) -> None:
        self._item = item

    def encode(self, value: Any) -> Any:
        return self._all(value, self._item.encode)

    def decode(self, plain: Any) -> Any:
        return self._all(plain, self._item.decode)

    def _all(self, value: Any, convert: Callable[[Any], Any]) -> dict[str, Any]:
        if type(value) is not dict:
            raise self.refused(value)
        for key in value:
            if type(key) is not str:
                raise Misfit(f"a key must be str, not {kind_of(key)}")
        return {key: convert_at(f"[{key!r}]", convert, item) for key, item in value.items()}


class Choice(Converter):
    """A Literal or an Enum: one of so many values, stored as they are, members of an Enum by their values."""

    hashable = True

    def __init__(self, name: str, choices: Iterable[Any], missing: Callable[[Any], Any] | None = None) -> None:
        self.name = name
        choices = list(choices)
        self._stored = {_exact(choice): _stands_for(choice) for choice in choices}
        self._chosen = {_exact(_stands_for(choice)): choice for choice in choices}
        self._missing = missing

    def encode(self, value: Any) -> Any:
        try:
            if _exact(value) in self._stored:
                return self._stored[_exact(value)]
        except TypeError:  # not hashable, so none of them
            pass
        if self._missing is not None and isinstance(value, Enum) and self.decode(value.value) is value:
            return value.value  # of a Flag, several at once
        raise self.refused(value)

    def decode(self, plain: Any) -> Any:
        try:
            if _exact(plain) in self._chosen:
                return self._chosen[_exact(plain)]
        except TypeError:
            pass
        if self._missing is not None and type(plain) is int:
            try:
                return self._missing(plain)
            except ValueError:
                pass
        raise self.refused(plain)


def _exact(value: Any) -> tuple[type, Any]:
    """Tells 1, 1.0 and True apart, which are equal."""
    return type(value), value


def _stands_for(choice: Any) -> Any:
    return choice.value if isinstance(choice, Enum) else choice


class Union(Converter):
    """One of several annotations: the first that takes the value, a tagged record by its tag."""

    def __init__(self, members: Sequence[Converter], tags: dict[str, Converter]) -> None:
        self.name = " or ".join(member.name for member in members)
        self.hashable = all(member.hashable for member in members)
        self._members = members
        self._by_tag = tags
        self._tags = {id(member): tag for tag, member in tags.items()}
        # What has no tag is of a class only if nothing else takes it: the union may have had no tags when it was stored.
        self._tagged_last = sorted(members, key=lambda member: id(member) in self._tags)

    def encode(self, value: Any) -> Any:
        member, plain = self._first(self._members, value, "encode")
        tag = self._tags.get(id(member))
        return {TAG: tag, **plain} if tag is not None and type(plain) is dict else plain

    def decode(self, plain: Any) -> Any:
        tag = plain.get(TAG) if type(plain) is dict else None
        if isinstance(tag, str) and (member := self._by_tag.get(tag)):
            return member.decode({key: item for key, item in plain.items() if key != TAG})
        return self._first(self._tagged_last, plain, "decode")[1]

    def _first(self, members: Sequence[Converter], value: Any, direction: str) -> tuple[Converter, Any]:
        deepest: Misfit | None = None
        for member in members:
            try:
                return member, getattr(member, direction)(value)
            except Misfit as misfit:
                if misfit.where and (deepest is None or len(misfit.where) > len(deepest.where)):
                    deepest = misfit
        raise deepest or self.refused(value)


def convert_at(place: str, convert: Callable[[Any], Any], item: Any) -> Any:
    """Converts what stands at `place`, which a misfit then names."""
    try:
        return convert(item)
    except Misfit as misfit:
        raise misfit.under(place) from misfit.__cause__

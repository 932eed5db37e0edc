"""What the calls of typed views and of their transactions have in common."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from rrag_storage.errors import InvalidValueError

if TYPE_CHECKING:
    from rrag_storage._native import Operation

    from ._codec import Codec

M = TypeVar("M")
D = TypeVar("D")
T = TypeVar("T")

MISSING: Any = object()
"""The default that tells a missing key from a stored None."""


def keys_of(keys: Iterable[str]) -> Iterable[str]:
    """`keys`, so that they can be read twice. A str is left for the storage to refuse."""
    return keys if isinstance(keys, str) else list(keys)


def encoded(codec: Codec[M], items: Mapping[str, M] | Iterable[tuple[str, M]]) -> list[Any]:
    """Pairs with what is stored for each value. What is no pair is left for the storage to refuse."""
    pairs = items.items() if isinstance(items, Mapping) else items
    return [(pair[0], codec.encode(*pair)) if isinstance(pair, tuple) and len(pair) == 2 else pair for pair in pairs]


def decoded(codec: Codec[M], key: str, found: Any, default: D) -> M | D:
    """The value of what was found under `key`; `default` where nothing was."""
    return default if found is MISSING else codec.decode(key, found)


def all_decoded(codec: Codec[M], keys: Iterable[str], found: Iterable[Any], default: D) -> list[M | D]:
    """The same of several keys."""
    return [decoded(codec, key, each, default) for key, each in zip(keys, found, strict=True)]


def deferred(call: Callable[[], Operation[T]]) -> Coroutine[Any, Any, T]:
    """The operation of a value that is encoded now. A refused one raises when it is awaited, as on a storage."""
    try:
        return call()
    except InvalidValueError as error:
        return _raising(error)


async def _raising(error: InvalidValueError) -> Any:
    raise error

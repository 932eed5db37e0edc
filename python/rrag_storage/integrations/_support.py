"""What the adapters share: the import guard, keys made of labels, and the checks of constructors' arguments."""

from __future__ import annotations

import math
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from .. import Storage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

Seconds = int | float | timedelta
"""A time to live: seconds, or a timedelta; positive and finite."""

SEPARATOR = "::"
"""What stands between the labels of a key, as between a storage's namespaces."""

_EMPTY = "%"
_PAGE = 1_000


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Around an adapter's imports of its framework: what is missing is said with the `extra` that brings it.

    Raises:
        ImportError: a module is missing, or too old to have what the adapter needs.
    """
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f"this adapter needs an extra: pip install 'rrag-storage[{extra}]' ({error})",
            name=error.name,
            path=error.path,
        ) from error


def escape(label: str) -> str:
    """`label` as one part of a key: never empty, and without a colon. `unescape` undoes it.

    Characters are escaped one by one, so that the escaped form of a non-empty prefix is a prefix of the escaped form.
    """
    return label.replace("%", "%25").replace(":", "%3A") or _EMPTY


def unescape(part: str) -> str:
    """The label that `escape` made `part` of."""
    return "" if part == _EMPTY else part.replace("%3A", ":").replace("%25", "%")


def join(labels: Iterable[str]) -> str:
    """One key for a sequence of labels: no two sequences share one, and those that start alike share a namespace."""
    return SEPARATOR.join(map(escape, labels))


def split(key: str) -> tuple[str, ...]:
    """The labels that `join` made `key` of."""
    return tuple(map(unescape, key.split(SEPARATOR))) if key else ()


def view(storage: Storage, namespace: str) -> Storage:
    """What an adapter works on: the part of `storage` under `namespace`, which may have several segments (`app::chat`).

    Raises:
        TypeError: `storage` is no storage (its blocking twin is none), or `namespace` no str.
        ValueError: `namespace` is empty.
    """
    if not isinstance(storage, Storage):
        raise TypeError(f"storage must be a storage of rrag_storage, not {type(storage).__name__}")
    if not isinstance(namespace, str):
        raise TypeError(f"namespace must be a str, not {type(namespace).__name__}")
    if not namespace:
        raise ValueError("namespace must not be empty: it keeps the adapter's entries apart from all others")
    return storage.namespace(namespace)


def checked_ttl(ttl: Seconds | None, name: str = "ttl") -> Seconds | None:
    """`ttl` as it was given, so that a wrong one fails in the constructor and not at the first write.

    Raises:
        TypeError: it is neither a number nor a timedelta (nor None).
        ValueError: it is not positive and finite.
    """
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, int | float | timedelta):
        raise TypeError(f"{name} must be seconds (int, float) or a timedelta, not {type(ttl).__name__}")
    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
    if not (0 < seconds < math.inf):
        raise ValueError(f"{name} must be positive and finite, not {ttl!r}")
    return ttl


async def key_pages(storage: Storage, *, prefix: str | None = None) -> AsyncIterator[list[str]]:
    """The keys that start with `prefix`, in key order and in pages, so that they are never all in memory."""
    after = None
    while page := await storage.keys(after=after, limit=_PAGE, prefix=prefix):
        yield page
        after = page[-1]


def key_pages_sync(storage: Storage, *, prefix: str | None = None) -> Iterator[list[str]]:
    """As `key_pages`, blocking."""
    after = None
    while page := storage.sync.keys(after=after, limit=_PAGE, prefix=prefix):
        yield page
        after = page[-1]

"""py-key-value: `RragKeyValueStore` for all that takes an `AsyncKeyValue`, FastMCP among them.

Needs the extra: `pip install 'rrag-storage[key-value]'`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from .. import MemoryValue
from ..errors import UnsupportedTypeError
from ._support import escape, needs, unescape, view

with needs("key-value"):
    from key_value.aio.errors import DeserializationError, InvalidTTLError, SerializationError
    from key_value.aio.protocols.key_value import (
        AsyncDestroyCollectionProtocol,
        AsyncDestroyStoreProtocol,
        AsyncEnumerateCollectionsProtocol,
        AsyncEnumerateKeysProtocol,
        AsyncKeyValue,
    )

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import SupportsFloat

    from .. import MemoryEntry, Storage

__all__ = ["RragKeyValueStore"]

_MISSING: Any = object()


class RragKeyValueStore(
    AsyncKeyValue,
    AsyncEnumerateKeysProtocol,
    AsyncEnumerateCollectionsProtocol,
    AsyncDestroyCollectionProtocol,
    AsyncDestroyStoreProtocol,
):
    """A store of py-key-value's protocol in a storage: `FastMCP` keeps its sessions, tokens and caches in it.

    A value is a mapping of what JSON can hold, as in all stores of py-key-value; tuples come back as lists.

    Args:
        storage: any storage; it stays the caller's to close.
        namespace: under what the collections stand in it.
        default_collection: the collection of calls that name none.

    Raises:
        TypeError, ValueError: an argument that can't be used.
    """

    default_collection: str

    def __init__(
        self, storage: Storage, *, namespace: str = "key_value", default_collection: str = "default_collection"
    ) -> None:
        if not isinstance(default_collection, str):
            raise TypeError(f"default_collection must be a str, not {type(default_collection).__name__}")
        if not default_collection:
            raise ValueError("default_collection must not be empty")
        self.default_collection = default_collection
        self._view = view(storage, namespace)

    def _collection(self, collection: str | None) -> Storage:
        return self._view.namespace(escape(collection or self.default_collection))

    async def get(self, key: str, *, collection: str | None = None) -> dict[str, Any] | None:
        """The value under `key`; None where there is none.

        Raises:
            DeserializationError: what is stored there is no mapping.
        """
        return _value(key, await self._collection(collection).get(escape(key), _MISSING))

    async def get_many(self, keys: Sequence[str], *, collection: str | None = None) -> list[dict[str, Any] | None]:
        """The values under `keys`, in their order, None for each that is missing. Raises as `get`."""
        found = await self._collection(collection).mget(map(escape, keys), _MISSING)
        return [_value(key, value) for key, value in zip(keys, found, strict=True)]

    async def ttl(self, key: str, *, collection: str | None = None) -> tuple[dict[str, Any] | None, float | None]:
        """The value under `key` and the seconds until it expires, None where it never does; (None, None) if missing.

        Raises as `get`.
        """
        return _with_ttl(key, await self._collection(collection).get_entry(escape(key)))

    async def ttl_many(
        self, keys: Sequence[str], *, collection: str | None = None
    ) -> list[tuple[dict[str, Any] | None, float | None]]:
        """What `ttl` gives for each of the keys, in their order."""
        found = await self._collection(collection).get_entries(map(escape, keys))
        return [_with_ttl(key, entry) for key, entry in zip(keys, found, strict=True)]

    async def put(
        self, key: str, value: Mapping[str, Any], *, collection: str | None = None, ttl: SupportsFloat | None = None
    ) -> None:
        """Stores `value` under `key`, for `ttl` seconds where it is given.

        Raises:
            TypeError: `value` is no mapping.
            SerializationError: it holds what JSON can't; the message says where.
            InvalidTTLError: `ttl` is no positive, finite number of seconds.
        """
        await self._collection(collection).set(escape(key), _json(value), _seconds(ttl))

    async def put_many(
        self,
        keys: Sequence[str],
        values: Sequence[Mapping[str, Any]],
        *,
        collection: str | None = None,
        ttl: SupportsFloat | None = None,
    ) -> None:
        """Stores each of `values` under its key: all, or none. Raises as `put`, ValueError where their counts differ."""
        if len(keys) != len(values):
            raise ValueError(f"there must be as many values as keys, not {len(values)} for {len(keys)}")
        pairs = [(escape(key), _json(value)) for key, value in zip(keys, values, strict=True)]
        await self._collection(collection).mset(pairs, _seconds(ttl))

    async def delete(self, key: str, *, collection: str | None = None) -> bool:
        """Deletes what is under `key`; whether there was something."""
        return await self._collection(collection).delete(escape(key))

    async def delete_many(self, keys: Sequence[str], *, collection: str | None = None) -> int:
        """Deletes what is under `keys` in one step; how many of them there were."""
        return await self._collection(collection).mdelete(map(escape, keys))

    async def keys(self, collection: str | None = None, *, limit: int | None = None) -> list[str]:
        """The keys of the collection, at most `limit` of them where it is given."""
        return [unescape(key) for key in await self._collection(collection).keys(limit=limit)]

    async def collections(self, *, limit: int | None = None) -> list[str]:
        """The names of the collections that hold something, at most `limit` of them where it is given."""
        return [unescape(part) for part in (await self._view.namespaces(max_depth=1))[:limit]]

    async def destroy_collection(self, collection: str) -> bool:
        """Deletes what is in the collection; whether there was something."""
        return await self._collection(collection).clear() > 0

    async def destroy(self) -> bool:
        """Deletes what is in all collections of this namespace, and nothing else in the storage; always True."""
        await self._view.clear()
        return True


def _json(value: Mapping[str, Any]) -> MemoryValue:
    if not isinstance(value, Mapping):
        raise TypeError(f"a value must be a mapping, not {type(value).__name__}")
    try:
        return MemoryValue.json(dict(value))
    except UnsupportedTypeError as error:
        raise SerializationError(str(error)) from error


def _value(key: str, stored: Any) -> dict[str, Any] | None:
    if stored is _MISSING:
        return None
    if isinstance(stored, dict):
        return stored
    raise DeserializationError(f"what is stored under {key!r} is no mapping, but of type {type(stored).__name__}")


def _with_ttl(key: str, entry: MemoryEntry | None) -> tuple[dict[str, Any] | None, float | None]:
    if entry is None:
        return None, None
    if entry.expires_at is None:
        return _value(key, entry.value), None
    left = (entry.expires_at - datetime.now(timezone.utc)).total_seconds()
    return _value(key, entry.value), max(left, 0.0)


def _seconds(ttl: SupportsFloat | None) -> float | None:
    if ttl is None:
        return None
    try:
        seconds = math.nan if isinstance(ttl, bool) else float(ttl)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise InvalidTTLError(ttl=ttl, extra_info={"type": type(ttl).__name__})
    return seconds

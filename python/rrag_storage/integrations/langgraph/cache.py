"""LangGraph's cache of what nodes returned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langgraph.cache.base import BaseCache

from .._steps import MISSING, Steps, awaited, blocking, grouped, write
from .._support import escape, join, view
from ._serde import dumps, loads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langgraph.cache.base import FullKey, Namespace
    from langgraph.checkpoint.serde.base import SerializerProtocol

    from ... import Storage

# A label is never escaped to this, so that the entries of a namespace stand apart from the namespaces below it.
_ENTRIES = "%i"


class RragNodeCache(BaseCache[Any]):
    """The results of nodes with a `cache_policy`: `builder.compile(cache=RragNodeCache(storage))`.

    Args:
        storage: where it keeps them; closing it stays the caller's.
        namespace: the part of `storage` that it uses.
        serde: how results become bytes; LangGraph's serializer of JSON and msgpack unless told.

    Raises:
        TypeError, ValueError: an argument that can't be used; the message names it.
    """

    def __init__(
        self, storage: Storage, *, namespace: str = "langgraph_cache", serde: SerializerProtocol | None = None
    ) -> None:
        super().__init__(serde=serde)
        self._view = view(storage, namespace)

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """The results under `keys`, each a namespace and a key; without those that are missing or expired."""
        return blocking(self._get(keys))

    async def aget(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """As `get`."""
        return await awaited(self._get(keys))

    def set(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> None:
        """Keeps results, each for its time to live: seconds, or None for ever.

        Raises:
            ValueError: a time to live that is not positive. Nothing is kept.
        """
        blocking(self._set(pairs))

    async def aset(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> None:
        """As `set`."""
        await awaited(self._set(pairs))

    def clear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """Forgets what stands in `namespaces` (not what stands in others below them), or, without any, everything."""
        blocking(self._clear(namespaces))

    async def aclear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """As `clear`."""
        await awaited(self._clear(namespaces))

    def _get(self, keys: Sequence[FullKey]) -> Steps[dict[FullKey, Any]]:
        stored = (yield self._view.mget([_key(*key) for key in keys], MISSING)) if keys else []
        return {
            (tuple(namespace), key): loads(self.serde, typed)
            for (namespace, key), typed in zip(keys, stored, strict=True)
            if typed is not MISSING
        }

    def _set(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> Steps[None]:
        typed = {_key(*key): dumps(self.serde, value) for key, (value, _) in pairs.items()}
        ttls = grouped((_key(*key), ttl) for key, (_, ttl) in pairs.items())
        yield from write(self._view, [(ttl, {key: typed[key] for key in keys}) for ttl, keys in ttls.items()])

    def _clear(self, namespaces: Sequence[Namespace] | None) -> Steps[None]:
        if namespaces is None:
            yield self._view.clear()
        else:
            for namespace in namespaces:
                yield self._view.clear(_folder(namespace))


def _folder(namespace: Namespace) -> str:
    return f"{join(namespace)}::{_ENTRIES}" if namespace else _ENTRIES


def _key(namespace: Namespace, key: str) -> str:
    return f"{_folder(namespace)}::{escape(key)}"

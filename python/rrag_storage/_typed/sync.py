"""The blocking twins of typed views and of their transactions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from rrag_storage._rotate import rotate_sync
from rrag_storage._transact import transact_sync
from rrag_storage.sync import SyncStorage

from ._calls import MISSING, all_decoded, decoded, encoded, keys_of
from .transaction import SyncTypedTransaction

if TYPE_CHECKING:
    from typing_extensions import Self

    from rrag_storage._native import MemoryQuery, MemoryStats, MemoryValue, Storage, Ttl
    from rrag_storage._rotate import RotateProgress

    from ._codec import Codec
    from .entry import TypedEntry

M = TypeVar("M")
D = TypeVar("D")
T = TypeVar("T")


class SyncTypedView(Generic[M]):
    """A typed view whose calls block; `storage.sync.typed(Model)` or `view.sync` gives it."""

    __slots__ = ("_codec", "_storage")

    def __init__(self, storage: Storage, codec: Codec[M]) -> None:
        self._storage = storage
        self._codec = codec

    def __repr__(self) -> str:
        return f"{self._storage!r}.sync.typed({self.model.__name__})"

    def _repr_html_(self) -> str:
        return self._storage._repr_html_()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def model(self) -> type[M]:
        return self._codec.model

    @property
    def storage(self) -> SyncStorage:
        return SyncStorage(self._storage)

    @property
    def backend_name(self) -> str:
        return self._storage.backend_name

    @property
    def url(self) -> str:
        return self._storage.url

    @property
    def closed(self) -> bool:
        return self._storage.closed

    def set(self, key: str, value: M, ttl: Ttl | None = None) -> None:
        self._storage.set(key, self._codec.encode(key, value), ttl).wait()

    @overload
    def get(self, key: str, default: None = None, *, refresh_ttl: Ttl | None = None) -> M | None: ...
    @overload
    def get(self, key: str, default: D, *, refresh_ttl: Ttl | None = None) -> M | D: ...
    def get(self, key: str, default: Any = None, *, refresh_ttl: Ttl | None = None) -> Any:
        return decoded(self._codec, key, self._storage.get(key, MISSING, refresh_ttl=refresh_ttl).wait(), default)

    def get_value(self, key: str) -> MemoryValue | None:
        return self._storage.get_value(key).wait()

    def get_entry(self, key: str) -> TypedEntry[M] | None:
        entry = self._storage.get_entry(key).wait()
        return entry and self._codec.decode_entry(entry)

    def get_entries(self, keys: Iterable[str]) -> list[TypedEntry[M] | None]:
        return [entry and self._codec.decode_entry(entry) for entry in self._storage.get_entries(keys).wait()]

    @overload
    def pop(self, key: str, default: None = None) -> M | None: ...
    @overload
    def pop(self, key: str, default: D) -> M | D: ...
    def pop(self, key: str, default: Any = None) -> Any:
        return decoded(self._codec, key, self._storage.pop(key, MISSING).wait(), default)

    def delete(self, key: str) -> bool:
        return self._storage.delete(key).wait()

    def exists(self, key: str) -> bool:
        return self._storage.exists(key).wait()

    def mset(self, items: Mapping[str, M] | Iterable[tuple[str, M]], ttl: Ttl | None = None) -> None:
        self._storage.mset(encoded(self._codec, items), ttl).wait()

    @overload
    def mget(self, keys: Iterable[str], default: None = None, *, refresh_ttl: Ttl | None = None) -> list[M | None]: ...
    @overload
    def mget(self, keys: Iterable[str], default: D, *, refresh_ttl: Ttl | None = None) -> list[M | D]: ...
    def mget(self, keys: Iterable[str], default: Any = None, *, refresh_ttl: Ttl | None = None) -> Any:
        keys = keys_of(keys)
        found = self._storage.mget(keys, MISSING, refresh_ttl=refresh_ttl).wait()
        return all_decoded(self._codec, keys, found, default)

    def mdelete(self, keys: Iterable[str]) -> int:
        return self._storage.mdelete(keys).wait()

    def keys(self, query: MemoryQuery | None = None, **filters: Any) -> list[str]:
        return self._storage.sync.keys(query, **filters)

    def items(self, query: MemoryQuery | None = None, **filters: Any) -> Iterator[tuple[str, M]]:
        return map(self._codec.decode_pair, self._storage.sync.items(query, **filters))

    def entries(self, query: MemoryQuery | None = None, **filters: Any) -> Iterator[TypedEntry[M]]:
        return map(self._codec.decode_entry, self._storage.sync.entries(query, **filters))

    def namespaces(self, prefix: str | None = None, max_depth: int | None = None) -> list[str]:
        return self._storage.namespaces(prefix, max_depth).wait()

    def count(self, namespace: str | None = None, *, prefix: str | None = None) -> int:
        return self._storage.count(namespace, prefix=prefix).wait()

    def clear(self, namespace: str | None = None, *, prefix: str | None = None) -> int:
        return self._storage.clear(namespace, prefix=prefix).wait()

    def set_if_absent(self, key: str, value: M, ttl: Ttl | None = None) -> bool:
        return self._storage.set_if_absent(key, self._codec.encode(key, value), ttl).wait()

    def compare_and_set(self, key: str, value: M, version: int, ttl: Ttl | None = None) -> bool:
        return self._storage.compare_and_set(key, self._codec.encode(key, value), version, ttl).wait()

    def expire(self, key: str, ttl: Ttl) -> bool:
        return self._storage.expire(key, ttl).wait()

    def persist(self, key: str) -> bool:
        return self._storage.persist(key).wait()

    def ttl(self, key: str) -> float | None:
        return self._storage.ttl(key).wait()

    def transaction(self) -> SyncTypedTransaction[M]:
        return SyncTypedTransaction(self._storage.transaction(), self._codec)

    def transact(self, fn: Callable[[SyncTypedTransaction[M]], T], max_attempts: int = 16) -> T:
        result: T = transact_sync(self, fn, max_attempts)  # type: ignore[arg-type]  # all it asks for is transaction()
        return result

    def rotate(
        self, *, progress: Callable[[RotateProgress], object] | None = None, page_size: int = 500
    ) -> RotateProgress:
        return rotate_sync(self._storage, progress, page_size)

    def collect_garbage(self, older_than: Ttl = 3600) -> int:
        return self._storage.collect_garbage(older_than).wait()

    def health_check(self) -> bool:
        return self._storage.health_check().wait()

    def stats(self) -> MemoryStats:
        return self._storage.stats().wait()

    def namespace(self, name: str) -> SyncTypedView[M]:
        return SyncTypedView(self._storage.namespace(name), self._codec)

    def open(self) -> Self:
        self._storage.open().wait()
        return self

    def close(self) -> None:
        self._storage.close().wait()

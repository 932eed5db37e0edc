"""The blocking twins: each call makes the very operation that the awaitable interface makes, and waits for it.

Waiting releases the interpreter's lock, works while an event loop runs in this thread, and Ctrl-C interrupts it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from ._pandas import to_pandas_sync
from ._rotate import rotate_sync
from ._transact import transact_sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import timedelta
    from types import TracebackType

    import pandas as pd

    from ._native import MemoryEntry, MemoryQuery, MemoryStats, MemoryValue, Storage, Transaction
    from ._rotate import RotateProgress
    from ._typed import SyncTypedView

    Seconds = int | float | timedelta

M = TypeVar("M")

__all__ = ["SyncStorage", "SyncTransaction"]


class SyncStorage:
    """A storage whose calls block; `storage.sync` gives it. It shares everything with that storage."""

    __slots__ = ("_storage",)

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def __repr__(self) -> str:
        return f"{self._storage!r}.sync"

    def _repr_html_(self) -> str:
        return self._storage._repr_html_()

    def __enter__(self) -> SyncStorage:
        self._storage.open().wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def backend_name(self) -> str:
        return self._storage.backend_name

    @property
    def url(self) -> str:
        return self._storage.url

    @property
    def closed(self) -> bool:
        return self._storage.closed

    def set(self, key: str, value: Any, ttl: Seconds | None = None) -> None:
        self._storage.set(key, value, ttl).wait()

    def get(self, key: str, default: Any = None, *, refresh_ttl: Seconds | None = None) -> Any:
        return self._storage.get(key, default, refresh_ttl=refresh_ttl).wait()

    def get_value(self, key: str) -> MemoryValue | None:
        return self._storage.get_value(key).wait()

    def get_entry(self, key: str) -> MemoryEntry | None:
        return self._storage.get_entry(key).wait()

    def get_entries(self, keys: Iterable[str]) -> list[MemoryEntry | None]:
        return self._storage.get_entries(keys).wait()

    def pop(self, key: str, default: Any = None) -> Any:
        return self._storage.pop(key, default).wait()

    def delete(self, key: str) -> bool:
        return self._storage.delete(key).wait()

    def exists(self, key: str) -> bool:
        return self._storage.exists(key).wait()

    def mset(self, items: Mapping[str, Any] | Iterable[tuple[str, Any]], ttl: Seconds | None = None) -> None:
        self._storage.mset(items, ttl).wait()

    def mget(self, keys: Iterable[str], default: Any = None, *, refresh_ttl: Seconds | None = None) -> list[Any]:
        found: list[Any] = self._storage.mget(keys, default, refresh_ttl=refresh_ttl).wait()
        return found

    def mdelete(self, keys: Iterable[str]) -> int:
        return self._storage.mdelete(keys).wait()

    def keys(self, query: MemoryQuery | None = None, **filters: Any) -> list[str]:
        return self._storage.keys(query, **filters).wait()

    def items(self, query: MemoryQuery | None = None, **filters: Any) -> Iterator[tuple[str, Any]]:
        return iter(self._storage.items(query, **filters))

    def entries(self, query: MemoryQuery | None = None, **filters: Any) -> Iterator[MemoryEntry]:
        return iter(self._storage.entries(query, **filters))

    def namespaces(self, prefix: str | None = None, max_depth: int | None = None) -> list[str]:
        return self._storage.namespaces(prefix, max_depth).wait()

    def count(self, namespace: str | None = None, *, prefix: str | None = None) -> int:
        return self._storage.count(namespace, prefix=prefix).wait()

    def clear(self, namespace: str | None = None, *, prefix: str | None = None) -> int:
        return self._storage.clear(namespace, prefix=prefix).wait()

    def set_if_absent(self, key: str, value: Any, ttl: Seconds | None = None) -> bool:
        return self._storage.set_if_absent(key, value, ttl).wait()

    def compare_and_set(self, key: str, value: Any, version: int, ttl: Seconds | None = None) -> bool:
        return self._storage.compare_and_set(key, value, version, ttl).wait()

    def increment(self, key: str, by: int = 1) -> int:
        return self._storage.increment(key, by).wait()

    def expire(self, key: str, ttl: Seconds) -> bool:
        return self._storage.expire(key, ttl).wait()

    def persist(self, key: str) -> bool:
        return self._storage.persist(key).wait()

    def ttl(self, key: str) -> float | None:
        return self._storage.ttl(key).wait()

    def transaction(self) -> SyncTransaction:
        return SyncTransaction(self._storage.transaction())

    def transact(self, fn: Callable[[SyncTransaction], Any], max_attempts: int = 16) -> Any:
        """Runs `fn(tx)` in a transaction, again on a conflict, and returns what it returned."""
        return transact_sync(self, fn, max_attempts)

    def rotate(
        self, *, progress: Callable[[RotateProgress], object] | None = None, page_size: int = 500
    ) -> RotateProgress:
        """Rewrites what was written with other options of compression, encryption and large values."""
        return rotate_sync(self._storage, progress, page_size)

    def collect_garbage(self, older_than: Seconds = 3600) -> int:
        return self._storage.collect_garbage(older_than).wait()

    def health_check(self) -> bool:
        return self._storage.health_check().wait()

    def stats(self) -> MemoryStats:
        return self._storage.stats().wait()

    def namespace(self, name: str) -> SyncStorage:
        return SyncStorage(self._storage.namespace(name))

    def typed(self, model: type[M]) -> SyncTypedView[M]:
        """The view of this storage whose values are of `model`."""
        from ._typed import typed  # which is made of this module's parts

        return typed(self._storage, model).sync

    def to_pandas(self, query: MemoryQuery | None = None, **filters: Any) -> pd.DataFrame:
        return to_pandas_sync(self._storage, query, **filters)

    def open(self) -> SyncStorage:
        self._storage.open().wait()
        return self

    def close(self) -> None:
        self._storage.close().wait()


class SyncTransaction:
    """A transaction whose calls block: `with storage.sync.transaction() as tx:`."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def __enter__(self) -> SyncTransaction:
        self._transaction.__aenter__().wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._transaction.__aexit__(kind, error, traceback).wait()

    def get(self, key: str, default: Any = None) -> Any:
        return self._transaction.get(key, default).wait()

    def get_entry(self, key: str) -> MemoryEntry | None:
        return self._transaction.get_entry(key).wait()

    def mget(self, keys: Iterable[str], default: Any = None) -> list[Any]:
        found: list[Any] = self._transaction.mget(keys, default).wait()
        return found

    def exists(self, key: str) -> bool:
        return self._transaction.exists(key).wait()

    def set(self, key: str, value: Any, ttl: Seconds | None = None) -> None:
        self._transaction.set(key, value, ttl).wait()

    def set_if_absent(self, key: str, value: Any, ttl: Seconds | None = None) -> bool:
        return self._transaction.set_if_absent(key, value, ttl).wait()

    def mset(self, items: Mapping[str, Any] | Iterable[tuple[str, Any]], ttl: Seconds | None = None) -> None:
        self._transaction.mset(items, ttl).wait()

    def delete(self, key: str) -> bool:
        return self._transaction.delete(key).wait()

    def mdelete(self, keys: Iterable[str]) -> int:
        return self._transaction.mdelete(keys).wait()

    def increment(self, key: str, by: int = 1) -> int:
        return self._transaction.increment(key, by).wait()

"""A storage whose calls are observed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from ..._pandas import to_pandas
from ..._rotate import rotate
from ..._transact import transact
from ..._typed import typed
from ...sync import SyncStorage
from ._entries import ObservedEntries
from ._operation import ObservedOperation
from ._transaction import InstrumentedTransaction

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Mapping
    from datetime import timedelta
    from types import TracebackType

    import pandas as pd
    from typing_extensions import Self

    from ..._native import MemoryEntry, MemoryQuery, MemoryStats, MemoryValue, Operation, Storage
    from ..._rotate import RotateProgress
    from ..._typed import TypedView
    from ._telemetry import Telemetry

    Seconds = int | float | timedelta

_T = TypeVar("_T")


class InstrumentedStorage:
    """A storage with its whole interface, each of whose calls makes a span and a measurement: `instrument` gives it.

    To `isinstance` it is what it stands for, as the proxies of other instrumentations are.

    Attributes:
        __wrapped__: the storage itself.
    """

    __slots__ = ("__weakref__", "__wrapped__", "_telemetry")

    def __init__(self, storage: Storage, telemetry: Telemetry) -> None:
        self.__wrapped__ = storage
        self._telemetry = telemetry

    @property  # type: ignore[misc]  # a proxy's class is that of what it stands for
    def __class__(self) -> type[Storage]:  # type: ignore[override]
        return type(self.__wrapped__)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.__wrapped__!r}>"

    def _repr_html_(self) -> str:
        return self.__wrapped__._repr_html_()

    def _observe(
        self, name: str, operation: Operation[_T], *, batch: object = None, **parameters: object
    ) -> ObservedOperation[_T]:
        return ObservedOperation(operation, self._telemetry.call(name, batch=batch, **parameters))

    # What opens and closes it, and what it is.

    def __await__(self) -> Generator[Any, Any, Self]:
        return self.open().__await__()

    def __aenter__(self) -> ObservedOperation[Self]:
        return self.open()

    def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> ObservedOperation[None]:
        return self.close()

    def open(self) -> ObservedOperation[Self]:
        return ObservedOperation(self.__wrapped__.open(), self._telemetry.call("open"), lambda _: self)

    def close(self) -> ObservedOperation[None]:
        return self._observe("close", self.__wrapped__.close())

    @property
    def backend_name(self) -> str:
        return self.__wrapped__.backend_name

    @property
    def url(self) -> str:
        return self.__wrapped__.url

    @property
    def closed(self) -> bool:
        return self.__wrapped__.closed

    @property
    def sync(self) -> SyncStorage:
        return SyncStorage(cast("Storage", self))

    def namespace(self, name: str) -> InstrumentedStorage:
        view = self.__wrapped__.namespace(name)
        return InstrumentedStorage(view, self._telemetry.of_view(name))

    def typed(self, model: type[_T]) -> TypedView[_T]:
        return typed(cast("Storage", self), model)

    # One key.

    def set(self, key: str, value: Any, ttl: Seconds | None = None) -> ObservedOperation[None]:
        return self._observe("set", self.__wrapped__.set(key, value, ttl), key=key)

    def get(self, key: str, default: Any = None, *, refresh_ttl: Seconds | None = None) -> ObservedOperation[Any]:
        return self._observe("get", self.__wrapped__.get(key, default, refresh_ttl=refresh_ttl), key=key)

    def get_value(self, key: str) -> ObservedOperation[MemoryValue | None]:
        return self._observe("get_value", self.__wrapped__.get_value(key), key=key)

    def get_entry(self, key: str) -> ObservedOperation[MemoryEntry | None]:
        return self._observe("get_entry", self.__wrapped__.get_entry(key), key=key)

    def pop(self, key: str, default: Any = None) -> ObservedOperation[Any]:
        return self._observe("pop", self.__wrapped__.pop(key, default), key=key)

    def delete(self, key: str) -> ObservedOperation[bool]:
        return self._observe("delete", self.__wrapped__.delete(key), key=key)

    def exists(self, key: str) -> ObservedOperation[bool]:
        return self._observe("exists", self.__wrapped__.exists(key), key=key)

    def set_if_absent(self, key: str, value: Any, ttl: Seconds | None = None) -> ObservedOperation[bool]:
        return self._observe("set_if_absent", self.__wrapped__.set_if_absent(key, value, ttl), key=key)

    def compare_and_set(
        self, key: str, value: Any, version: int, ttl: Seconds | None = None
    ) -> ObservedOperation[bool]:
        return self._observe("compare_and_set", self.__wrapped__.compare_and_set(key, value, version, ttl), key=key)

    def increment(self, key: str, by: int = 1) -> ObservedOperation[int]:
        return self._observe("increment", self.__wrapped__.increment(key, by), key=key)

    def expire(self, key: str, ttl: Seconds) -> ObservedOperation[bool]:
        return self._observe("expire", self.__wrapped__.expire(key, ttl), key=key)

    def persist(self, key: str) -> ObservedOperation[bool]:
        return self._observe("persist", self.__wrapped__.persist(key), key=key)

    def ttl(self, key: str) -> ObservedOperation[float | None]:
        return self._observe("ttl", self.__wrapped__.ttl(key), key=key)

    # Many keys.

    def mset(
        self, items: Mapping[str, Any] | Iterable[tuple[str, Any]], ttl: Seconds | None = None
    ) -> ObservedOperation[None]:
        return self._observe("mset", self.__wrapped__.mset(items, ttl), batch=items)

    def mget(
        self, keys: Iterable[str], default: Any = None, *, refresh_ttl: Seconds | None = None
    ) -> ObservedOperation[list[Any]]:
        return self._observe("mget", self.__wrapped__.mget(keys, default, refresh_ttl=refresh_ttl), batch=keys)

    def mdelete(self, keys: Iterable[str]) -> ObservedOperation[int]:
        return self._observe("mdelete", self.__wrapped__.mdelete(keys), batch=keys)

    def get_entries(self, keys: Iterable[str]) -> ObservedOperation[list[MemoryEntry | None]]:
        return self._observe("get_entries", self.__wrapped__.get_entries(keys), batch=keys)

    # Listings.

    def keys(self, query: MemoryQuery | None = None, **filters: Any) -> ObservedOperation[list[str]]:
        call = self._telemetry.call("keys", **_shown(query, filters))
        return ObservedOperation(self.__wrapped__.keys(query, **filters), call)

    def items(self, query: MemoryQuery | None = None, **filters: Any) -> ObservedEntries[tuple[str, Any]]:
        inner = self.__wrapped__.items(query, **filters)
        return ObservedEntries(inner, self._telemetry.call("items", **_shown(query, filters)))

    def entries(self, query: MemoryQuery | None = None, **filters: Any) -> ObservedEntries[MemoryEntry]:
        inner = self.__wrapped__.entries(query, **filters)
        return ObservedEntries(inner, self._telemetry.call("entries", **_shown(query, filters)))

    def namespaces(self, prefix: str | None = None, max_depth: int | None = None) -> ObservedOperation[list[str]]:
        return self._observe("namespaces", self.__wrapped__.namespaces(prefix, max_depth), prefix=prefix)

    def count(self, namespace: str | None = None, *, prefix: str | None = None) -> ObservedOperation[int]:
        operation = self.__wrapped__.count(namespace, prefix=prefix)
        return self._observe("count", operation, namespace=namespace, prefix=prefix)

    def clear(self, namespace: str | None = None, *, prefix: str | None = None) -> ObservedOperation[int]:
        operation = self.__wrapped__.clear(namespace, prefix=prefix)
        return self._observe("clear", operation, namespace=namespace, prefix=prefix)

    def to_pandas(self, query: MemoryQuery | None = None, **filters: Any) -> Coroutine[Any, Any, pd.DataFrame]:
        return to_pandas(cast("Storage", self), query, **filters)

    # Transactions and the rest.

    def transaction(self) -> InstrumentedTransaction:
        return InstrumentedTransaction(self.__wrapped__.transaction(), self._telemetry)

    def transact(self, fn: Callable[[Any], Awaitable[_T]], max_attempts: int = 16) -> Coroutine[Any, Any, _T]:
        return transact(cast("Storage", self), fn, max_attempts)

    def rotate(
        self, *, progress: Callable[[RotateProgress], object] | None = None, page_size: int = 500
    ) -> Coroutine[Any, Any, RotateProgress]:
        return rotate(cast("Storage", self), progress, page_size)

    def _rotate_page(self, after: str | None, page_size: int) -> ObservedOperation[tuple[int, int, str | None]]:
        return self._observe("rotate", self.__wrapped__._rotate_page(after, page_size), after=after)

    def collect_garbage(self, older_than: Seconds = 3600) -> ObservedOperation[int]:
        return self._observe("collect_garbage", self.__wrapped__.collect_garbage(older_than))

    def health_check(self) -> ObservedOperation[bool]:
        return self._observe("health_check", self.__wrapped__.health_check())

    def stats(self) -> ObservedOperation[MemoryStats]:
        return self._observe("stats", self.__wrapped__.stats())


def _shown(query: MemoryQuery | None, filters: Mapping[str, Any]) -> dict[str, object]:
    """The filters that a listing's span may show."""
    names = ("namespace", "prefix", "pattern", "after")
    if query is None:
        return {name: filters.get(name) for name in names}
    return {name: getattr(query, name, None) for name in names}

"""What `storage.typed(Model)` gives: the storage's interface with values of one class."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from rrag_storage._transact import transact

from ._calls import MISSING, all_decoded, decoded, deferred, encoded, keys_of
from .sync import SyncTypedView
from .transaction import TypedTransaction

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from rrag_storage._native import (
        EntryIterator,
        MemoryEntry,
        MemoryQuery,
        MemoryStats,
        MemoryValue,
        Operation,
        Storage,
        Ttl,
    )
    from rrag_storage._rotate import RotateProgress

    from ._codec import Codec
    from .entry import TypedEntry

M = TypeVar("M")
D = TypeVar("D")
T = TypeVar("T")


class TypedView(Generic[M]):
    """A storage, or a view of one, whose values are of one class: what `storage.typed(Model)` gives.

    It is the same storage: nothing is opened or closed apart, and what the view writes is plain Python that
    `view.storage` reads as it is. A value is checked when it is stored, and refused where the very same would not come
    back; what is stored is checked when it is read. Both raise `InvalidValueError`, which names the key. What concerns
    keys alone means what it means on the storage.
    """

    __slots__ = ("_codec", "_storage")

    def __init__(self, storage: Storage, codec: Codec[M]) -> None:
        self._storage = storage
        self._codec = codec

    def __repr__(self) -> str:
        return f"{self._storage!r}.typed({self.model.__name__})"

    def _repr_html_(self) -> str:
        return self._storage._repr_html_()

    def __await__(self) -> Generator[Any, Any, Self]:
        return self.open().__await__()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def model(self) -> type[M]:
        """The class of the values."""
        return self._codec.model

    @property
    def storage(self) -> Storage:
        """The storage that the view is of: for plain values, counters, and what else is no model."""
        return self._storage

    @property
    def sync(self) -> SyncTypedView[M]:
        """The same view with blocking calls."""
        return SyncTypedView(self._storage, self._codec)

    @property
    def backend_name(self) -> str:
        """The storage's."""
        return self._storage.backend_name

    @property
    def url(self) -> str:
        """The storage's, without any secret."""
        return self._storage.url

    @property
    def closed(self) -> bool:
        """Whether the storage was closed."""
        return self._storage.closed

    # Values

    def set(self, key: str, value: M, ttl: Ttl | None = None) -> Coroutine[Any, Any, None]:
        """Stores `value`. Raises InvalidValueError where it would not come back the same."""
        return deferred(lambda: self._storage.set(key, self._codec.encode(key, value), ttl))

    @overload
    async def get(self, key: str, default: None = None, *, refresh_ttl: Ttl | None = None) -> M | None: ...
    @overload
    async def get(self, key: str, default: D, *, refresh_ttl: Ttl | None = None) -> M | D: ...
    async def get(self, key: str, default: Any = None, *, refresh_ttl: Ttl | None = None) -> Any:
        """The value under `key`, or `default`. Raises InvalidValueError where what is stored fits no longer."""
        return decoded(self._codec, key, await self._storage.get(key, MISSING, refresh_ttl=refresh_ttl), default)

    async def get_entry(self, key: str) -> TypedEntry[M] | None:
        """The entry under `key`, its value of the model."""
        entry = await self._storage.get_entry(key)
        return entry and self._codec.decode_entry(entry)

    async def get_entries(self, keys: Iterable[str]) -> list[TypedEntry[M] | None]:
        """The entries under `keys`, in their order, None for each that is missing."""
        return [entry and self._codec.decode_entry(entry) for entry in await self._storage.get_entries(keys)]

    @overload
    async def pop(self, key: str, default: None = None) -> M | None: ...
    @overload
    async def pop(self, key: str, default: D) -> M | D: ...
    async def pop(self, key: str, default: Any = None) -> Any:
        """Takes the value out. What fits the model no longer is taken out as well: `InvalidValueError.stored` has it."""
        return decoded(self._codec, key, await self._storage.pop(key, MISSING), default)

    def mset(
        self, items: Mapping[str, M] | Iterable[tuple[str, M]], ttl: Ttl | None = None
    ) -> Coroutine[Any, Any, None]:
        """Stores many values: all of them, or, where one is refused, none."""
        return deferred(lambda: self._storage.mset(encoded(self._codec, items), ttl))

    @overload
    async def mget(
        self, keys: Iterable[str], default: None = None, *, refresh_ttl: Ttl | None = None
    ) -> list[M | None]: ...
    @overload
    async def mget(self, keys: Iterable[str], default: D, *, refresh_ttl: Ttl | None = None) -> list[M | D]: ...
    async def mget(self, keys: Iterable[str], default: Any = None, *, refresh_ttl: Ttl | None = None) -> Any:
        """The values under `keys`, in their order, with `default` where one is missing."""
        keys = keys_of(keys)
        found = await self._storage.mget(keys, MISSING, refresh_ttl=refresh_ttl)
        return all_decoded(self._codec, keys, found, default)

    def items(self, query: MemoryQuery | None = None, **filters: Any) -> AsyncIterator[tuple[str, M]]:
        """Iterates over (key, value), a page at a time; the filters are those of the storage's `items`.

        What fits the model no longer raises InvalidValueError; the next `__anext__` goes on behind it.
        """
        pairs: EntryIterator[tuple[str, Any]] = self._storage.items(query, **filters)
        return _Decoding(pairs, self._codec.decode_pair)

    def entries(self, query: MemoryQuery | None = None, **filters: Any) -> AsyncIterator[TypedEntry[M]]:
        """Iterates over `TypedEntry`, a page at a time, as `items` does."""
        entries: EntryIterator[MemoryEntry] = self._storage.entries(query, **filters)
        return _Decoding(entries, self._codec.decode_entry)

    def set_if_absent(self, key: str, value: M, ttl: Ttl | None = None) -> Coroutine[Any, Any, bool]:
        """Stores `value` only where `key` holds nothing; whether it did."""
        return deferred(lambda: self._storage.set_if_absent(key, self._codec.encode(key, value), ttl))

    def compare_and_set(self, key: str, value: M, version: int, ttl: Ttl | None = None) -> Coroutine[Any, Any, bool]:
        """Stores `value` only if the entry still has `version`; whether it did."""
        return deferred(lambda: self._storage.compare_and_set(key, self._codec.encode(key, value), version, ttl))

    def transaction(self) -> TypedTransaction[M]:
        """Reads and writes of the model that commit together, or not at all: `async with view.transaction() as tx:`."""
        return TypedTransaction(self._storage.transaction(), self._codec)

    def transact(
        self, fn: Callable[[TypedTransaction[M]], Awaitable[T]], max_attempts: int = 16
    ) -> Coroutine[Any, Any, T]:
        """Runs `await fn(tx)` in a transaction, again where it met a conflict, and returns what `fn` returned."""
        return transact(self, fn, max_attempts)  # type: ignore[arg-type]  # all it asks for is transaction()

    # Keys alone

    def get_value(self, key: str) -> Operation[MemoryValue | None]:
        """What is stored under `key`, unchecked."""
        return self._storage.get_value(key)

    def delete(self, key: str) -> Operation[bool]:
        """Deletes `key`; whether it was there."""
        return self._storage.delete(key)

    def exists(self, key: str) -> Operation[bool]:
        """Whether `key` is there."""
        return self._storage.exists(key)

    def mdelete(self, keys: Iterable[str]) -> Operation[int]:
        """Deletes `keys`; how many of them were there."""
        return self._storage.mdelete(keys)

    def keys(self, query: MemoryQuery | None = None, **filters: Any) -> Operation[list[str]]:
        """The keys that the filters hold for."""
        found: Operation[list[str]] = self._storage.keys(query, **filters)
        return found

    def namespaces(self, prefix: str | None = None, max_depth: int | None = None) -> Operation[list[str]]:
        """The namespaces that hold something."""
        return self._storage.namespaces(prefix, max_depth)

    def count(self, namespace: str | None = None, *, prefix: str | None = None) -> Operation[int]:
        """How many entries there are."""
        return self._storage.count(namespace, prefix=prefix)

    def clear(self, namespace: str | None = None, *, prefix: str | None = None) -> Operation[int]:
        """Deletes everything, or a part; how many entries went."""
        return self._storage.clear(namespace, prefix=prefix)

    def expire(self, key: str, ttl: Ttl) -> Operation[bool]:
        """Lets `key` expire after `ttl`; whether it was there."""
        return self._storage.expire(key, ttl)

    def persist(self, key: str) -> Operation[bool]:
        """Takes the expiry off `key`; whether it was there."""
        return self._storage.persist(key)

    def ttl(self, key: str) -> Operation[float | None]:
        """Seconds until `key` expires; `math.inf` where it never does; None where it is missing."""
        return self._storage.ttl(key)

    # The storage

    def rotate(
        self, *, progress: Callable[[RotateProgress], object] | None = None, page_size: int = 500
    ) -> Coroutine[Any, Any, RotateProgress]:
        """Rewrites what was written with other layers into the present options."""
        return self._storage.rotate(progress=progress, page_size=page_size)

    def collect_garbage(self, older_than: Ttl = 3600) -> Operation[int]:
        """Removes from `large_values` what no record points to; how many objects went."""
        return self._storage.collect_garbage(older_than)

    def health_check(self) -> Operation[bool]:
        """Whether the backend answers."""
        return self._storage.health_check()

    def stats(self) -> Operation[MemoryStats]:
        """Figures of the storage."""
        return self._storage.stats()

    def namespace(self, name: str) -> TypedView[M]:
        """The same view of what is under `name`."""
        return TypedView(self._storage.namespace(name), self._codec)

    async def open(self) -> Self:
        """Opens the storage now and gives the view back."""
        await self._storage.open()
        return self

    def close(self) -> Operation[None]:
        """Closes the storage that the view is of."""
        return self._storage.close()


class _Decoding(AsyncIterator[T]):
    """An iterator of a storage, each item decoded. It can go on behind one that was refused."""

    def __init__(self, source: AsyncIterator[Any], decode: Callable[[Any], T]) -> None:
        self._source = source
        self._decode = decode

    async def __anext__(self) -> T:
        return self._decode(await self._source.__anext__())

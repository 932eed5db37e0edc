"""Transactions of typed views, awaitable and blocking."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from rrag_storage.sync import SyncTransaction

from ._calls import MISSING, all_decoded, decoded, deferred, encoded, keys_of

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from rrag_storage._native import Operation, Transaction, Ttl

    from ._codec import Codec
    from .entry import TypedEntry

M = TypeVar("M")
D = TypeVar("D")


class TypedTransaction(Generic[M]):
    """Reads and writes of a model that commit together: what `async with view.transaction() as tx:` gives."""

    __slots__ = ("_codec", "_transaction")

    def __init__(self, transaction: Transaction, codec: Codec[M]) -> None:
        self._transaction = transaction
        self._codec = codec

    async def __aenter__(self) -> Self:
        await self._transaction.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        return await self._transaction.__aexit__(kind, error, traceback)

    @property
    def transaction(self) -> Transaction:
        """The storage's own transaction: for plain values and counters that commit with the models."""
        return self._transaction

    @overload
    async def get(self, key: str, default: None = None) -> M | None: ...
    @overload
    async def get(self, key: str, default: D) -> M | D: ...
    async def get(self, key: str, default: Any = None) -> Any:
        """The value under `key`, as this transaction sees it; `default` where it is missing."""
        return decoded(self._codec, key, await self._transaction.get(key, MISSING), default)

    async def get_entry(self, key: str) -> TypedEntry[M] | None:
        """The entry under `key`, as this transaction sees it."""
        entry = await self._transaction.get_entry(key)
        return entry and self._codec.decode_entry(entry)

    @overload
    async def mget(self, keys: Iterable[str], default: None = None) -> list[M | None]: ...
    @overload
    async def mget(self, keys: Iterable[str], default: D) -> list[M | D]: ...
    async def mget(self, keys: Iterable[str], default: Any = None) -> Any:
        """The values under `keys`, in their order, with `default` where one is missing."""
        keys = keys_of(keys)
        return all_decoded(self._codec, keys, await self._transaction.mget(keys, MISSING), default)

    def exists(self, key: str) -> Operation[bool]:
        """Whether `key` is there, as this transaction sees it."""
        return self._transaction.exists(key)

    def set(self, key: str, value: M, ttl: Ttl | None = None) -> Coroutine[Any, Any, None]:
        """Stores `value` under `key` at the commit."""
        return deferred(lambda: self._transaction.set(key, self._codec.encode(key, value), ttl))

    def set_if_absent(self, key: str, value: M, ttl: Ttl | None = None) -> Coroutine[Any, Any, bool]:
        """Stores `value` at the commit if `key` holds nothing; whether it will."""
        return deferred(lambda: self._transaction.set_if_absent(key, self._codec.encode(key, value), ttl))

    def mset(
        self, items: Mapping[str, M] | Iterable[tuple[str, M]], ttl: Ttl | None = None
    ) -> Coroutine[Any, Any, None]:
        """Stores many values at the commit."""
        return deferred(lambda: self._transaction.mset(encoded(self._codec, items), ttl))

    def delete(self, key: str) -> Operation[bool]:
        """Deletes `key` at the commit; whether it was there."""
        return self._transaction.delete(key)

    def mdelete(self, keys: Iterable[str]) -> Operation[int]:
        """Deletes `keys` at the commit; how many of them were there."""
        return self._transaction.mdelete(keys)


class SyncTypedTransaction(Generic[M]):
    """A transaction of a typed view whose calls block: `with view.sync.transaction() as tx:`."""

    __slots__ = ("_codec", "_transaction")

    def __init__(self, transaction: Transaction, codec: Codec[M]) -> None:
        self._transaction = transaction
        self._codec = codec

    def __enter__(self) -> Self:
        self._transaction.__aenter__().wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._transaction.__aexit__(kind, error, traceback).wait()

    @property
    def transaction(self) -> SyncTransaction:
        return SyncTransaction(self._transaction)

    @overload
    def get(self, key: str, default: None = None) -> M | None: ...
    @overload
    def get(self, key: str, default: D) -> M | D: ...
    def get(self, key: str, default: Any = None) -> Any:
        return decoded(self._codec, key, self._transaction.get(key, MISSING).wait(), default)

    def get_entry(self, key: str) -> TypedEntry[M] | None:
        entry = self._transaction.get_entry(key).wait()
        return entry and self._codec.decode_entry(entry)

    @overload
    def mget(self, keys: Iterable[str], default: None = None) -> list[M | None]: ...
    @overload
    def mget(self, keys: Iterable[str], default: D) -> list[M | D]: ...
    def mget(self, keys: Iterable[str], default: Any = None) -> Any:
        keys = keys_of(keys)
        return all_decoded(self._codec, keys, self._transaction.mget(keys, MISSING).wait(), default)

    def exists(self, key: str) -> bool:
        return self._transaction.exists(key).wait()

    def set(self, key: str, value: M, ttl: Ttl | None = None) -> None:
        self._transaction.set(key, self._codec.encode(key, value), ttl).wait()

    def set_if_absent(self, key: str, value: M, ttl: Ttl | None = None) -> bool:
        return self._transaction.set_if_absent(key, self._codec.encode(key, value), ttl).wait()

    def mset(self, items: Mapping[str, M] | Iterable[tuple[str, M]], ttl: Ttl | None = None) -> None:
        self._transaction.mset(encoded(self._codec, items), ttl).wait()

    def delete(self, key: str) -> bool:
        return self._transaction.delete(key).wait()

    def mdelete(self, keys: Iterable[str]) -> int:
        return self._transaction.mdelete(keys).wait()

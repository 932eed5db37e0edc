"""Storages with a fault of their own, which the checkers must find."""

from __future__ import annotations

from collections import defaultdict
from typing import Any


class Faulty:
    """All that a storage does but what a subclass does wrong."""

    def __init__(self, storage: Any) -> None:
        self.storage = storage

    def __getattr__(self, name: str) -> Any:
        return getattr(self.storage, name)


class UncheckedCompareAndSet(Faulty):
    """Writes whatever version is there."""

    async def compare_and_set(self, key: str, value: Any, version: int) -> bool:
        await self.storage.set(key, value)
        return True


class TornIncrement(Faulty):
    """Reads and writes in two steps."""

    async def increment(self, key: str, by: int) -> int:
        after: int = await self.storage.get(key, 0) + by
        await self.storage.set(key, after)
        return after


class StaleGet(Faulty):
    """Every other time gives what it gave the last time."""

    def __init__(self, storage: Any) -> None:
        super().__init__(storage)
        self.kept: defaultdict[str, list[Any]] = defaultdict(list)

    async def get(self, key: str, default: Any = None) -> Any:
        kept = self.kept[key]
        if kept:
            return kept.pop()
        value = await self.storage.get(key, default)
        kept.append(value)
        return value


class UncheckedTransaction(Faulty):
    """Transactions that commit all their writes at once, whatever has become of what they read."""

    def transaction(self) -> _Unchecked:
        return _Unchecked(self.storage)


class _Unchecked:
    def __init__(self, storage: Any) -> None:
        self.storage = storage
        self.seen: dict[str, Any] = {}
        self.written: dict[str, Any] = {}

    async def __aenter__(self) -> _Unchecked:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self.written:
            await self.storage.mset(self.written)

    async def get(self, key: str, default: Any = None) -> Any:
        if key not in self.seen:
            self.seen[key] = await self.storage.get(key, default)
        return self.seen[key]

    async def set(self, key: str, value: Any) -> None:
        self.seen[key] = self.written[key] = value


PLANTED: dict[str, type[Faulty]] = {
    "compare-and-set": UncheckedCompareAndSet,
    "increment": TornIncrement,
    "get": StaleGet,
    "transaction": UncheckedTransaction,
}
"""By what is wrong with them."""

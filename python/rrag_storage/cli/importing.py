"""Storing the records of an export, a batch at a time."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from .. import (
    InMemoryStorage,
    InvalidKeyError,
    LimitExceededError,
    ManualClock,
    PartialWriteError,
    UnsupportedOperationError,
    UnsupportedTypeError,
    copy,
)
from .records import BadRecordError, CutOffError, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .. import Storage

_BATCH = 500
_BATCH_BYTES = 8 * 1024 * 1024
_OF_ONE_RECORD = (InvalidKeyError, LimitExceededError, PartialWriteError, UnsupportedTypeError)
"""What one record of a batch may be the reason of."""


class Importer:
    """One import.

    Attributes:
        imported: how many entries were stored.
        expired: how many were left because they had expired.
        bad: how many could not be read or stored.
    """

    def __init__(self, storage: Storage, *, bad: Callable[[BadRecordError], object] | None) -> None:
        """`bad` is told what can't be read or stored; where it is None the import ends there."""
        self.imported = 0
        self.expired = 0
        self.bad = 0
        self._storage = storage
        self._tell = bad
        self._batch: dict[str, Record] = {}
        self._bytes = 0
        self._by_namespace = False

    async def run(self, records: Iterable[Record | BadRecordError], progress: Callable[[], object]) -> None:
        """Stores the records; of a key that comes twice the last value counts. Tells `progress` after each batch.

        Raises:
            BadRecordError: what can't be read or stored, where that ends the import. What stood before it is stored.
            CutOffError: the export ends too early. What it held is stored.
            StorageError: what writing raises.
        """
        try:
            for record in records:
                if isinstance(record, BadRecordError):
                    await self._bad(record)
                    continue
                # The later of two must come later, in the order of the mapping too.
                self._batch.pop(record.key, None)
                self._batch[record.key] = record
                self._bytes += record.size
                if len(self._batch) >= _BATCH or self._bytes >= _BATCH_BYTES:
                    await self._flush()
                    progress()
        except CutOffError:
            await self._flush()
            raise
        await self._flush()
        progress()

    async def _bad(self, error: BadRecordError) -> None:
        self.bad += 1
        if self._tell is None:
            await self._flush()
            raise error
        self._tell(error)

    async def _flush(self) -> None:
        batch, self._batch, self._bytes = list(self._batch.values()), {}, 0
        try:
            await self._store_all(batch)
        except _OF_ONE_RECORD:
            for record in batch:
                try:
                    await self._store([record])
                except _OF_ONE_RECORD as error:
                    await self._bad(BadRecordError(record.place, str(error)))

    async def _store_all(self, batch: list[Record]) -> None:
        if not self._by_namespace:
            try:
                return await self._store(batch)
            except UnsupportedOperationError:
                # A cluster takes the keys of one first-level namespace at a time.
                self._by_namespace = True
        groups: dict[str, list[Record]] = {}
        for record in batch:
            first, separator, _ = record.key.partition("::")
            groups.setdefault(first if separator else "", []).append(record)
        await asyncio.gather(*map(self._store, groups.values()))

    async def _store(self, records: list[Record]) -> None:
        now = datetime.now(timezone.utc)
        lasting = {record.key: record.value for record in records if record.expires_at is None}
        timed = [record for record in records if record.expires_at is not None and record.expires_at > now]
        if lasting:
            await self._storage.mset(lasting)
        if timed:
            await self._store_timed(timed, now)
        self.imported += len(lasting) + len(timed)
        self.expired += len(records) - len(lasting) - len(timed)

    async def _store_timed(self, records: list[Record], now: datetime) -> None:
        """Stores what expires. A copy keeps the very millisecond, which a time to live from now on would miss."""
        clock = ManualClock(now.replace(microsecond=now.microsecond // 1000 * 1000))
        async with InMemoryStorage(clock=clock, max_keys=None, max_memory_bytes=None) as staged:
            for record in records:
                assert record.expires_at is not None
                await staged.set(record.key, record.value, record.expires_at - clock.now())
            await copy(staged, self._storage, page_size=len(records))

"""Copying with several pages under way at once, so that one is read while another is written.

The source is cut into spans of consecutive keys, listed without their values; each worker copies a span after another.
Every key that was there from beginning to end lies in a span and is looked at, whatever is written or deleted meanwhile.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from .. import CopyProgress, copy
from .filters import page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from .. import MemoryQuery, Storage

_PAGES_IN_A_SPAN = 4


class _Span(NamedTuple):
    """The keys greater than `after`, up to `last`; `size` of them when they were listed."""

    after: str | None
    last: str
    size: int


class Copier:
    """One copy.

    Attributes:
        copied: how many entries were written.
        skipped: how many the target had already.
    """

    def __init__(
        self, source: Storage, target: Storage, query: MemoryQuery, *, overwrite: bool, page_size: int
    ) -> None:
        self.copied = 0
        self.skipped = 0
        self._source = source
        self._target = target
        self._query = query
        self._overwrite = overwrite
        self._page = page_size

    async def run(self, after: str | None, workers: int, progress: Callable[[], object]) -> None:
        """Copies everything that follows `after`; tells `progress` after each page.

        Raises:
            StorageError: what reading or writing raises, after the pages under way have ended.
        """
        spans: asyncio.Queue[_Span | None] = asyncio.Queue(workers)

        async def work() -> None:
            while (span := await spans.get()) is not None:
                await self._copy(span, progress)

        async def list_spans() -> None:
            async for span in self._spans(after):
                await spans.put(span)
            for _ in range(workers):
                await spans.put(None)

        tasks = [asyncio.create_task(each) for each in (list_spans(), *(work() for _ in range(workers)))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _spans(self, after: str | None) -> AsyncIterator[_Span]:
        size = self._page * _PAGES_IN_A_SPAN
        while keys := await self._source.keys(page(self._query, after, size)):
            yield _Span(after, keys[-1], len(keys))
            after = keys[-1]

    async def _copy(self, span: _Span, progress: Callable[[], object]) -> None:
        after = await self._copy_some(span.after, span.size, progress)
        # Keys that came since the span was listed push its last ones past the limit.
        while after is not None and after < span.last:
            after = await self._copy_some(after, self._page, progress)

    async def _copy_some(self, after: str | None, limit: int, progress: Callable[[], object]) -> str | None:
        """Copies at most `limit` entries that follow `after`; the last of them, None where there is none."""
        told = CopyProgress()

        def tell(so_far: CopyProgress) -> None:
            nonlocal told
            self.copied += so_far.copied - told.copied
            self.skipped += so_far.skipped - told.skipped
            told = so_far
            progress()

        await copy(
            self._source,
            self._target,
            page(self._query, after, limit),
            progress=tell,
            overwrite=self._overwrite,
            page_size=self._page,
        )
        return told.last_key

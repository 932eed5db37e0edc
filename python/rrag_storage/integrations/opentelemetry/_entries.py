"""Iterating over entries inside a call's span."""

from __future__ import annotations

from contextlib import AbstractContextManager
from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ._operation import ObservedOperation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from typing_extensions import Self

    from ..._native import EntryIterator
    from ._call import Call

_T = TypeVar("_T")


class _Step(AbstractContextManager[None]):
    """Around the fetching of one entry: its time counts, and how it ends."""

    __slots__ = ("_began", "_entries")

    def __init__(self, entries: ObservedEntries[Any]) -> None:
        self._entries = entries

    def __enter__(self) -> None:
        self._entries._begin()
        self._began = perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._entries._waited(perf_counter() - self._began, error)


class ObservedEntries(Generic[_T]):
    """What `items` and `entries` of an instrumented storage give.

    The span reaches from the first entry to the end of the loop; the duration that is measured is the time that the loop
    waited for entries.
    """

    __slots__ = ("_begun", "_call", "_inner", "_rows", "_seconds")

    def __init__(self, inner: EntryIterator[_T], call: Call) -> None:
        self._inner = inner
        self._call = call
        self._begun = False
        self._rows = 0
        self._seconds = 0.0

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> ObservedOperation[_T]:
        return ObservedOperation(self._inner.__anext__(), _Step(self))

    def __iter__(self) -> Iterator[_T]:
        return self

    def __next__(self) -> _T:
        with _Step(self):
            return next(self._inner)

    def __del__(self) -> None:
        # A loop that was left early.
        self._call.finish(seconds=self._seconds, rows=self._rows)

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._call.__enter__()

    def _waited(self, seconds: float, error: BaseException | None) -> None:
        self._seconds += seconds
        if error is None:
            self._rows += 1
            return
        ended = isinstance(error, StopIteration | StopAsyncIteration)
        self._call.finish(None if ended else error, seconds=self._seconds, rows=self._rows)

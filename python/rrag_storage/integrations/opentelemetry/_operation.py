"""An operation inside a call's span."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager
    from types import TracebackType

    from ..._native import Operation

_T = TypeVar("_T")


class ObservedOperation(Coroutine[Any, Any, _T], Generic[_T]):
    """What a call of an instrumented storage gives: an `Operation`, which has not run yet.

    Its span begins where it is first awaited, so in the context of the task that awaits it, and ends with it, also where
    it is cancelled or dropped half way.

    Args:
        operation: what is awaited.
        around: what is entered before and left after it.
        then: makes the result of what the operation gave, inside `around`.
    """

    __slots__ = ("_around", "_operation", "_running", "_then")

    def __init__(
        self, operation: Operation[Any], around: AbstractContextManager[Any], then: Callable[[Any], _T] | None = None
    ) -> None:
        self._operation = operation
        self._around = around
        self._then = then
        self._running: Coroutine[Any, Any, _T] | None = None

    @property
    def __name__(self) -> str:
        return self._operation.__name__

    @property
    def cr_running(self) -> bool:
        return self._operation.cr_running

    async def _run(self) -> _T:
        with self._around:
            result = await self._operation
            return result if self._then is None else self._then(result)

    def __await__(self) -> Generator[Any, Any, _T]:
        return self._run().__await__()

    def send(self, value: Any) -> Any:
        if self._running is None:
            self._running = self._run()
        return self._running.send(value)

    def throw(
        self,
        kind: type[BaseException] | BaseException,
        value: object = None,
        traceback: TracebackType | None = None,
    ) -> Any:
        if self._running is None:  # cancelled before it began: there is no span to end
            return self._operation.throw(kind, value, traceback)
        if isinstance(kind, type):
            kind = value if isinstance(value, BaseException) else kind() if value is None else kind(value)
        return self._running.throw(kind if traceback is None else kind.with_traceback(traceback))

    def close(self) -> None:
        if self._running is None:
            self._operation.close()
        else:
            self._running.close()

    def wait(self) -> _T:
        """Runs the operation, blocks this thread until it is done, and returns its result."""
        with self._around:
            result = self._operation.wait()
            return result if self._then is None else self._then(result)

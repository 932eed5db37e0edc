"""Methods that exist twice, blocking and awaitable, written once: as generators of steps.

A generator yields what has to be waited for, a storage's `Operation` or an `Either`, and is sent the result; its return
value is the method's. `blocking` and `awaited` run it.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, TypeVar

from .. import ConflictError, UnsupportedOperationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping

    from .. import Storage, Transaction
    from ._support import Seconds

_T = TypeVar("_T")

Steps = Generator[Any, Any, _T]
"""A method's body: yields steps, is sent their results, and returns a `_T`."""

_ATTEMPTS = 16


class Either:
    """A step that is one call where blocking is fine, and another where it isn't."""

    def __init__(self, call: Callable[[], Any], acall: Callable[[], Awaitable[Any]]) -> None:
        self._call = call
        self._acall = acall

    def wait(self) -> Any:
        """The blocking one."""
        return self._call()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._acall().__await__()


def blocking(steps: Steps[_T]) -> _T:
    """Runs `steps` in this thread, which waits; fine while an event loop runs in it."""
    try:
        step = next(steps)
        while True:
            try:
                result = step.wait()
            except BaseException as error:  # noqa: BLE001  # the steps may handle it
                step = steps.throw(error)
            else:
                step = steps.send(result)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


async def awaited(steps: Steps[_T]) -> _T:
    """Runs `steps` in this task."""
    try:
        step = next(steps)
        while True:
            try:
                result = await step
            except BaseException as error:  # noqa: BLE001  # the steps may handle it
                step = steps.throw(error)
            else:
                step = steps.send(result)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


def scan(view: Storage, take: Callable[[str, Any], bool], **filters: Any) -> Either:
    """A step that hands `take` each key and value that `filters` hold for, until it returns True."""

    def call() -> None:
        for key, value in view.sync.items(**filters):
            if take(key, value):
                break

    async def acall() -> None:
        async for key, value in view.items(**filters):
            if take(key, value):
                break

    return Either(call, acall)


def items(view: Storage, **filters: Any) -> Steps[list[tuple[str, Any]]]:
    """All keys and values that `filters` hold for."""
    found: list[tuple[str, Any]] = []

    def take(key: str, value: Any) -> bool:
        found.append((key, value))
        return False

    yield scan(view, take, **filters)
    return found


def write(
    view: Storage, sets: Collection[tuple[Seconds | None, Mapping[str, Any]]], deletes: Collection[str] = ()
) -> Steps[None]:
    """Stores each mapping with its time to live, and deletes keys: all together, where the backend can do that."""
    if not sets:
        if deletes:
            yield view.mdelete(deletes)
        return
    if len(sets) == 1 and not deletes:
        for ttl, values in sets:
            yield view.mset(values, ttl)
        return

    def body(tx: Transaction | Storage) -> Steps[None]:
        for ttl, values in sets:
            yield tx.mset(values, ttl)
        if deletes:
            yield tx.mdelete(deletes)

    yield from together(view, body)


def write_new(view: Storage, values: Mapping[str, Any], new: Mapping[str, Any], ttl: Seconds | None) -> Steps[None]:
    """Stores `values`, and of `new` what isn't there yet: all together, where the backend can do that."""
    if not new:
        if values:
            yield view.mset(values, ttl)
        return
    if len(new) == 1 and not values:
        for key, value in new.items():
            yield view.set_if_absent(key, value, ttl)
        return

    def body(tx: Transaction | Storage) -> Steps[None]:
        there = yield tx.mget(list(new), MISSING)
        absent = {key: value for (key, value), old in zip(new.items(), there, strict=True) if old is MISSING}
        yield tx.mset({**values, **absent}, ttl)

    yield from together(view, body)


def together(view: Storage, body: Callable[[Transaction | Storage], Steps[None]]) -> Steps[None]:
    """Runs `body` in a transaction, again on a conflict; on the storage itself where it has no transactions."""
    for attempt in range(_ATTEMPTS):
        try:
            tx = view.transaction()
            yield tx.__aenter__()
        except UnsupportedOperationError:
            yield from body(view)
            return
        try:
            yield from body(tx)
        except BaseException as error:
            yield tx.__aexit__(type(error), error, error.__traceback__)
            raise
        try:
            yield tx.__aexit__(None, None, None)
        except ConflictError:
            if attempt == _ATTEMPTS - 1:
                raise
        else:
            return


MISSING: Any = object()
"""What `mget` gives for a missing key, which a stored None is not."""


def grouped(seconds: Iterable[tuple[str, float | None]]) -> dict[float | None, list[str]]:
    """The keys by their time to live."""
    groups: dict[float | None, list[str]] = {}
    for key, ttl in seconds:
        groups.setdefault(ttl, []).append(key)
    return groups

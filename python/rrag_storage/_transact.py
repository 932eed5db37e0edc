"""Running a function in a transaction, again where somebody else was faster."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

from .errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._native import Storage, Transaction
    from .sync import SyncStorage, SyncTransaction

# Attempts that collide once would collide again if they all waited equally long.
_FIRST_PAUSE = 0.0005
_LONGEST_PAUSE = 0.05


def _pause(attempt: int) -> float:
    return random.random() * min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**attempt)  # noqa: S311  # no secret is drawn


def _check(max_attempts: int) -> None:
    if isinstance(max_attempts, bool) or not isinstance(max_attempts, int):
        raise TypeError(f"max_attempts must be an int, not {type(max_attempts).__name__}")
    if max_attempts < 1:
        raise ValueError(f"max_attempts must be at least 1, not {max_attempts}")


async def transact(storage: Storage, fn: Callable[[Transaction], Awaitable[Any]], max_attempts: int) -> Any:
    """Runs `await fn(tx)` and commits; the whole again on a conflict."""
    _check(max_attempts)
    attempt = 0
    while True:
        try:
            async with storage.transaction() as tx:
                result = await fn(tx)
            return result
        except ConflictError:
            attempt += 1
            if attempt >= max_attempts:
                raise
        await asyncio.sleep(_pause(attempt))


def transact_sync(storage: SyncStorage, fn: Callable[[SyncTransaction], Any], max_attempts: int) -> Any:
    """Runs `fn(tx)` and commits; the whole again on a conflict."""
    _check(max_attempts)
    attempt = 0
    while True:
        try:
            with storage.transaction() as tx:
                result = fn(tx)
            return result
        except ConflictError:
            attempt += 1
            if attempt >= max_attempts:
                raise
        time.sleep(_pause(attempt))

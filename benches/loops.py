"""Event loops of the kind that a run is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T], *, uvloop: bool) -> T:
    """Run on a new event loop, of uvloop or of asyncio, and give its result."""
    if not uvloop:
        return asyncio.run(coroutine)
    import uvloop as loops

    result: T = loops.run(coroutine)
    return result

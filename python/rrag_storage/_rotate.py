"""Rewriting what a storage holds into its present options, page by page."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._native import Storage


@dataclass(frozen=True)
class RotateProgress:
    """How far a rotation has come.

    Attributes:
        seen: how many records were looked at.
        rewritten: how many of them had been written with other options, and were written anew.
    """

    seen: int = 0
    rewritten: int = 0


def _check(progress: object) -> None:
    if progress is not None and not callable(progress):
        raise TypeError(f"progress must be callable, not {type(progress).__name__}")


async def rotate(
    storage: Storage, progress: Callable[[RotateProgress], object] | None, page_size: Any
) -> RotateProgress:
    """Rewrites page by page; tells `progress` after each."""
    _check(progress)
    so_far, after = RotateProgress(), None
    while True:
        seen, rewritten, after = await storage._rotate_page(after, page_size)
        so_far = RotateProgress(so_far.seen + seen, so_far.rewritten + rewritten)
        if progress is not None:
            told = progress(so_far)
            if inspect.isawaitable(told):
                await told
        if after is None:
            return so_far


def rotate_sync(
    storage: Storage, progress: Callable[[RotateProgress], object] | None, page_size: Any
) -> RotateProgress:
    """The same, blocking."""
    _check(progress)
    so_far, after = RotateProgress(), None
    while True:
        seen, rewritten, after = storage._rotate_page(after, page_size).wait()
        so_far = RotateProgress(so_far.seen + seen, so_far.rewritten + rewritten)
        if progress is not None:
            progress(so_far)
        if after is None:
            return so_far

"""What a notebook shows of a storage beside its tables: the namespaces by size and age.

In a notebook::

    from rrag_storage.notebook import plot_namespaces

    await plot_namespaces(storage)

The plot needs matplotlib: `pip install 'rrag-storage[plot]'`. `describe_namespaces` has its figures without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._native import SortOrder, Storage
from .sync import SyncStorage

if TYPE_CHECKING:
    from datetime import datetime

    from matplotlib.figure import Figure

    from ._native import MemoryEntry

__all__ = ["NamespaceFigures", "describe_namespaces", "plot_namespaces"]


@dataclass(frozen=True)
class NamespaceFigures:
    """What a namespace holds.

    Attributes:
        name: the namespace, whole: `users::ada`.
        entries: how many entries are under it.
        size_bytes: what they take, as the stats of a view of it say.
        oldest: when the first of them was created. Aware, UTC.
        newest: when the last of them was created. Aware, UTC.
    """

    name: str
    entries: int
    size_bytes: int
    oldest: datetime
    newest: datetime


async def describe_namespaces(
    storage: Storage, prefix: str | None = None, *, max_depth: int = 1
) -> list[NamespaceFigures]:
    """The figures of each namespace, the largest first. No value is read save the oldest and the newest of each.

    Args:
        storage: any storage or view.
        prefix: only namespaces that start with it, literally.
        max_depth: only namespaces of at most so many segments: 1 for `users`, 2 for `users::ada` too.

    Returns:
        One for each namespace that holds something; what is in no namespace is in none of them.

    Raises:
        UnsupportedOperationError: the storage can't list its keys, or not by their creation.

    >>> async def main():
    ...     async with InMemoryStorage() as s:
    ...         await s.mset({"docs::1": "x" * 100, "docs::2": "y", "users::ada": 1})
    ...         from rrag_storage.notebook import describe_namespaces
    ...         for figures in await describe_namespaces(s):
    ...             print(figures.name, figures.entries)
    >>> asyncio.run(main())
    docs 2
    users 1
    """
    if isinstance(storage, SyncStorage) or not isinstance(storage, Storage):
        raise TypeError(
            f"a storage is described, not {type(storage).__name__}; of a blocking one, give the storage itself"
        )
    described = [await _describe(storage, name) for name in await storage.namespaces(prefix, max_depth)]
    there = [figures for figures in described if figures is not None]
    return sorted(there, key=lambda figures: (-figures.size_bytes, figures.name))


async def _describe(storage: Storage, name: str) -> NamespaceFigures | None:
    view = storage.namespace(name)
    stats = await view.stats()
    oldest = await _first(view, SortOrder.CREATED_ASC)
    newest = await _first(view, SortOrder.CREATED_DESC)
    if oldest is None or newest is None:  # it expired, or was deleted meanwhile
        return None
    return NamespaceFigures(name, stats.total_keys, stats.memory_bytes, oldest.created_at, newest.created_at)


async def _first(view: Storage, order: SortOrder) -> MemoryEntry | None:
    async for entry in view.entries(limit=1, sort_order=order):
        return entry
    return None


async def plot_namespaces(
    storage: Storage, prefix: str | None = None, *, max_depth: int = 1, at_most: int = 20
) -> Figure:
    """A small plot of the largest namespaces: their sizes, and beside them the time over which they were filled.

    Args:
        storage, prefix, max_depth: as for `describe_namespaces`.
        at_most: so many namespaces, the largest ones. int, at least 1.

    Returns:
        A matplotlib figure, which a notebook shows; `figure.savefig("namespaces.png")` keeps it. It is not one of
        pyplot's, so it need not be closed.

    Raises:
        ImportError: matplotlib is missing; the message names the extra.
        UnsupportedOperationError: as `describe_namespaces`.
        ValueError: `at_most` is less than 1.
    """
    if at_most < 1:
        raise ValueError(f"at_most must be at least 1, not {at_most}")
    try:
        from ._plot import draw
    except ImportError as error:
        raise ImportError(
            f"plot_namespaces needs matplotlib: pip install 'rrag-storage[plot]' ({error})",
            name=error.name,
            path=error.path,
        ) from error
    figures: list[Any] = await describe_namespaces(storage, prefix, max_depth=max_depth)
    return draw(figures[:at_most], more=max(0, len(figures) - at_most))

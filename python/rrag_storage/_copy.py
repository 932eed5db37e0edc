"""Copying entries from one storage to another, whatever their backends."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._native import Storage, _copy_pages
from .sync import SyncStorage

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._native import MemoryQuery


@dataclass(frozen=True)
class CopyProgress:
    """How far a copy has come.

    Attributes:
        copied: how many entries were written to the target.
        skipped: how many were left because the target has them already.
        last_key: the last key that was dealt with, as the source spells it; None before the first.
    """

    copied: int = 0
    skipped: int = 0
    last_key: str | None = None


async def copy(
    source: Storage,
    target: Storage,
    query: MemoryQuery | None = None,
    *,
    progress: Callable[[CopyProgress], object] | None = None,
    overwrite: bool = True,
    page_size: int = 500,
    **filters: Any,
) -> CopyProgress:
    """Copies the entries of `source` to `target`, page by page, whatever the two backends.

    Values, versions, and the times of creation, change and expiry are kept. An entry that the target has in the same
    version is left, so a copy that was cut off can simply be started again: it reads what it had done and goes on.
    Entries that are written to the source meanwhile may or may not be copied; none is deleted from the target.

    Args:
        source: what is read; a view (`storage.namespace("docs")`) too.
        target: what is written; a view too. Keys are those of the source under the target's own prefix.
        query: which entries, as for `source.keys`; all of them unless told. Or filters as keywords.
        progress: called after each page with a `CopyProgress`; what it returns is awaited where it is awaitable, and
            what it raises ends the copy.
        overwrite: whether an entry of the target with another version gives way to the source's. With False it stays,
            as when the target is in use already.
        page_size: how many entries are read and written at a time; with large values they are all in memory.

    Returns:
        How much was copied in all.

    Raises:
        TypeError, ValueError: arguments that can't be used, such as two views of one storage of which one lies in the
            other.
        StorageError: what reading or writing raises. The pages before stand.

    >>> async def main():
    ...     async with connect("sqlite::memory:") as old, connect("memory://") as new:
    ...         await old.mset({"docs::1": "one", "docs::2": "two", "users::ada": 1})
    ...         print(await copy(old, new, namespace="docs"))
    ...         print(await new.get("docs::2"))
    >>> asyncio.run(main())
    CopyProgress(copied=2, skipped=0, last_key='docs::2')
    two
    """
    for name, storage in (("source", source), ("target", target)):
        if isinstance(storage, SyncStorage):
            raise TypeError(f"{name} must be a storage, not its blocking twin; give the storage itself")
        if not isinstance(storage, Storage):
            raise TypeError(f"{name} must be a storage, not {type(storage).__name__}")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress must be callable, not {type(progress).__name__}")
    # One that is observed, by `integrations.opentelemetry`, is copied as the storage that it stands for.
    source, target = (getattr(storage, "__wrapped__", storage) for storage in (source, target))
    so_far = CopyProgress()
    async for step in _copy_pages(source, target, query, filters, overwrite=overwrite, page_size=page_size):
        so_far = CopyProgress(*step)
        if progress is not None:
            told = progress(so_far)
            if inspect.isawaitable(told):
                await told
    return so_far

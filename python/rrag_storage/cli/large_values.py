"""Large values that nothing points to.

Which of the objects a record points to only the storage itself can tell: a pointer may be encrypted. So the names of all
objects, and nothing else of them, go into a storage in memory, and what the garbage collection removes from that is what
it would remove from the object store. Nothing in the object store changes.
"""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

from .. import InMemoryStorage, StorageError
from . import output
from .findings import Finding, Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .. import Storage
    from .places import Place

_PAGE = 1_000
_NAMED = 1_000


class _Orphan(NamedTuple):
    name: str
    age: float
    size: int
    expires: bool


async def check_large_values(place: Place, grace: float) -> Finding:
    """The objects that nothing points to and that don't expire by themselves.

    Those younger than `grace` seconds may be about to be pointed to, and are no fault. The names of all objects are in
    memory meanwhile.
    """
    old = younger = expiring = size = 0
    named: list[str] = []
    async with (
        place.open_large_values() as objects,
        InMemoryStorage(max_keys=None, max_memory_bytes=None) as names,
    ):
        listed = await _copy_names(objects, names)
        async with place.open(large_values=names) as storage:
            await storage.collect_garbage(older_than=0)
        async for orphan in _removed(listed, names, objects):
            if orphan.expires:
                expiring += 1
            elif orphan.age < grace:
                younger += 1
            else:
                old, size = old + 1, size + orphan.size
                named += [orphan.name] if len(named) < _NAMED else []
    figures = {
        "objects": len(listed),
        "orphans": old,
        "orphan_bytes": size,
        "younger": younger,
        "expiring": expiring,
        "names": named,
    }
    if old:
        says = f"{old} of {len(listed)} objects are orphans, {output.size(size)}"
        return Finding("large values", Status.FAILED, says, figures)
    return Finding("large values", Status.OK, f"no orphans among {len(listed)} objects", figures)


async def _copy_names(objects: Storage, names: Storage) -> list[str]:
    listed: list[str] = []
    after: str | None = None
    while page := await objects.keys(after=after, limit=_PAGE):
        await names.mset(dict.fromkeys(page))
        listed += page
        after = page[-1]
    return listed


async def _removed(listed: list[str], names: Storage, objects: Storage) -> AsyncIterator[_Orphan]:
    """What was listed, is no longer among the names, and is still in the object store."""
    for start in range(0, len(listed), _PAGE):
        page = listed[start : start + _PAGE]
        for name, there in zip(page, await names.mget(page, default=False), strict=True):
            if there is not False:
                continue
            try:
                entry = await objects.get_entry(name)
            except StorageError:
                yield _Orphan(name, math.inf, 0, expires=False)
                continue
            if entry is not None:
                age = (datetime.now(timezone.utc) - entry.created_at).total_seconds()
                yield _Orphan(name, age, entry.size_bytes, expires=entry.expires_at is not None)

"""Whether what a storage lists can be read, and whether its counts agree."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from .. import BackendUnavailableError, OperationTimeoutError, StorageError, UnsupportedOperationError
from .findings import Finding, Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from .. import Storage

_PAGE = 500
_ATTEMPTS = 3
_NAMED = 1_000
"""At most so many keys are named, so that the memory for them is bounded."""
_MISSING = "missing in the object store"
_UNREACHABLE = (BackendUnavailableError, OperationTimeoutError)


async def check_file(url: str) -> Finding | None:
    """SQLite's own check of a file; None for any other url. The file is opened for reading alone."""
    scheme, _, path = url.partition(":")
    path = path.removeprefix("//")
    if scheme.lower() != "sqlite" or path == ":memory:":
        return None
    try:
        said = await asyncio.to_thread(_integrity, Path(path))
    except sqlite3.Error as error:
        said = [str(error)]
    if said == ["ok"]:
        return Finding("file", Status.OK, "SQLite finds it whole")
    return Finding("file", Status.FAILED, f"SQLite finds damage: {said[0]}", {"errors": said})


def _integrity(path: Path) -> list[str]:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        return [row[0] for row in connection.execute("PRAGMA integrity_check(100)")]
    finally:
        connection.close()


async def check_health(storage: Storage) -> Finding:
    """Whether the backend answers. That it was opened says that its tables are this library's, in a version it knows."""
    if await storage.health_check():
        return Finding("health", Status.OK, f"{storage.url} answers, and its schema is known")
    return Finding("health", Status.FAILED, f"{storage.url} does not answer")


async def check_entries(storage: Storage, progress: Callable[[int], object]) -> list[Finding]:
    """Reads every entry, and compares how many were listed with the counts; tells `progress` how many were read."""
    listed = bad = missing = 0
    errors: dict[str, str] = {}
    after: str | None = None
    try:
        while keys := await storage.keys(after=after, limit=_PAGE):
            for key, error in (await _errors(storage, keys, after)).items():
                bad += 1
                missing += _MISSING in error
                if len(errors) < _NAMED:
                    errors[key] = error
            listed += len(keys)
            after = keys[-1]
            progress(listed)
    except UnsupportedOperationError:
        return [Finding("entries", Status.SKIPPED, "keys are hidden: what there is can't be listed")]
    figures = {"readable": listed - bad, "unreadable": bad, "missing_large_values": missing, "errors": errors}
    if bad:
        entries = Finding("entries", Status.FAILED, f"{bad} of {listed} can't be read", figures)
    else:
        entries = Finding("entries", Status.OK, f"{listed} can be read", figures)
    return [entries, await _check_counts(storage)]


async def _errors(storage: Storage, keys: list[str], after: str | None) -> dict[str, str]:
    """Why those of the keys that can't be read can't be: of a page, which begins after `after`."""
    try:
        async for entry in storage.entries(after=after, limit=len(keys)):
            entry.value  # noqa: B018  # its last step, into Python
        return {}
    except _UNREACHABLE:
        raise
    except StorageError:
        found = {key: await _error(storage, key) for key in keys}
        return {key: error for key, error in found.items() if error is not None}


async def _error(storage: Storage, key: str) -> str | None:
    try:
        await storage.get(key)
    except _UNREACHABLE:
        raise
    except StorageError as error:
        return str(error)
    return None


async def _check_counts(storage: Storage) -> Finding:
    """Lists keys alone, between two counts: where these differ others write, and it is done again a few times."""
    for _ in range(_ATTEMPTS):
        before = await storage.count()
        listed = await _listed(storage)
        total, now = (await storage.stats()).total_keys, await storage.count()
        figures = {"listed": listed, "count": now, "total_keys": total}
        if listed == before == now == total:
            return Finding("counts", Status.OK, "listing, count and figures agree", figures)
    if before != now:
        return Finding("counts", Status.SKIPPED, "others write: listing and counts can't be compared", figures)
    return Finding("counts", Status.FAILED, f"{listed} are listed, {now} counted, {total} in the figures", figures)


async def _listed(storage: Storage) -> int:
    listed, after = 0, None
    while keys := await storage.keys(after=after, limit=_PAGE):
        listed, after = listed + len(keys), keys[-1]
    return listed

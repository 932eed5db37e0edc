"""What is done to whole threads: copying, pruning, deleting the checkpoints of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._steps import Steps
from .._support import escape, join, split
from ._layout import BLOBS, CHECKPOINTS, WRITES, CheckpointKey, Place, Record
from ._reading import records
from ._serde import loads

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langgraph.checkpoint.serde.base import SerializerProtocol

    from ... import Storage
    from .._support import Seconds

_PAGE = 256


def copied(view: Storage, source: str, target: str, ttl: Seconds | None) -> Steps[None]:
    """Copies a thread. Checkpoints come last, so that none is ever there without its values."""
    if source == target:
        return
    for kind in (BLOBS, WRITES, CHECKPOINTS):
        start, end = join((source, kind)), join((target, kind))
        after = None
        while keys := (yield view.keys(namespace=start, after=after, limit=_PAGE)):
            entries = yield view.get_entries(keys)
            values = {end + entry.key.removeprefix(start): entry.value for entry in entries if entry is not None}
            yield view.mset(values, ttl)
            after = keys[-1]


def pruned(view: Storage, serde: SerializerProtocol, threads: Sequence[str], strategy: str) -> Steps[None]:
    """Deletes all checkpoints of threads but those that `strategy` keeps."""
    if strategy not in ("keep_latest", "delete"):
        raise ValueError(f'strategy must be "keep_latest" or "delete", not {strategy!r}')
    for thread in dict.fromkeys(map(str, threads)):
        if strategy == "delete":
            yield view.clear(escape(thread))
            continue
        found = yield from _records(view, escape(thread))
        newest: dict[Place, str] = {}
        for place, one in found:
            newest[place] = max(one, newest.get(place, one))
        kept = {key for place, one in newest.items() for key in _line(serde, found, CheckpointKey(place, one))}
        yield from _keep(view, escape(thread), found, kept)


def without_runs(view: Storage, serde: SerializerProtocol, run_ids: Sequence[str]) -> Steps[None]:
    """Deletes the checkpoints of runs from all threads."""
    unwanted = set(run_ids)
    if not unwanted:
        return
    for thread in (yield view.namespaces(max_depth=1)):
        found = yield from _records(view, thread)
        kept = {key for key, record in found.items() if loads(serde, record["metadata"]).get("run_id") not in unwanted}
        yield from _keep(view, thread, found, kept)


def _records(view: Storage, folder: str) -> Steps[dict[CheckpointKey, Record]]:
    keys = yield view.keys(namespace=f"{folder}::{CHECKPOINTS}")
    found: dict[CheckpointKey, Record] = {}
    for start in range(0, len(keys), _PAGE):
        found.update((yield from records(view, map(CheckpointKey.read, keys[start : start + _PAGE]))))
    return found


def _line(
    serde: SerializerProtocol, found: dict[CheckpointKey, Record], newest: CheckpointKey
) -> Iterable[CheckpointKey]:
    """A checkpoint, and those before it back to where each of its delta channels has a value."""
    unsettled = set(loads(serde, found[newest]["metadata"]).get("counters_since_delta_snapshot") or ())
    seen: set[CheckpointKey] = set()
    current: CheckpointKey | None = newest
    while current in found and current not in seen:
        yield current
        seen.add(current)
        record = found[current]
        unsettled -= record["blobs"].keys() | record["inline"].keys()
        current = CheckpointKey(newest.place, record["parent"]) if unsettled and record["parent"] else None


def _keep(view: Storage, folder: str, found: dict[CheckpointKey, Record], kept: set[CheckpointKey]) -> Steps[None]:
    """Deletes the other checkpoints of what was `found`, their writes, and the values that no kept one needs."""
    gone = found.keys() - kept
    if not gone:
        return
    needed = {key.place.blob(*blob) for key in kept for blob in found[key]["blobs"].items()}
    candidates = {key.place.blob(*blob) for key in gone for blob in found[key]["blobs"].items()}
    doomed = [key.place.checkpoint(key.checkpoint_id) for key in gone] + list(candidates - needed)
    for key in (yield view.keys(namespace=f"{folder}::{WRITES}")):
        thread, _, namespace, one, _, _ = split(key)
        if CheckpointKey(Place(thread, namespace), one) in gone:
            doomed.append(key)
    yield view.mdelete(doomed)

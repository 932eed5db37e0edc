"""Reading checkpoints: with their values and writes, in pages, and back along their parents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from langgraph.checkpoint.base import CheckpointTuple

from ... import CorruptedDataError, SortOrder
from .._steps import MISSING, Steps, items, scan
from .._support import split
from ._layout import CHECKPOINTS, WRITES, CheckpointKey, Place, Record, Write
from ._serde import loads

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langgraph.checkpoint.base import Checkpoint, DeltaChannelHistory, PendingWrite
    from langgraph.checkpoint.serde.base import SerializerProtocol

    from ... import Storage

_PAGE = 64

StoredWrite = tuple[str, Write]
"""The id of a task, and what it wrote."""


def latest(view: Storage, place: Place) -> Steps[tuple[str, Record] | None]:
    """The id and the record of the newest checkpoint of a place."""
    found = yield from items(view, namespace=place.folder(CHECKPOINTS), sort_order=SortOrder.KEY_DESC, limit=1)
    for key, record in found:
        return CheckpointKey.read(key).checkpoint_id, record
    return None


def records(view: Storage, keys: Iterable[CheckpointKey]) -> Steps[dict[CheckpointKey, Record]]:
    """The records under `keys`, in their order, without those that are missing."""
    wanted = list(keys)
    found = yield view.mget([key.place.checkpoint(key.checkpoint_id) for key in wanted], MISSING)
    return {key: record for key, record in zip(wanted, found, strict=True) if record is not MISSING}


def writes(view: Storage, place: Place, ids: Sequence[str]) -> Steps[dict[str, list[StoredWrite]]]:
    """The writes to each of the checkpoints `ids`, in the order in which a run applies them."""
    numbered: dict[str, list[tuple[tuple[str, str, int], StoredWrite]]] = {one: [] for one in ids}
    first, last = min(ids), max(ids)

    def take(key: str, write: Write) -> bool:
        one, task, number = split(key)[3:]
        if one in numbered:
            numbered[one].append(((write["task_path"], task, int(number)), (task, write)))
        return one > last and not one.startswith(last)

    if first == last:
        yield scan(view, take, namespace=place.writes(first))
    else:
        # Keys of one namespace stand in the order of their checkpoints: what lies between is read in one go.
        yield scan(view, take, namespace=place.folder(WRITES), after=place.writes(first))
    return {one: [write for _, write in sorted(found, key=lambda item: item[0])] for one, found in numbered.items()}


def tuples(
    view: Storage, serde: SerializerProtocol, found: dict[CheckpointKey, Record]
) -> Steps[list[CheckpointTuple]]:
    """The checkpoints whose records were found, whole."""
    pending: dict[CheckpointKey, list[StoredWrite]] = {}
    for place in dict.fromkeys(key.place for key in found):
        own = yield from writes(view, place, [key.checkpoint_id for key in found if key.place == place])
        pending.update({CheckpointKey(place, one): stored for one, stored in own.items()})
    wanted = dict.fromkeys(
        key.place.blob(channel, version)
        for key, record in found.items()
        for channel, version in record["blobs"].items()
    )
    blobs = dict(zip(wanted, (yield view.mget(wanted, MISSING)), strict=True)) if wanted else {}
    whole = []
    for key, record in found.items():
        values = dict(record["inline"])
        for channel, version in record["blobs"].items():
            values[channel] = blobs[key.place.blob(channel, version)]
            if values[channel] is MISSING:
                raise CorruptedDataError(
                    f"checkpoint {key.checkpoint_id!r} of thread {key.place.thread!r} needs version {version!r} of "
                    f"channel {channel!r}, which is not there"
                )
        parent = record["parent"]
        whole.append(
            CheckpointTuple(
                config=key.place.config(key.checkpoint_id),
                checkpoint=cast(
                    "Checkpoint",
                    {
                        **loads(serde, record["checkpoint"]),
                        "channel_values": {channel: loads(serde, typed) for channel, typed in values.items()},
                    },
                ),
                metadata=loads(serde, record["metadata"]),
                parent_config=key.place.config(parent) if parent else None,
                pending_writes=[decoded(serde, write) for write in pending[key]],
            )
        )
    return whole


def decoded(serde: SerializerProtocol, stored: StoredWrite) -> PendingWrite:
    """A write as LangGraph takes it."""
    task, write = stored
    return task, write["channel"], loads(serde, write["value"])


class Ancestors:
    """The line of a checkpoint's parents, read in pages."""

    def __init__(self, view: Storage, place: Place) -> None:
        self._view = view
        self._place = place
        self._ids: list[str] | None = None
        self._read: dict[str, tuple[Record, list[StoredWrite]]] = {}

    def get(self, checkpoint_id: str) -> Steps[tuple[Record, list[StoredWrite]] | None]:
        """A checkpoint's record and writes; None where it is missing. Those that are older are read along with it."""
        if checkpoint_id not in self._read:
            if self._ids is None:
                keys = yield self._view.keys(namespace=self._place.folder(CHECKPOINTS), sort_order=SortOrder.KEY_DESC)
                self._ids = [CheckpointKey.read(key).checkpoint_id for key in keys]
            if checkpoint_id not in self._ids:
                return None
            start = self._ids.index(checkpoint_id)
            page = self._ids[start : start + _PAGE]
            found = yield from records(self._view, (CheckpointKey(self._place, one) for one in page))
            stored = yield from writes(self._view, self._place, page)
            self._read.update({key.checkpoint_id: (record, stored[key.checkpoint_id]) for key, record in found.items()})
        return self._read.get(checkpoint_id)


def delta_history(
    view: Storage,
    serde: SerializerProtocol,
    place: Place,
    checkpoint_id: str | None,
    channels: Sequence[str],
    *,
    expires: bool,
) -> Steps[dict[str, DeltaChannelHistory]]:
    """What was written to `channels` before a checkpoint, and the values that those writes start from."""
    ancestors = Ancestors(view, place)
    if checkpoint_id is None:
        newest = yield from latest(view, place)
        checkpoint_id = newest[0] if newest else None
    target = (yield from ancestors.get(checkpoint_id)) if checkpoint_id else None
    current = target[0]["parent"] if target else None
    newest_first: dict[str, list[StoredWrite]] = {channel: [] for channel in channels}
    seeds: dict[str, Any] = {}
    seen: set[str] = set()  # a damaged line of parents may run in a circle
    while current and current not in seen and len(seeds) < len(newest_first):
        seen.add(current)
        step = yield from ancestors.get(current)
        if step is None:
            if expires:
                raise CorruptedDataError(
                    f"checkpoint {current!r} of thread {place.thread!r} has expired, and the values of "
                    f"{', '.join(set(newest_first) - set(seeds))} can't be told without it: give the saver a longer ttl"
                )
            break
        record, stored = step
        for task, write in reversed(stored):
            if write["channel"] in newest_first and write["channel"] not in seeds:
                newest_first[write["channel"]].append((task, write))
        for channel in newest_first.keys() - seeds.keys():
            if channel in record["inline"]:
                seeds[channel] = record["inline"][channel]
            elif channel in record["blobs"]:
                seeds[channel] = place.blob(channel, record["blobs"][channel])
        current = record["parent"]
    yield from _fetch(view, seeds)
    history = {}
    for channel, found in newest_first.items():
        entry: dict[str, Any] = {"writes": [decoded(serde, write) for write in reversed(found)]}
        if channel in seeds:
            entry["seed"] = loads(serde, seeds[channel])
        history[channel] = cast("DeltaChannelHistory", entry)
    return history


def _fetch(view: Storage, seeds: dict[str, Any]) -> Steps[None]:
    """Puts values in the place of the keys among `seeds`."""
    keys = {channel: key for channel, key in seeds.items() if isinstance(key, str)}
    if keys:
        for (channel, key), typed in zip(keys.items(), (yield view.mget(keys.values(), MISSING)), strict=True):
            if typed is MISSING:
                raise CorruptedDataError(f"the value of channel {channel!r} is not there, under {key!r}")
            seeds[channel] = typed

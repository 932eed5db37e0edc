"""LangGraph's saver of checkpoints."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.base import WRITES_IDX_MAP, BaseCheckpointSaver, get_checkpoint_metadata

from .._steps import MISSING, Steps, awaited, blocking, write_new
from .._support import checked_ttl, escape, view
from ._layout import CheckpointKey, Place, Record, checkpoint_id
from ._listing import listed, next_page
from ._reading import delta_history, latest, records, tuples
from ._serde import dumps
from ._threads import copied, pruned, without_runs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import (
        ChannelVersions,
        Checkpoint,
        CheckpointMetadata,
        CheckpointTuple,
        DeltaChannelHistory,
    )
    from langgraph.checkpoint.serde.base import SerializerProtocol

    from ... import Storage
    from .._support import Seconds
    from ._layout import Write


class RragSaver(BaseCheckpointSaver[str]):
    """The memory of a graph's threads: `builder.compile(checkpointer=RragSaver(storage))`.

    Each checkpoint is written in one step, with the values that changed; values that did not are shared with those before.

    Args:
        storage: where it keeps them; closing it stays the caller's.
        namespace: the part of `storage` that it uses.
        serde: how values become bytes; LangGraph's serializer of JSON and msgpack unless told. Which classes it makes of
            stored bytes is its own setting (`LANGGRAPH_STRICT_MSGPACK`); it unpickles nothing unless told to.
        ttl: how long a checkpoint lives after it was written, with the values that it needs; seconds or a timedelta,
            None for ever. A `DeltaChannel` needs the checkpoints back to its last snapshot: where one of them has
            expired, reading raises CorruptedDataError.

    Raises:
        TypeError, ValueError: an argument that can't be used; the message names it.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        namespace: str = "langgraph_checkpoints",
        serde: SerializerProtocol | None = None,
        ttl: Seconds | None = None,
    ) -> None:
        super().__init__(serde=serde)
        self._view = view(storage, namespace)
        self._ttl = checked_ttl(ttl)

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that `config` names, or the newest of its thread and namespace; None where there is none.

        Raises:
            CorruptedDataError: a value that belongs to it is missing.
        """
        return blocking(self._get_tuple(config))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As `get_tuple`."""
        return await awaited(self._get_tuple(config))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Checkpoints, the newest first, read in pages.

        Args:
            config: of which thread and, where it says so, of which namespace or which one; None for all threads.
            filter: what their metadata must hold.
            before: only those older than the checkpoint that this names.
            limit: at most so many.
        """
        keys = blocking(listed(self._view, config, before))
        while keys and limit != 0:
            page = blocking(next_page(self._view, self.serde, keys, filter, limit))
            limit = None if limit is None else limit - len(page)
            yield from page

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """As `list`."""
        keys = await awaited(listed(self._view, config, before))
        while keys and limit != 0:
            page = await awaited(next_page(self._view, self.serde, keys, filter, limit))
            limit = None if limit is None else limit - len(page)
            for found in page:
                yield found

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Stores a checkpoint after the one that `config` names; what names the new one is returned.

        Values of channels in `new_versions` are written; of the others those that no checkpoint before has.
        """
        return blocking(self._put(config, checkpoint, metadata, new_versions))

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """As `put`."""
        return await awaited(self._put(config, checkpoint, metadata, new_versions))

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Stores what a task wrote, to be applied after the checkpoint that `config` names.

        What the task has stored before stays, so that repeating it changes nothing; errors and interrupts are replaced.
        """
        blocking(self._put_writes(config, writes, task_id, task_path))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """As `put_writes`."""
        await awaited(self._put_writes(config, writes, task_id, task_path))

    def delete_thread(self, thread_id: str) -> None:
        """Deletes everything of a thread in one step."""
        self._view.sync.clear(escape(str(thread_id)))

    async def adelete_thread(self, thread_id: str) -> None:
        """As `delete_thread`."""
        await self._view.clear(escape(str(thread_id)))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Deletes the checkpoints, with their writes, whose metadata names one of these runs; it looks at all threads."""
        blocking(without_runs(self._view, self.serde, run_ids))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """As `delete_for_runs`."""
        await awaited(without_runs(self._view, self.serde, run_ids))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copies all checkpoints of a thread, with their writes, into another."""
        blocking(copied(self._view, str(source_thread_id), str(target_thread_id), self._ttl))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """As `copy_thread`."""
        await awaited(copied(self._view, str(source_thread_id), str(target_thread_id), self._ttl))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Deletes old checkpoints of threads.

        Args:
            thread_ids: of which threads.
            strategy: `"keep_latest"` keeps the newest of each namespace, and those before it that a `DeltaChannel` is
                made of; `"delete"` keeps none.

        Raises:
            ValueError: another strategy.
        """
        blocking(pruned(self._view, self.serde, thread_ids, strategy))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """As `prune`."""
        await awaited(pruned(self._view, self.serde, thread_ids, strategy))

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """What was written to each of `channels` before a checkpoint, oldest first, and the value it starts from.

        Raises:
            CorruptedDataError: a checkpoint that it is made of has expired.
        """
        return blocking(self._history(config, channels))

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """As `get_delta_channel_history`."""
        return await awaited(self._history(config, channels))

    def get_next_version(self, current: str | None, channel: None) -> str:
        """A version after `current`: a number, and something random, so that two forks never share a value."""
        number = 0 if current is None else int(str(current).partition(".")[0])
        return f"{number + 1:032}.{random.getrandbits(64):020}"  # noqa: S311  # no secret is drawn

    def _get_tuple(self, config: RunnableConfig) -> Steps[CheckpointTuple | None]:
        place, wanted = Place.of(config), checkpoint_id(config)
        if wanted:
            found = yield from records(self._view, [CheckpointKey(place, wanted)])
        else:
            newest = yield from latest(self._view, place)
            found = {CheckpointKey(place, newest[0]): newest[1]} if newest else {}
        whole = yield from tuples(self._view, self.serde, found)
        return whole[0] if whole else None

    def _put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Steps[RunnableConfig]:
        place, parent = Place.of(config), checkpoint_id(config)
        values = checkpoint["channel_values"]
        blobs = {channel: version for channel, version in new_versions.items() if channel in values}
        written = {
            place.blob(channel, version): dumps(self.serde, values[channel]) for channel, version in blobs.items()
        }
        # A channel that kept its version keeps its value, also one that LangGraph leaves out of `values` (a DeltaChannel).
        kept = {ch: version for ch, version in checkpoint["channel_versions"].items() if ch not in new_versions}
        blobs.update((yield from self._shared(place, parent, kept)))
        record: Record = {
            "checkpoint": dumps(
                self.serde, {name: part for name, part in checkpoint.items() if name != "channel_values"}
            ),
            "metadata": dumps(self.serde, get_checkpoint_metadata(config, metadata)),
            "parent": parent,
            "blobs": blobs,
            "inline": {channel: dumps(self.serde, values[channel]) for channel in values if channel not in blobs},
        }
        yield self._view.mset({**written, place.checkpoint(checkpoint["id"]): record}, self._ttl)
        return place.config(checkpoint["id"])

    def _shared(self, place: Place, parent: str | None, versions: ChannelVersions) -> Steps[ChannelVersions]:
        """Those of `versions` whose values stand in the storage. With a ttl they live as long as what is written now."""
        if not versions or parent is None:
            return {}
        if self._ttl is None:
            record = yield self._view.get(place.checkpoint(parent))
            stored = record["blobs"] if record else {}
            return {channel: version for channel, version in versions.items() if stored.get(channel) == version}
        keys = [place.blob(channel, version) for channel, version in versions.items()]
        found = yield self._view.mget(keys, MISSING, refresh_ttl=self._ttl)
        return {
            channel: version
            for (channel, version), typed in zip(versions.items(), found, strict=True)
            if typed is not MISSING
        }

    def _put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> Steps[None]:
        folder = Place.of(config).writes(config["configurable"]["checkpoint_id"])
        replaced: dict[str, Write] = {}
        kept: dict[str, Write] = {}
        for place, (channel, value) in enumerate(writes):
            number = WRITES_IDX_MAP.get(channel, place)
            write: Write = {"channel": channel, "value": dumps(self.serde, value), "task_path": task_path}
            (replaced if number < 0 else kept)[f"{folder}::{escape(task_id)}::{number}"] = write
        yield from write_new(self._view, replaced, kept, self._ttl)

    def _history(self, config: RunnableConfig, channels: Sequence[str]) -> Steps[dict[str, DeltaChannelHistory]]:
        if not channels:
            return {}
        return (
            yield from delta_history(
                self._view,
                self.serde,
                Place.of(config),
                checkpoint_id(config),
                channels,
                expires=self._ttl is not None,
            )
        )

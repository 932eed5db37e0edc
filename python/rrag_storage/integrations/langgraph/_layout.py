"""Where a saver's entries stand, and what is in them.

Everything of a thread stands under its id, so that it goes in one step. Below it:

- `c::NAMESPACE::CHECKPOINT`: a `Record`.
- `b::NAMESPACE::CHANNEL::VERSION`: the value of a channel, written once and shared by all checkpoints that hold it.
- `w::NAMESPACE::CHECKPOINT::TASK::NUMBER`: a `Write`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from langgraph.checkpoint.base import get_checkpoint_id

from .._support import escape, join, split

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from ._serde import Typed

CHECKPOINTS, BLOBS, WRITES = "c", "b", "w"


class Record(TypedDict):
    """A checkpoint as it is stored.

    Invariant: what `blobs` names was written with it or before it; what had no blob is `inline`.
    """

    checkpoint: Typed
    """Without the values of channels."""
    metadata: Typed
    parent: str | None
    blobs: dict[str, str | int | float]
    """Channels and the versions of their values."""
    inline: dict[str, Typed]
    """Channels and their values."""


class Write(TypedDict):
    """What a task wrote to a channel, to be applied by the next step."""

    channel: str
    value: Typed
    task_path: str


class Place(NamedTuple):
    """A thread and a namespace of checkpoints in it (empty for the graph itself, others for graphs in its nodes)."""

    thread: str
    namespace: str

    @classmethod
    def of(cls, config: RunnableConfig) -> Place:
        """Where `config` points to.

        Raises:
            KeyError: it has no `thread_id`.
        """
        configurable = config["configurable"]
        return cls(str(configurable["thread_id"]), configurable.get("checkpoint_ns") or "")

    def folder(self, kind: str) -> str:
        """Where the entries of one kind stand."""
        return join((self.thread, kind, self.namespace))

    def checkpoint(self, checkpoint_id: str) -> str:
        """The key of a checkpoint."""
        return f"{self.folder(CHECKPOINTS)}::{escape(checkpoint_id)}"

    def blob(self, channel: str, version: str | float) -> str:
        """The key of a channel's value."""
        return f"{self.folder(BLOBS)}::{join((channel, str(version)))}"

    def writes(self, checkpoint_id: str) -> str:
        """Where the writes to a checkpoint stand."""
        return f"{self.folder(WRITES)}::{escape(checkpoint_id)}"

    def config(self, checkpoint_id: str) -> RunnableConfig:
        """What names a checkpoint of this place."""
        return {
            "configurable": {
                "thread_id": self.thread,
                "checkpoint_ns": self.namespace,
                "checkpoint_id": checkpoint_id,
            }
        }


class CheckpointKey(NamedTuple):
    """A checkpoint's key, read."""

    place: Place
    checkpoint_id: str

    @classmethod
    def read(cls, key: str) -> CheckpointKey:
        """The parts of a key that `Place.checkpoint` made."""
        thread, _, namespace, checkpoint_id = split(key)
        return cls(Place(thread, namespace), checkpoint_id)


def checkpoint_id(config: RunnableConfig | None) -> str | None:
    """Which checkpoint `config` names, if any."""
    found: Any = get_checkpoint_id(config) if config else None
    return found or None

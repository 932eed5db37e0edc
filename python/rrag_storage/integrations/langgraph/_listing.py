"""Listing checkpoints, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._steps import Steps
from .._support import join
from ._layout import CHECKPOINTS, CheckpointKey, Place, checkpoint_id
from ._reading import records, tuples
from ._serde import loads

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import CheckpointTuple
    from langgraph.checkpoint.serde.base import SerializerProtocol

    from ... import Storage

_PAGE = 64


def listed(view: Storage, config: RunnableConfig | None, before: RunnableConfig | None) -> Steps[list[CheckpointKey]]:
    """Which checkpoints a listing is about, the newest first."""
    if not config:
        threads = yield view.namespaces(max_depth=1)
        folders = [f"{thread}::{CHECKPOINTS}" for thread in threads]
    elif config["configurable"].get("checkpoint_ns") is None:
        folders = [join((Place.of(config).thread, CHECKPOINTS))]
    else:
        folders = [Place.of(config).folder(CHECKPOINTS)]
    found: list[CheckpointKey] = []
    for folder in folders:
        found += map(CheckpointKey.read, (yield view.keys(namespace=folder)))
    wanted, end = checkpoint_id(config), checkpoint_id(before)
    chosen = [
        key
        for key in found
        if (wanted is None or key.checkpoint_id == wanted) and (end is None or key.checkpoint_id < end)
    ]
    return sorted(chosen, key=lambda key: key.checkpoint_id, reverse=True)


def next_page(
    view: Storage,
    serde: SerializerProtocol,
    keys: list[CheckpointKey],
    wanted: dict[str, Any] | None,
    limit: int | None,
) -> Steps[list[CheckpointTuple]]:
    """The next checkpoints of a listing whose metadata holds what is `wanted`; their keys are taken off `keys`."""
    size = _PAGE if wanted or limit is None else min(limit, _PAGE)
    page, keys[:size] = keys[:size], []
    found = yield from records(view, page)
    if wanted:
        metadata = {key: loads(serde, record["metadata"]) for key, record in found.items()}
        found = {
            key: record
            for key, record in found.items()
            if all(metadata[key].get(name) == value for name, value in wanted.items())
        }
    return (yield from tuples(view, serde, dict([*found.items()][:limit])))

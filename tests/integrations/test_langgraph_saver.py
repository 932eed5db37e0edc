"""LangGraph's saver over ours: what the conformance suite doesn't ask."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    Checkpoint,
    CheckpointMetadata,
    empty_checkpoint,
)
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT
from rrag_storage import CorruptedDataError, ManualClock, ObjectStorage, Storage
from rrag_storage.integrations.langgraph import RragSaver

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_core.runnables import RunnableConfig
    from rrag_storage import MemoryEntry


def config(thread: str = "t", namespace: str = "", checkpoint_id: str | None = None) -> RunnableConfig:
    found: dict[str, Any] = {"thread_id": thread, "checkpoint_ns": namespace}
    if checkpoint_id:
        found["checkpoint_id"] = checkpoint_id
    return {"configurable": found}


def checkpoint(number: int, values: dict[str, Any], versions: dict[str, Any]) -> Checkpoint:
    return {**empty_checkpoint(), "id": f"{number:04}", "channel_values": values, "channel_versions": versions}


def put(
    saver: RragSaver,
    after: RunnableConfig,
    number: int,
    values: dict[str, Any] | None = None,
    new: tuple[str, ...] = (),
    metadata: CheckpointMetadata | None = None,
) -> RunnableConfig:
    """Stores checkpoint `number`, with version `number` of what is new and version 1 of the rest."""
    values = values or {}
    versions: dict[str, Any] = {channel: number if channel in new else 1 for channel in values} | dict.fromkeys(
        new, number
    )
    made = checkpoint(number, values, versions)
    return saver.put(after, made, metadata or {"step": number}, dict.fromkeys(new, number))


def stored(storage: Storage, kind: str) -> list[MemoryEntry]:
    return [entry for entry in storage.sync.entries() if entry.key.split("::")[2] == kind]


def values(saver: RragSaver, which: RunnableConfig) -> dict[str, Any]:
    found = saver.get_tuple(which)
    assert found is not None
    return found.checkpoint["channel_values"]


def ids(saver: RragSaver, *args: Any, **options: Any) -> list[str]:
    return [found.checkpoint["id"] for found in saver.list(*args, **options)]


def test_unchanged_values_are_written_once(any_storage: Storage) -> None:
    saver = RragSaver(any_storage)
    large = "x" * 10_000
    at = put(saver, config(), 1, {"doc": large, "step": 1}, ("doc", "step"))
    for number in range(2, 6):
        at = put(saver, at, number, {"doc": large, "step": number}, ("step",))
    assert values(saver, config()) == {"doc": large, "step": 5}
    assert values(saver, config(checkpoint_id="0002")) == {"doc": large, "step": 2}
    assert len(stored(any_storage, "b")) == 6
    assert sum(entry.size_bytes > 10_000 for entry in any_storage.sync.entries()) == 1


def test_values_without_a_blob_are_kept_inline(any_storage: Storage) -> None:
    saver = RragSaver(any_storage)
    at = put(saver, config(), 1, {"moved": "in", "none": None})
    assert values(saver, at) == {"moved": "in", "none": None}
    at = put(saver, at, 2, {"moved": "in", "none": None, "new": 1}, ("new",))
    assert values(saver, at) == {"moved": "in", "none": None, "new": 1}
    # A parent that is not there has no values to share.
    at = put(saver, config(checkpoint_id="9999"), 3, {"new": 2})
    assert values(saver, at) == {"new": 2}


def test_missing_and_none_differ(any_storage: Storage) -> None:
    saver = RragSaver(any_storage)
    at = put(saver, config(), 1, {"none": None}, ("none", "emptied"))
    assert values(saver, at) == {"none": None}
    at = put(saver, at, 2, {}, ("none",))
    assert values(saver, at) == {}


def test_forks_share_no_versions(any_storage: Storage) -> None:
    saver = RragSaver(any_storage)
    first = saver.get_next_version(None, None)
    assert len({saver.get_next_version(first, None) for _ in range(100)}) == 100
    versions = [first]
    for _ in range(12):
        versions.append(saver.get_next_version(versions[-1], None))
    assert versions == sorted(versions)
    assert saver.get_next_version(41, None).startswith("0" * 30 + "42.")  # type: ignore[arg-type]  # an older saver's
    made = checkpoint(1, {"c": 0}, {"c": first})
    root = saver.put(config(), made, {}, {"c": first})
    forks = []
    for number in (2, 3):
        version = saver.get_next_version(first, None)
        forks.append(saver.put(root, checkpoint(number, {"c": number}, {"c": version}), {}, {"c": version}))
    assert [values(saver, fork)["c"] for fork in forks] == [2, 3]


def test_places_never_meet(any_storage: Storage) -> None:
    saver = RragSaver(any_storage)
    places = [("a", ""), ("a::b", ""), ("a", "b"), ("a", "b::c"), ("a:", "b"), ("", ""), ("c", "c"), ("a", "%")]
    for number, (thread, namespace) in enumerate(places):
        at = put(saver, config(thread, namespace), 1, {"v": number}, ("v",))
        saver.put_writes(at, [("w", number)], "task::1")
    for number, (thread, namespace) in enumerate(places):
        found = saver.get_tuple(config(thread, namespace))
        assert found is not None
        assert found.checkpoint["channel_values"] == {"v": number}
        assert found.pending_writes == [("task::1", "w", number)]
        assert found.config == config(thread, namespace, "0001")
    assert len(ids(saver, {"configurable": {"thread_id": "a"}})) == 4
    assert len(ids(saver, None)) == len(places)
    saver.delete_thread("a")
    left = {entry.key.split("::")[1] for entry in any_storage.sync.entries()}
    assert left == {"a%3A%3Ab", "a%3A", "%", "c"}


def test_writes_are_stored_once_and_in_order(any_storage: Storage) -> None:
    saver = RragSaver(any_storage)
    at = put(saver, config(), 1)
    saver.put_writes(at, [("a", number) for number in range(12)], "task-1", "~__pregel_pull, b")
    saver.put_writes(at, [("b", 1), ("b", None)], "task-2", "~__pregel_pull, a")
    saver.put_writes(at, [("b", 2), ("b", 2), ("b", 3)], "task-2", "~__pregel_pull, a")
    saver.put_writes(at, [(ERROR, "first")], "task-3")
    saver.put_writes(at, [(ERROR, "second"), (INTERRUPT, "i"), ("c", 1), ("c", 2)], "task-3")
    found = saver.get_tuple(at)
    assert found is not None
    assert found.pending_writes == [
        ("task-3", INTERRUPT, "i"),
        ("task-3", ERROR, "second"),
        ("task-3", "c", 1),
        ("task-3", "c", 2),
        ("task-2", "b", 1),
        ("task-2", "b", None),
        ("task-2", "b", 3),
        *(("task-1", "a", number) for number in range(12)),
    ]
    assert "task_path" in inspect.signature(saver.put_writes).parameters
    assert "task_path" in inspect.signature(saver.aput_writes).parameters


async def test_lists_in_pages(any_storage: Storage) -> None:
    saver = RragSaver(any_storage)
    at = config()
    for number in range(200):
        at = put(
            saver, at, number, {"v": number}, ("v",), {"step": number, "source": "loop" if number % 3 else "input"}
        )
        await saver.aput_writes(at, [("w", number)], "task")
        put(saver, config(namespace="inner"), number)
        put(saver, config("other"), number)
    newest = [f"{number:04}" for number in reversed(range(200))]
    found = [one async for one in saver.alist(config())]
    assert [one.checkpoint["id"] for one in found] == newest
    for one, number in zip(found, reversed(range(200)), strict=True):
        assert one.checkpoint["channel_values"] == {"v": number}
        assert one.pending_writes == [("task", "w", number)]
        assert one.parent_config == (config(checkpoint_id=f"{number - 1:04}") if number else None)
    assert ids(saver, config(), limit=70, before=config(checkpoint_id="0190")) == newest[10:80]
    assert (
        ids(saver, config(), filter={"source": "input"}, limit=40) == [one for one in newest if int(one) % 3 == 0][:40]
    )
    assert ids(saver, config(checkpoint_id="0007")) == ["0007"]
    assert ids(saver, config(), limit=0) == []
    assert ids(saver, {"configurable": {"thread_id": "t"}}, limit=4) == ["0199", "0199", "0198", "0198"]
    assert len(ids(saver, None)) == 600
    assert ids(saver, None, filter={"source": "input", "step": 3}) == ["0003"]


def delta_thread(saver: RragSaver) -> None:
    """Checkpoints 1 to 5 in a row, channel `d` with a value at 2, and each with a write to it; a fork 6 from 3."""
    at = config()
    for number in range(1, 6):
        metadata: CheckpointMetadata = {"step": number, "counters_since_delta_snapshot": {"d": (1, 1)}}
        has_value = ({"d": "at 2"}, ("d",)) if number == 2 else ({}, ("d",))
        at = put(saver, at, number, *has_value, metadata)
        saver.put_writes(at, [("d", f"after {number}"), ("e", number)], "task")
    at = put(saver, config(checkpoint_id="0003"), 6, {}, ("d",), {"counters_since_delta_snapshot": {"d": (2, 2)}})
    saver.put_writes(at, [("d", "in the fork")], "task")


async def test_delta_history(any_storage: Storage) -> None:
    saver = RragSaver(any_storage)
    delta_thread(saver)
    wanted = {
        "d": {"writes": [("task", "d", "after 2"), ("task", "d", "after 3")], "seed": "at 2"},
        "e": {"writes": [("task", "e", number) for number in (1, 2, 3)]},
        "none": {"writes": []},
    }
    for which in (config(checkpoint_id="0006"), config()):
        given: dict[str, Any] = {"config": which, "channels": ["d", "e", "none"]}
        assert saver.get_delta_channel_history(**given) == wanted
        assert await saver.aget_delta_channel_history(**given) == wanted
        assert BaseCheckpointSaver.get_delta_channel_history(saver, **given) == wanted
    assert saver.get_delta_channel_history(config=config(), channels=[]) == {}
    assert saver.get_delta_channel_history(config=config("no"), channels=["d"]) == {"d": {"writes": []}}


def test_delta_history_of_parents_in_a_circle(any_storage: Storage) -> None:
    saver = RragSaver(any_storage)
    put(saver, config(checkpoint_id="0003"), 1)
    put(saver, config(checkpoint_id="0001"), 2)
    at = put(saver, config(checkpoint_id="0002"), 3)
    saver.put_writes(at, [("d", 3)], "task")
    history = saver.get_delta_channel_history(config=at, channels=["d"])
    assert history == {"d": {"writes": [("task", "d", 3)]}}


def test_delta_history_is_long(any_storage: Storage) -> None:
    saver = RragSaver(any_storage)
    at = config()
    for number in range(300):
        at = put(saver, at, number)
        saver.put_writes(at, [("d", number)], "task")
    history = saver.get_delta_channel_history(config=at, channels=["d"])
    assert [value for _, _, value in history["d"]["writes"]] == list(range(299))


def test_an_expired_line_is_not_taken_for_a_short_one(any_storage: Storage, clock: ManualClock) -> None:
    saver = RragSaver(any_storage, ttl=10)
    first = put(saver, config(), 1, {"d": "value"}, ("d",))
    clock.advance(6)
    second = put(saver, first, 2, {}, ("d",))
    assert saver.get_delta_channel_history(config=second, channels=["d"])["d"]["seed"] == "value"
    clock.advance(6)
    with pytest.raises(CorruptedDataError, match="longer ttl"):
        saver.get_delta_channel_history(config=second, channels=["d"])


def test_a_checkpoint_lives_with_its_values(any_storage: Storage, clock: ManualClock) -> None:
    saver = RragSaver(any_storage, ttl=10)
    at = put(saver, config(), 1, {"doc": "text"}, ("doc",))
    for number in range(2, 6):
        clock.advance(6)
        at = put(saver, at, number, {"doc": "text"})
    assert values(saver, config()) == {"doc": "text"}
    assert ids(saver, config()) == ["0005", "0004"]
    clock.advance(10)
    assert saver.get_tuple(config()) is None
    assert any_storage.sync.count() == 0


def test_pruning_keeps_what_is_needed(any_storage: Storage) -> None:
    saver = RragSaver(any_storage)
    delta_thread(saver)
    put(saver, config("other"), 1, {"v": 1}, ("v",))
    given: dict[str, Any] = {"config": config(checkpoint_id="0006"), "channels": ["d"]}
    before = saver.get_delta_channel_history(**given)
    saver.prune(["t", "missing"])
    assert ids(saver, config()) == ["0006", "0003", "0002"]
    assert saver.get_delta_channel_history(**given) == before
    assert len(stored(any_storage, "w")) == 5
    at = put(saver, config(checkpoint_id="0006"), 7, {"d": "anew"}, ("d",))
    saver.prune(["t"], strategy="keep_latest")
    assert ids(saver, config()) == ["0007"]
    assert values(saver, at) == {"d": "anew"}
    assert [entry.key.rpartition("::")[2] for entry in stored(any_storage, "b")] == ["1", "7"]
    with pytest.raises(ValueError, match="keep_latest"):
        saver.prune(["t"], strategy="keep_all")
    saver.prune(["t"], strategy="delete")
    assert ids(saver, None) == ["0001"]
    assert any_storage.sync.count() == 2


def test_deleting_runs_keeps_shared_values(any_storage: Storage) -> None:
    saver = RragSaver(any_storage)
    first = put(saver, config(), 1, {"shared": "s", "own": 1}, ("shared", "own"), {"run_id": "one"})
    saver.put_writes(first, [("w", 1)], "task")
    second = put(saver, first, 2, {"shared": "s", "own": 2}, ("own",), {"run_id": "two"})
    put(saver, config("other"), 1, {}, (), {"run_id": "one"})
    saver.delete_for_runs(["one", "missing"])
    assert ids(saver, None) == ["0002"]
    assert values(saver, second) == {"shared": "s", "own": 2}
    assert stored(any_storage, "w") == []
    assert len(stored(any_storage, "b")) == 2


async def test_copying_a_thread(any_storage: Storage) -> None:
    saver = RragSaver(any_storage)
    delta_thread(saver)
    put(saver, config(namespace="inner"), 1, {"v": 1}, ("v",))
    await saver.acopy_thread("t", "copy::1")
    saver.delete_thread("t")
    assert len(ids(saver, {"configurable": {"thread_id": "copy::1"}})) == 7
    history = saver.get_delta_channel_history(config=config("copy::1"), channels=["d"])
    assert history["d"]["seed"] == "at 2"
    await saver.acopy_thread("copy::1", "copy::1")
    assert values(saver, config("copy::1", "inner")) == {"v": 1}


def test_what_cant_be_read_raises(any_storage: Storage) -> None:
    saver = RragSaver(any_storage)
    at = put(saver, config(), 1, {"v": 1}, ("v",))
    (blob,) = (entry.key for entry in stored(any_storage, "b"))
    any_storage.sync.set(blob, ("pickle", b"cos\nsystem\n(S'true'\ntR."))
    with pytest.raises(NotImplementedError, match="pickle"):
        saver.get_tuple(at)
    any_storage.sync.set(blob, None)
    with pytest.raises(CorruptedDataError, match="NoneType"):
        saver.get_tuple(config())
    any_storage.sync.delete(blob)
    with pytest.raises(CorruptedDataError, match="'v', which is not there"):
        list(saver.list(config()))


async def test_without_transactions(tmp_path: Path) -> None:
    async with ObjectStorage(f"file://{tmp_path}") as storage:
        saver = RragSaver(storage)
        at = await saver.aput(config(), checkpoint(1, {"v": 1}, {"v": 1}), {}, {"v": 1})
        for _ in range(2):
            await saver.aput_writes(at, [("a", 1), ("a", 2), (ERROR, "e")], "task")
        found = await saver.aget_tuple(config())
        assert found is not None
        assert found.checkpoint["channel_values"] == {"v": 1}
        assert found.pending_writes == [("task", ERROR, "e"), ("task", "a", 1), ("task", "a", 2)]
        await saver.adelete_thread("t")
        assert await storage.count() == 0

"""Copying between storages: what comes along, what is left, and going on after a failure."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from rrag_storage import (
    CopyProgress,
    DatabaseStorage,
    InMemoryStorage,
    LimitExceededError,
    ManualClock,
    MemoryQuery,
    Storage,
    StorageClosedError,
    connect,
    copy,
)
from rrag_storage.testing import asynchronous, cases, same


async def everything(storage: Storage) -> list[tuple[Any, ...]]:
    return [
        (entry.key, entry.kind, entry.created_at, entry.updated_at, entry.expires_at, entry.version, entry.size_bytes)
        async for entry in storage.entries()
    ]


@asynchronous
async def test_values_times_and_versions_come_along(tmp_path: Path) -> None:
    clock = ManualClock()
    source = InMemoryStorage(clock=clock)
    for number, case in enumerate(cases.VALUES):
        await source.set(f"values::{number:04}", case.value)
        clock.advance(1)
    for number, key in enumerate(cases.KEYS):
        await source.set(key, number, ttl=1_000 + number)
    await source.set("values::0000", "again")
    async with DatabaseStorage(f"sqlite:{tmp_path}/a.db", clock=clock) as target:
        await target.set("values::0000", "older, and to give way")
        done = await copy(source, target)
        assert (done.copied, done.skipped) == (await source.count(), 0)
        assert await everything(target) == await everything(source)
        for number, case in enumerate(cases.VALUES[1:], start=1):
            assert same(await target.get(f"values::{number:04}"), case.value), case.name
        clock.advance(1_000.5)
        assert await target.exists(cases.KEYS[0]) is False
        assert await target.exists(cases.KEYS[1]) is True


@asynchronous
async def test_a_second_copy_writes_what_changed() -> None:
    source, target = InMemoryStorage(), InMemoryStorage()
    await source.mset({f"key{number:04}": number for number in range(1_000)})
    assert await copy(source, target) == CopyProgress(1_000, 0, "key0999")
    await source.set("key0500", "changed")
    await source.expire("key0600", 50)
    await source.set("new", 1)
    await target.set("key0700", "changed here")
    await target.delete("key0800")
    await target.set("other", "stays")
    assert await copy(source, target, page_size=7) == CopyProgress(5, 996, "new")
    assert await target.mget(["key0500", "key0700", "key0800", "other"]) == ["changed", 700, 800, "stays"]
    left = await target.ttl("key0600")
    assert left is not None
    assert left <= 50


@asynchronous
async def test_what_is_there_stays_where_nothing_is_overwritten() -> None:
    source, target = InMemoryStorage(), InMemoryStorage()
    await source.mset({"a": 1, "b": 2, "c": 3})
    await target.set("b", "mine")
    assert await copy(source, target, overwrite=False) == CopyProgress(2, 1, "c")
    assert await target.mget(["a", "b", "c"]) == [1, "mine", 3]


@asynchronous
async def test_a_query_filters_and_views_choose() -> None:
    source, target = InMemoryStorage(), InMemoryStorage()
    await source.mset({"docs::a": 1, "docs::b": 2, "docs::old::c": 3, "users::ada": 4, "plain": 5})
    await copy(source, target, MemoryQuery().with_namespace("docs").with_limit(2))
    assert await target.keys() == ["docs::a", "docs::b"]
    await target.clear()
    await copy(source, target, pattern="*::a*", after="docs::a")
    assert await target.keys() == ["users::ada"]
    await target.clear()
    await copy(source.namespace("docs"), target.namespace("kept"))
    assert await target.keys() == ["kept::a", "kept::b", "kept::old::c"]
    with pytest.raises(TypeError):
        await copy(source, target, MemoryQuery(), prefix="a")
    with pytest.raises(TypeError):
        await copy(source, target, colour="red")


@asynchronous
async def test_within_one_storage() -> None:
    storage = InMemoryStorage()
    await storage.mset({"docs::a": 1, "docs::b": 2, "users::ada": 3})
    assert (await copy(storage.namespace("docs"), storage.namespace("backup"))).copied == 2
    assert await storage.keys() == ["backup::a", "backup::b", "docs::a", "docs::b", "users::ada"]
    assert await copy(storage, storage) == CopyProgress(0, 5, "users::ada")
    with pytest.raises(ValueError, match="lies in the other"):
        await copy(storage, storage.namespace("backup"))
    with pytest.raises(ValueError, match="lies in the other"):
        await copy(storage.namespace("docs"), storage)
    assert await storage.count() == 5


@pytest.mark.parametrize("awaitable", [False, True])
@asynchronous
async def test_progress_is_told_after_each_page(awaitable: bool) -> None:
    source, target = InMemoryStorage(), InMemoryStorage()
    await source.mset({f"{number}": number for number in range(10)})
    seen: list[tuple[CopyProgress, int]] = []

    def tell(progress: CopyProgress) -> Any:
        if not awaitable:
            return seen.append((progress, 0))

        async def later() -> None:
            seen.append((progress, await target.count()))

        return later()

    done = await copy(source, target, progress=tell, page_size=4)
    assert [progress for progress, _ in seen] == [
        CopyProgress(4, 0, "3"),
        CopyProgress(8, 0, "7"),
        CopyProgress(10, 0, "9"),
    ]
    assert seen[-1][0] == done
    if awaitable:
        assert [count for _, count in seen] == [4, 8, 10]


@asynchronous
async def test_a_copy_that_failed_goes_on_where_it_was() -> None:
    source, target = InMemoryStorage(), InMemoryStorage(max_keys=250)
    await source.mset({f"key{number:04}": number for number in range(1_000)})
    seen: list[CopyProgress] = []
    with pytest.raises(LimitExceededError):
        await copy(source, target, progress=seen.append, page_size=100)
    assert seen[-1] == CopyProgress(200, 0, "key0199")
    assert await target.count() == 200
    larger = InMemoryStorage()
    await copy(target, larger)
    assert await copy(source, larger, after=seen[-1].last_key) == CopyProgress(800, 0, "key0999")
    assert await everything(larger) == await everything(source)

    def fail(_: CopyProgress) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        await copy(source, InMemoryStorage(), progress=fail)


@asynchronous
async def test_a_cancelled_copy_leaves_whole_pages(tmp_path: Path) -> None:
    async with connect(f"sqlite:{tmp_path}/a.db") as target:
        source = InMemoryStorage()
        await source.mset({f"key{number:04}": number for number in range(2_000)})
        paged = asyncio.Event()
        task = asyncio.create_task(copy(source, target, progress=lambda _: paged.set(), page_size=50))
        await paged.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        there = await target.count()
        assert there % 50 == 0
        assert there >= 50
        done = await copy(source, target)
        # A page that was under way when the copy was cancelled may have been written after it was counted.
        assert done.copied + done.skipped == 2_000
        assert done.skipped >= there
        assert await everything(target) == await everything(source)


@asynchronous
async def test_arguments_that_are_refused() -> None:
    storage, closed = InMemoryStorage(), InMemoryStorage()
    await storage.set("a", 1)
    await closed.close()
    for source, target in ((storage.sync, storage), (storage, {}), (None, storage), ("memory://", storage)):
        with pytest.raises(TypeError):
            await copy(source, target)  # type: ignore[arg-type]  # what is tested
    for options in ({"page_size": 0}, {"page_size": -1}):
        with pytest.raises(ValueError, match="page_size"):
            await copy(storage, InMemoryStorage(), **options)  # type: ignore[arg-type]  # what is tested
    for options in ({"page_size": 1.5}, {"progress": 5}, {"overwrite": "no"}):
        with pytest.raises(TypeError):
            await copy(storage, InMemoryStorage(), **options)  # type: ignore[arg-type]  # what is tested
    with pytest.raises(StorageClosedError):
        await copy(storage, closed)
    with pytest.raises(StorageClosedError):
        await copy(closed, storage)


@asynchronous
async def test_nothing_to_copy() -> None:
    assert await copy(InMemoryStorage(), InMemoryStorage()) == CopyProgress()

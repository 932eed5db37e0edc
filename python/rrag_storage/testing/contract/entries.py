"""Entries with their times, versions and sizes, and the figures of a storage."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from rrag_storage import MemoryEntry, MemoryStats, Storage
from rrag_storage.testing.capabilities import requires
from rrag_storage.testing.loops import asynchronous

from .base import Contract

if TYPE_CHECKING:
    from collections.abc import Callable

    from rrag_storage import ManualClock

TICK = timedelta(milliseconds=1)


def is_utc(when: datetime) -> bool:
    """Whether `when` is an aware datetime of UTC."""
    return type(when) is datetime and when.utcoffset() == timedelta(0)


class Entries(Contract):
    """`get_entry`, `get_entries`, `entries` and `stats`."""

    @asynchronous
    async def test_an_entry_has_everything(self, storage: Storage, clock: ManualClock) -> None:
        start = clock.now()
        await storage.set("key", {"a": 1})
        entry = await storage.get_entry("key")
        assert isinstance(entry, MemoryEntry)
        assert entry.key == "key"
        assert entry.value == {"a": 1}
        assert entry.kind == "map"
        assert entry.expires_at is None
        assert type(entry.version) is int
        assert 0 < entry.version < 2**64
        assert type(entry.size_bytes) is int
        assert 0 < entry.size_bytes < 1_000
        assert is_utc(entry.created_at)
        assert is_utc(entry.updated_at)
        assert abs(entry.created_at - start) <= TICK
        assert abs(entry.updated_at - start) <= TICK

    @asynchronous
    async def test_a_missing_key_has_no_entry(self, storage: Storage) -> None:
        assert await storage.get_entry("missing") is None

    @asynchronous
    async def test_an_expiry_is_shown(self, storage: Storage, clock: ManualClock) -> None:
        await storage.set("key", 1, ttl=90)
        entry = await storage.get_entry("key")
        assert is_utc(entry.expires_at)
        assert abs(entry.expires_at - (clock.now() + timedelta(seconds=90))) <= TICK

    @asynchronous
    async def test_an_overwrite_keeps_the_creation(self, storage: Storage, clock: ManualClock) -> None:
        start = clock.now()
        await storage.set("key", 1)
        versions = {(await storage.get_entry("key")).version}
        writes: list[tuple[str, Callable[[], object]]] = [
            ("set", lambda: storage.set("key", 2)),
            ("mset", lambda: storage.mset({"key": 3})),
            ("increment", lambda: storage.increment("key")),
            ("expire", lambda: storage.expire("key", 10_000)),
            ("get with refresh_ttl", lambda: storage.get("key", refresh_ttl=20_000)),
            ("mget with refresh_ttl", lambda: storage.mget(["key"], refresh_ttl=30_000)),
            ("persist", lambda: storage.persist("key")),
        ]
        for number, (name, write) in enumerate(writes, 1):
            clock.advance(10)
            await write()  # type: ignore[misc]
            entry = await storage.get_entry("key")
            assert abs(entry.created_at - start) <= TICK, name
            assert abs(entry.updated_at - (start + timedelta(seconds=10 * number))) <= TICK, name
            assert entry.version not in versions, name
            versions.add(entry.version)
        assert await storage.compare_and_set("key", 9, entry.version) is True
        assert abs((await storage.get_entry("key")).created_at - start) <= TICK
        assert (await storage.get_entry("key")).version not in versions

    @requires("listings")
    @asynchronous
    async def test_a_read_changes_nothing(self, storage: Storage, clock: ManualClock) -> None:
        await storage.set("key", 1)
        before = await storage.get_entry("key")
        clock.advance(10)
        await storage.get("key")
        await storage.mget(["key"])
        await storage.exists("key")
        await storage.ttl("key")
        assert [entry async for entry in storage.entries()] == [before]
        assert await storage.get_entry("key") == before

    @asynchronous
    async def test_a_deleted_key_is_created_anew(self, storage: Storage, clock: ManualClock) -> None:
        for delete in (storage.delete, storage.pop, lambda key: storage.mdelete([key]), lambda _: storage.clear()):
            await storage.set("key", 1)
            old = await storage.get_entry("key")
            await delete("key")
            clock.advance(10)
            await storage.set("key", 1)
            new = await storage.get_entry("key")
            assert abs(new.created_at - clock.now()) <= TICK
            assert new.version != old.version

    @requires("listings")
    @asynchronous
    async def test_versions_are_distinct(self, storage: Storage) -> None:
        await storage.mset({f"key-{number:03}": 0 for number in range(500)})
        versions = [entry.version async for entry in storage.entries()]
        assert len(set(versions)) == 500
        assert max(versions) - min(versions) > 500

    @asynchronous
    async def test_get_entries(self, storage: Storage) -> None:
        await storage.mset({"a": 1, "b": "two"})
        entries = await storage.get_entries(["b", "missing", "a", "b"])
        assert [entry and entry.key for entry in entries] == ["b", None, "a", "b"]
        assert [entry and entry.value for entry in entries] == ["two", None, 1, "two"]
        assert entries[0] == await storage.get_entry("b")
        assert await storage.get_entries([]) == []

    @asynchronous
    async def test_entries_compare_by_all_they_have(self, storage: Storage) -> None:
        await storage.set("key", [1])
        one, other = await storage.get_entry("key"), await storage.get_entry("key")
        assert one == other
        assert one == one  # noqa: PLR0124  # equality with itself is what is tested
        await storage.set("key", [1])
        assert one != await storage.get_entry("key")
        assert one != "key"

    @asynchronous
    async def test_the_size_is_that_of_the_value(self, storage: Storage) -> None:
        sizes = []
        for length in (0, 1_000, 100_000):
            await storage.set("key", b"x" * length)
            sizes.append((await storage.get_entry("key")).size_bytes)
        assert 1_000 <= sizes[1] - sizes[0] < 1_100
        assert 99_000 <= sizes[2] - sizes[1] < 99_100

    @pytest.mark.parametrize("attribute", ["key", "value", "created_at", "version"])
    @asynchronous
    async def test_an_entry_is_not_to_be_changed(self, storage: Storage, attribute: str) -> None:
        await storage.set("key", 1)
        entry = await storage.get_entry("key")
        with pytest.raises(AttributeError):
            setattr(entry, attribute, None)

    @asynchronous
    async def test_an_entry_outlives_its_storage(self, make_storage: Callable[[], Storage]) -> None:
        async with make_storage() as storage:
            await storage.set("key", {"a": [1]})
            entry = await storage.get_entry("key")
            await storage.clear()
        assert entry.value == {"a": [1]}
        assert entry.key == "key"

    @asynchronous
    async def test_stats_of_nothing(self, storage: Storage) -> None:
        stats = await storage.stats()
        assert isinstance(stats, MemoryStats)
        assert stats.total_keys == 0
        assert stats.namespace_count == 0
        assert stats.backend_type == storage.backend_name
        assert type(stats.memory_bytes) is int
        assert stats.memory_bytes >= 0
        assert is_utc(stats.last_updated)
        assert type(stats.extra) is dict
        assert all(type(name) is str and type(figure) is float for name, figure in stats.extra.items())

    @requires("listings")
    @asynchronous
    async def test_stats_count(self, storage: Storage) -> None:
        await self.fill(storage, {"plain": 1, "users::ada": 2, "users::ada::notes": 3, "docs::a": 4, "::x": 5})
        stats = await storage.stats()
        assert stats.total_keys == 5
        assert stats.namespace_count == 3
        await storage.clear("users")
        stats = await storage.stats()
        assert stats.total_keys == 3
        assert stats.namespace_count == 2

    @requires("stored_in_full")
    @asynchronous
    async def test_memory_bytes_follow_the_data(self, storage: Storage) -> None:
        async def grown_to(wanted: int) -> int:
            # A server may take its own figures every some seconds only.
            deadline = time.monotonic() + 60
            while (held := (await storage.stats()).memory_bytes) < wanted and time.monotonic() < deadline:
                await asyncio.sleep(0.05)
            assert held >= wanted
            return held

        await storage.mset({f"key-{number}": b"x" * 10_000 for number in range(200)})
        full = await grown_to(2_000_000)
        await storage.mset({f"more-{number}": b"x" * 10_000 for number in range(200)})
        await grown_to(full + 1_500_000)

    @asynchronous
    async def test_figures_of_the_calls(self, storage: Storage) -> None:
        before = (await storage.stats()).extra
        await self.fill(storage, {"a": 1, "b": 2})
        assert [await storage.get("a"), await storage.get("none"), await storage.get("none", 5)] == [1, None, 5]
        assert await storage.mget(["a", "none", "b"]) == [1, None, 2]
        assert await storage.get_value("b") is not None
        assert await storage.get_entry("none") is None
        assert [entry is None for entry in await storage.get_entries(["a", "none"])] == [False, True]
        assert [await storage.pop("b"), await storage.pop("b")] == [2, None]
        await storage.set("text", "x")
        with pytest.raises(TypeError):
            await storage.increment("text")
        after = (await storage.stats()).extra
        grown = {name: figure - before.get(name, 0.0) for name, figure in after.items()}
        assert (grown["hits"], grown["misses"]) == (6.0, 6.0)
        assert (grown["get.calls"], grown["get.errors"]) == (3.0, 0.0)
        assert (grown["increment.calls"], grown["increment.errors"]) == (1.0, 1.0)
        assert grown["stats.calls"] == 1.0
        quantiles = [after[f"stats.{quantile}_seconds"] for quantile in ("p50", "p90", "p99", "max")]
        assert quantiles[0] > 0
        assert quantiles == sorted(quantiles)
        assert "rotate.calls" not in after

    @asynchronous
    async def test_last_updated_is_when_the_figures_were_taken(self, storage: Storage, clock: ManualClock) -> None:
        before = datetime.now(timezone.utc) - TICK
        first = (await storage.stats()).last_updated
        after = datetime.now(timezone.utc) + TICK
        assert before <= first <= after or abs(first - clock.now()) <= TICK

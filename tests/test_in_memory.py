"""The contract on `InMemoryStorage`, its limits, its eviction, and that its figures are true."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from rrag_storage import InMemoryConfig, InMemoryStorage, LimitExceededError, ManualClock, Storage, StorageError
from rrag_storage.testing import StorageContract, asynchronous, in_threads
from support import run_script

if TYPE_CHECKING:
    from collections.abc import Callable


class TestInMemory(StorageContract):
    """The contract."""

    @pytest.fixture
    def make_storage(self, clock: ManualClock) -> Callable[[], Storage]:
        return lambda: InMemoryStorage(clock=clock)


WRITES: dict[str, Callable[[Any], Any]] = {
    "set": lambda storage: storage.set("new", 1),
    "mset": lambda storage: storage.mset({"a": 9, "new": 1}),
    "set_if_absent": lambda storage: storage.set_if_absent("new", 1),
    "increment": lambda storage: storage.increment("new"),
}


class TestMaxKeys:
    """`max_keys` without eviction."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    def full(self, clock: ManualClock) -> InMemoryStorage:
        storage = InMemoryStorage(max_keys=3, clock=clock)
        storage.sync.mset({"a": 1, "b": 2, "c": 3})
        return storage

    @pytest.mark.parametrize("write", WRITES)
    @asynchronous
    async def test_a_write_past_it_changes_nothing(self, full: InMemoryStorage, write: str) -> None:
        before = [entry async for entry in full.entries()]
        with pytest.raises(LimitExceededError, match="max_keys") as refused:
            await WRITES[write](full)
        assert isinstance(refused.value, StorageError)
        assert refused.value.retryable is False
        assert [entry async for entry in full.entries()] == before

    @asynchronous
    async def test_a_transaction_past_it_changes_nothing(self, full: InMemoryStorage) -> None:
        with pytest.raises(LimitExceededError):
            async with full.transaction() as tx:
                await tx.set("a", 9)
                await tx.set("new", 1)
        assert await full.mget(["a", "new"]) == [1, None]
        async with full.transaction() as tx:
            await tx.delete("a")
            await tx.set("new", 1)
        assert await full.keys() == ["b", "c", "new"]

    @asynchronous
    async def test_an_overwrite_at_it_is_fine(self, full: InMemoryStorage) -> None:
        await full.set("a", [1] * 100)
        await full.mset({"a": 1, "b": 1, "c": 1})
        await full.increment("a")
        assert await full.set_if_absent("a", 5) is False
        entry = await full.get_entry("b")
        assert await full.compare_and_set("b", 7, entry.version) is True
        async with full.transaction() as tx:
            await tx.mset({"a": 0, "c": 0})
        assert await full.mget(["a", "b", "c"]) == [0, 7, 0]

    @asynchronous
    async def test_what_goes_makes_room(self, full: InMemoryStorage, clock: ManualClock) -> None:
        await full.delete("a")
        await full.set("d", 4, ttl=10)
        with pytest.raises(LimitExceededError):
            await full.set("e", 5)
        clock.advance(11)
        await full.set("e", 5)
        assert await full.keys() == ["b", "c", "e"]
        await full.clear()
        await full.mset({"x": 1, "y": 2, "z": 3})
        assert await full.count() == 3

    @asynchronous
    async def test_views_share_it(self, full: InMemoryStorage) -> None:
        with pytest.raises(LimitExceededError):
            await full.namespace("view").set("new", 1)

    def test_many_threads_never_pass_it(self) -> None:
        storage = InMemoryStorage(max_keys=100)

        def work(thread: int) -> int:
            written = 0
            for number in range(100):
                try:
                    storage.sync.set(f"{thread}-{number}", number)
                except LimitExceededError:
                    continue
                written += 1
            return written

        assert sum(in_threads(4, work)) == 100
        assert storage.sync.count() == 100

    @asynchronous
    async def test_the_default_and_none(self) -> None:
        storage = InMemoryStorage()
        await storage.mset({str(number): 0 for number in range(100_000)})
        with pytest.raises(LimitExceededError):
            await storage.set("one more", 0)
        unlimited = InMemoryStorage.with_config(InMemoryConfig(max_keys=None, max_memory_bytes=None))
        await unlimited.mset({str(number): 0 for number in range(100_001)})
        assert await unlimited.count() == 100_001


class TestMaxMemoryBytes:
    """`max_memory_bytes` without eviction."""

    @asynchronous
    async def test_a_write_past_it_changes_nothing(self) -> None:
        storage = InMemoryStorage(max_memory_bytes=1_000_000)
        await storage.set("a", b"x" * 600_000)
        before = await storage.get_entry("a")
        for write in (
            storage.set("b", b"x" * 600_000),
            storage.set("a", b"x" * 1_200_000),
            storage.mset({"b": 1, "c": b"x" * 600_000}),
            storage.set_if_absent("b", b"x" * 600_000),
        ):
            with pytest.raises(LimitExceededError, match="max_memory_bytes"):
                await write
        assert await storage.keys() == ["a"]
        assert await storage.get_entry("a") == before
        await storage.set("a", b"x" * 900_000)
        await storage.delete("a")
        await storage.set("b", b"x" * 900_000)
        assert (await storage.stats()).memory_bytes <= 1_000_000

    @asynchronous
    async def test_small_entries_fill_it(self) -> None:
        storage = InMemoryStorage(max_memory_bytes=1_000_000)
        written = 0
        with pytest.raises(LimitExceededError):
            for written in range(100_000):
                await storage.set(f"key-{written}", "x" * 100)
        assert 2_000 < written < 10_000
        assert await storage.count() == written
        assert (await storage.stats()).memory_bytes <= 1_000_000
        await storage.clear()
        await storage.mset({f"key-{number}": "x" * 100 for number in range(written // 2)})


class TestEviction:
    """`eviction="lru"`."""

    @asynchronous
    async def test_the_least_recently_used_goes(self) -> None:
        storage = InMemoryStorage(max_keys=3, eviction="lru")
        await storage.mset({"a": 1, "b": 2})
        await storage.set("c", 3)
        assert await storage.get("a") == 1
        assert await storage.mget(["b"]) == [2]
        await storage.set("d", 4)
        assert await storage.keys() == ["a", "b", "d"]
        await storage.set("a", 5)
        await storage.set("e", 6)
        assert await storage.keys() == ["a", "d", "e"]
        await storage.increment("d")
        await storage.set("f", 7)
        assert await storage.keys() == ["d", "e", "f"]

    @asynchronous
    async def test_the_order_of_use_over_many_keys(self) -> None:
        storage = InMemoryStorage(max_keys=1_000, eviction="lru")
        for number in range(1_000):
            await storage.set(f"key-{number:04}", number)
        for number in range(0, 1_000, 2):
            await storage.get(f"key-{number:04}")
        for number in range(500):
            await storage.set(f"new-{number:03}", number)
        left = await storage.keys(prefix="key")
        assert left == [f"key-{number:04}" for number in range(0, 1_000, 2)]
        assert await storage.count() == 1_000

    @asynchronous
    async def test_memory_is_kept_below_its_limit(self) -> None:
        storage = InMemoryStorage(max_keys=None, max_memory_bytes=1_000_000, eviction="lru")
        for number in range(100):
            await storage.set(f"key-{number:02}", b"x" * 100_000)
            assert (await storage.stats()).memory_bytes <= 1_000_000
        left = await storage.keys()
        assert 5 <= len(left) <= 9
        assert left == [f"key-{number}" for number in range(100 - len(left), 100)]

    @asynchronous
    async def test_what_can_never_fit_evicts_nothing(self) -> None:
        storage = InMemoryStorage(max_keys=3, max_memory_bytes=1_000_000, eviction="lru")
        await storage.mset({"a": 1, "b": 2, "c": 3})
        with pytest.raises(LimitExceededError):
            await storage.set("d", b"x" * 2_000_000)
        with pytest.raises(LimitExceededError):
            await storage.mset({f"new-{number}": number for number in range(4)})
        assert await storage.mget(["a", "b", "c"]) == [1, 2, 3]

    @asynchronous
    async def test_a_write_never_evicts_its_own(self) -> None:
        storage = InMemoryStorage(max_keys=3, eviction="lru")
        await storage.mset({"a": 1, "b": 2, "c": 3})
        await storage.mset({"d": 4, "e": 5, "a": 6})
        assert await storage.keys() == ["a", "d", "e"]
        async with storage.transaction() as tx:
            await tx.mset({"x": 1, "y": 2, "z": 3})
        assert await storage.keys() == ["x", "y", "z"]

    @asynchronous
    async def test_the_expired_go_first(self) -> None:
        clock = ManualClock()
        storage = InMemoryStorage(max_keys=2, eviction="lru", clock=clock)
        await storage.set("old", 1)
        await storage.set("short", 2, ttl=10)
        clock.advance(11)
        await storage.set("new", 3)
        assert await storage.keys() == ["new", "old"]

    def test_many_threads(self) -> None:
        storage = InMemoryStorage(max_keys=50, eviction="lru")

        def work(thread: int) -> None:
            for number in range(300):
                storage.sync.set(f"{thread}-{number}", [thread, number])
                assert storage.sync.get(f"{thread}-{number}") in (None, [thread, number])
                assert storage.sync.count() <= 50

        in_threads(4, work)
        assert storage.sync.count() == 50


GROWTH = """
    import ctypes, gc, json, sys
    from rrag_storage import InMemoryStorage

    def resident():
        with open("/proc/self/statm") as figures:
            return int(figures.read().split()[1]) * 4096

    kind, count = sys.argv[1], int(sys.argv[2])
    storage = InMemoryStorage(max_keys=None, max_memory_bytes=None)
    sync = storage.sync
    if kind == "embeddings":
        import numpy
        vector = numpy.linspace(-1, 1, 1536, dtype="float32")
        make = lambda number: vector + number
    elif kind == "dicts":
        make = lambda number: {"title": f"Document {number}", "tags": ["a", "b"], "score": number / 7, "page": number}
    else:
        make = lambda number: f"value {number:08}"
    for number in range(200):
        sync.set(f"warm::{number:08}", make(number))
    sync.clear()
    sync.stats()
    gc.collect()
    # What the process holds free already would hide as much of its growth.
    getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)(0)
    before, counted = resident(), sync.stats().memory_bytes
    for number in range(count):
        sync.set(f"{kind}::{number:08}", make(number))
    stats = sync.stats()
    print(json.dumps({"grown": resident() - before, "counted": stats.memory_bytes - counted, "keys": stats.total_keys}))
"""


class TestMemoryAccounting:
    """`memory_bytes` is what the process grew by, within a fifth."""

    @pytest.mark.parametrize(
        ("kind", "count"),
        [
            ("strings", 10_000),
            ("strings", 200_000),
            ("dicts", 10_000),
            ("dicts", 100_000),
            ("embeddings", 10_000),
            ("embeddings", 20_000),
        ],
    )
    def test_memory_bytes_is_true(self, kind: str, count: int) -> None:
        measured = json.loads(run_script(GROWTH, kind, count))
        assert measured["keys"] == count
        assert 0.8 <= measured["counted"] / measured["grown"] <= 1.2, measured

    def test_overwrites_and_deletes_are_counted(self) -> None:
        storage = InMemoryStorage().sync
        empty = storage.stats().memory_bytes
        for number in range(1_000):
            storage.set(f"key-{number}", b"x" * 1_000)
        filled = storage.stats().memory_bytes
        for _ in range(3):
            for number in range(1_000):
                storage.set(f"key-{number}", b"y" * 1_000)
        assert storage.stats().memory_bytes == pytest.approx(filled, rel=0.2)
        for number in range(1_000):
            storage.set(f"key-{number}", b"")
        assert storage.stats().memory_bytes < filled / 2
        storage.clear()
        assert storage.stats().memory_bytes <= empty + filled / 10


class TestExpiry:
    """Space is freed without anyone calling anything."""

    def test_expired_memory_is_given_back(self) -> None:
        run_script(
            """
            import time
            from rrag_storage import InMemoryStorage

            def resident():
                with open("/proc/self/statm") as figures:
                    return int(figures.read().split()[1]) * 4096

            storage = InMemoryStorage()
            for number in range(100):
                storage.sync.set(f"key-{number}", b"x" * 1_000_000, ttl=1)
            full = resident()
            assert full > 100_000_000
            end = time.monotonic() + 30
            while resident() > full - 90_000_000:
                assert time.monotonic() < end, (full, resident())
                time.sleep(0.02)
            """
        )

    def test_cleared_memory_is_given_back(self) -> None:
        run_script(
            """
            from rrag_storage import InMemoryStorage

            def resident():
                with open("/proc/self/statm") as figures:
                    return int(figures.read().split()[1]) * 4096

            storage = InMemoryStorage().sync
            for number in range(1000):
                storage.set(f"key-{number}", b"x" * 100_000)
            full = resident()
            assert storage.clear() == 1000
            assert resident() < full - 90_000_000, (full, resident())
            """
        )

    @asynchronous
    async def test_the_system_s_clock(self) -> None:
        storage = InMemoryStorage()
        await storage.set("key", 1, ttl=3600)
        left = await storage.ttl("key")
        assert left is not None
        assert 3500 < left <= 3600


class TestLargeValues:
    """The sizes that the acceptance of the contract names."""

    def test_200_megabytes(self) -> None:
        storage = InMemoryStorage().sync
        value = bytes(200_000_000)
        storage.set("key", value)
        assert storage.get("key") == value

    def test_a_prefix_among_very_many_keys(self) -> None:
        storage = InMemoryStorage(max_keys=None).sync
        for start in range(0, 300_000, 10_000):
            storage.mset({f"many::{number:07}": 0 for number in range(start, start + 10_000)})
        storage.mset({f"few::{number}": 0 for number in range(10)})
        assert len(storage.keys(namespace="few")) == 10
        assert storage.count("many") == 300_000
        assert storage.clear("many") == 300_000
        assert storage.count() == 10


def test_storages_share_nothing() -> None:
    one, other = InMemoryStorage(), InMemoryStorage()
    one.sync.set("key", 1)
    assert other.sync.exists("key") is False

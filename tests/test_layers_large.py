"""Large values: what the object store holds is what the records point to, whoever writes, reads and deletes at once."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from layered import ENCRYPTED, all_three, at, offloaded, payloads
from rrag_storage import (
    ConfigurationError,
    ConflictError,
    CorruptedDataError,
    InMemoryStorage,
    LimitExceededError,
    ManualClock,
    ObjectStorage,
    SortOrder,
    Storage,
    StorageError,
    copy,
)
from rrag_storage.testing import assert_same, asynchronous, cases, eventually, in_threads

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LARGE = "large " * 100
LARGER = "larger " * 200


def big(number: int) -> bytes:
    """1,000 bytes that don't shrink."""
    return random.Random(number).randbytes(1000)


@pytest.fixture
def store() -> InMemoryStorage:
    """The object store."""
    return InMemoryStorage()


@pytest.fixture(params=["plain", "all"])
def storage(request: pytest.FixtureRequest, store: InMemoryStorage) -> Storage:
    """A storage whose values of 64 bytes and more live in `store`."""
    return InMemoryStorage(**(offloaded(store) if request.param == "plain" else all_three(store)))


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test moves."""
    return ManualClock()


@pytest.fixture(params=["plain", "all"])
def timed(request: pytest.FixtureRequest, clock: ManualClock) -> tuple[Storage, Storage]:
    """The same on a clock that the test moves, and its object store."""
    store = InMemoryStorage(clock=clock)
    options = offloaded(store) if request.param == "plain" else all_three(store)
    return InMemoryStorage(clock=clock, **options), store


ENDS: dict[str, Callable[[Any], Any]] = {
    "delete": lambda storage: storage.delete("key"),
    "mdelete": lambda storage: storage.mdelete(["key", "other"]),
    "pop": lambda storage: storage.pop("key"),
    "clear": lambda storage: storage.clear(),
    "clear-prefix": lambda storage: storage.clear(prefix="k"),
    "set": lambda storage: storage.set("key", 1),
    "mset": lambda storage: storage.mset({"key": 1, "other": 2}),
    "compare_and_set": lambda storage: storage.compare_and_set("key", 1, storage.get_entry("key").version),
}

KEEPS: dict[str, Callable[[Any], Any]] = {
    "get": lambda storage: storage.get("key"),
    "persist": lambda storage: storage.persist("key"),
    "set_if_absent": lambda storage: storage.set_if_absent("key", LARGER),
    "compare_and_set": lambda storage: storage.compare_and_set("key", LARGER, 1),
    "rotate": lambda storage: storage.rotate(),
    "collect_garbage": lambda storage: storage.collect_garbage(older_than=0.000_001),
}


REFRESHES: dict[str, Callable[[Any, float], Any]] = {
    "get": lambda storage, ttl: storage.get("key", refresh_ttl=ttl),
    "mget": lambda storage, ttl: storage.mget(["key", "other"], refresh_ttl=ttl),
    "expire": lambda storage, ttl: storage.expire("key", ttl),
}


class TestPayloads:
    """What the object store holds."""

    def test_large_ones_live_there_and_small_ones_do_not(self, storage: Storage, store: InMemoryStorage) -> None:
        storage.sync.mset({"small": "x", "large": list(range(1000))})
        assert len(payloads(store)) == 1
        assert storage.sync.mget(["small", "large"]) == ["x", list(range(1000))]

    def test_every_value(self, store: InMemoryStorage) -> None:
        storage = InMemoryStorage(**offloaded(store, threshold=1)).sync
        storage.mset({case.name: case.value for case in cases.VALUES})
        assert len(payloads(store)) == len(cases.VALUES)
        for case in cases.VALUES:
            assert_same(storage.get(case.name), case.value)
            entry = storage.get_entry(case.name)
            assert entry is not None
            assert entry.kind == case.kind
        for case in cases.VALUES:
            assert_same(storage.pop(case.name), case.value)
        assert payloads(store) == []

    @pytest.mark.parametrize("end", ENDS)
    def test_gone_with_the_value(self, storage: Storage, store: InMemoryStorage, end: str) -> None:
        storage.sync.mset({"key": list(range(1000)), "stays": list(range(1001))})
        assert len(payloads(store)) == 2
        ENDS[end](storage.sync)
        assert len(payloads(store)) == (0 if end == "clear" else 1)
        if end != "clear":
            assert storage.sync.get("stays") == list(range(1001))

    @pytest.mark.parametrize("keep", KEEPS)
    def test_what_stays_is_not_uploaded_again(self, storage: Storage, store: InMemoryStorage, keep: str) -> None:
        storage.sync.set("key", list(range(1000)))
        before = [(entry.key, entry.version) for entry in store.sync.entries()]
        KEEPS[keep](storage.sync)
        assert [(entry.key, entry.version) for entry in store.sync.entries()] == before
        assert storage.sync.get("key") == list(range(1000))

    @pytest.mark.parametrize("refresh", REFRESHES)
    def test_a_restarted_expiry_uploads_nothing_most_times(
        self, storage: Storage, store: InMemoryStorage, refresh: str
    ) -> None:
        storage.sync.set("key", list(range(1000)), ttl=600)
        before = [(entry.key, entry.version) for entry in store.sync.entries()]
        for _ in range(3):
            REFRESHES[refresh](storage.sync, 600)
        assert [(entry.key, entry.version) for entry in store.sync.entries()] == before
        assert storage.sync.get("key") == list(range(1000))

    @pytest.mark.parametrize("size", [63, 64, 10_000])
    def test_an_overwrite_by_any_size(self, storage: Storage, store: InMemoryStorage, size: int) -> None:
        for length in (10_000, size, 10_000, size):
            value = [number * 7919 for number in range(length // 4)]
            storage.sync.set("key", value)
            assert storage.sync.get("key") == value
        assert len(payloads(store)) <= 1

    def test_a_view(self, storage: Storage, store: InMemoryStorage) -> None:
        view = storage.namespace("view").sync
        view.set("key", list(range(1000)))
        storage.sync.set("key", list(range(1000)))
        assert view.clear() == 1
        assert len(payloads(store)) == 1

    def test_a_view_of_the_object_store(self, store: InMemoryStorage) -> None:
        storage = InMemoryStorage(**offloaded(store.namespace("large"))).sync
        store.sync.set("other", 1)
        storage.set("key", LARGE)
        assert [name for name in payloads(store) if not name.startswith("large::")] == ["other"]
        assert storage.get("key") == LARGE
        assert storage.collect_garbage(older_than=0.000_001) == 0
        assert storage.delete("key") is True
        assert payloads(store) == ["other"]

    def test_two_storages_with_one_store(self, store: InMemoryStorage) -> None:
        one, other = (InMemoryStorage(**offloaded(store)).sync for _ in range(2))
        one.set("key", LARGE)
        other.set("key", LARGER)
        assert one.collect_garbage(older_than=0.000_001) == 0
        one.clear()
        assert other.get("key") == LARGER
        assert len(payloads(store)) == 1

    def test_a_write_past_a_limit_leaves_nothing(self, store: InMemoryStorage) -> None:
        storage = InMemoryStorage(max_keys=1, **offloaded(store)).sync
        storage.set("key", LARGE)
        with pytest.raises(LimitExceededError):
            storage.mset({"other": LARGER, "third": LARGER})
        assert len(payloads(store)) == 1

    def test_a_store_that_is_full(self) -> None:
        store = InMemoryStorage(max_keys=2)
        storage = InMemoryStorage(**offloaded(store)).sync
        storage.set("key", LARGE)
        with pytest.raises(LimitExceededError):
            storage.mset({"key": LARGER, "other": LARGER, "third": LARGER})
        assert storage.get("key") == LARGE
        assert storage.keys() == ["key"]
        assert len(payloads(store)) == 1


class TestExpiry:
    """A payload is there as long as its record, and is freed without anyone calling anything if the record is."""

    VALUE: ClassVar = list(range(1000))

    def test_it_goes_soon_after_the_record(self, timed: tuple[Storage, Storage], clock: ManualClock) -> None:
        storage, store = (one.sync for one in timed)
        storage.mset({"key": self.VALUE, "other": self.VALUE}, ttl=100)
        clock.advance(99.999)
        assert storage.mget(["key", "other"]) == [self.VALUE] * 2
        clock.advance(0.001)
        assert storage.get("key") is None
        clock.advance(100)
        assert store.count() == 0

    @pytest.mark.parametrize("ttl", [0.5, 600, 1_000_000, 1e9])
    def test_a_clock_may_be_slow_by_half_a_minute(self, ttl: float) -> None:
        clock, slow = ManualClock(), ManualClock()
        store = InMemoryStorage(clock=clock)
        with InMemoryStorage(clock=slow, **offloaded(store)).sync as storage:
            storage.set("key", self.VALUE, ttl=ttl)
            clock.advance(ttl + 30)
            assert storage.get("key") == self.VALUE

    @pytest.mark.parametrize("refresh", REFRESHES)
    def test_it_lives_on_where_the_expiry_is_restarted(
        self, timed: tuple[Storage, Storage], clock: ManualClock, refresh: str
    ) -> None:
        storage, store = (one.sync for one in timed)
        storage.set("key", self.VALUE, ttl=100)
        for _ in range(20):
            clock.advance(99)
            REFRESHES[refresh](storage, 100)
            assert store.count() == 1
        assert storage.get("key") == self.VALUE
        clock.advance(300)
        assert store.count() == 0

    def test_it_stays_where_the_expiry_is_taken_away(self, timed: tuple[Storage, Storage], clock: ManualClock) -> None:
        storage, store = (one.sync for one in timed)
        storage.set("key", self.VALUE, ttl=100)
        assert storage.persist("key")
        clock.advance(1_000_000)
        assert storage.get("key") == self.VALUE
        assert store.count() == 1

    @pytest.mark.parametrize("refresh", REFRESHES)
    def test_it_gets_an_end_with_the_record(
        self, timed: tuple[Storage, Storage], clock: ManualClock, refresh: str
    ) -> None:
        storage, store = (one.sync for one in timed)
        storage.set("key", self.VALUE)
        storage.set("other", 7)
        REFRESHES[refresh](storage, 100)
        assert storage.get("key") == self.VALUE
        assert store.count() == 1
        clock.advance(200)
        assert store.count() == 0
        assert storage.count() == (0 if refresh == "mget" else 1)

    def test_a_transaction_a_rotation_and_a_copy_keep_it(
        self, timed: tuple[Storage, Storage], clock: ManualClock
    ) -> None:
        storage, store = (one.sync for one in timed)
        with storage.transaction() as tx:
            tx.set("key", self.VALUE, ttl=100)
        store_of_target = InMemoryStorage(clock=clock)
        target = InMemoryStorage(clock=clock, **offloaded(store_of_target, 100))
        asyncio.run(copy(timed[0], target))
        storage.rotate()
        assert storage.get("key") == target.sync.get("key") == self.VALUE
        clock.advance(200)
        assert store.count() == store_of_target.sync.count() == 0

    def test_what_replaces_an_expired_value_leaves_nothing(
        self, timed: tuple[Storage, Storage], clock: ManualClock
    ) -> None:
        storage, store = (one.sync for one in timed)
        storage.set("key", self.VALUE, ttl=100)
        clock.advance(150)
        storage.set("key", self.VALUE)
        clock.advance(100)
        assert store.count() == 1

    def test_a_restart_that_fails_changes_nothing(self, clock: ManualClock) -> None:
        store = InMemoryStorage(max_keys=1, clock=clock)
        with InMemoryStorage(clock=clock, **offloaded(store)).sync as storage:
            storage.set("key", self.VALUE)
            with pytest.raises(LimitExceededError):
                storage.expire("key", 100)
            assert storage.ttl("key") == math.inf
            assert storage.get("key") == self.VALUE

    def test_concurrent_restarts(self, clock: ManualClock) -> None:
        store = InMemoryStorage(clock=clock)
        storage = InMemoryStorage(clock=clock, **offloaded(store))
        storage.sync.set("key", self.VALUE, ttl=100)

        @asynchronous
        async def restarts() -> None:
            for round_ in range(50):
                ttls = [None if (round_ + number) % 5 == 0 else 10.0 ** (number % 5) for number in range(20)]
                await asyncio.gather(
                    *(storage.persist("key") if ttl is None else storage.expire("key", ttl) for ttl in ttls)
                )
                assert await storage.get("key") == self.VALUE
                assert await store.count() == 1

        restarts()


class TestOperations:
    """Operations on values that live elsewhere."""

    @asynchronous
    async def test_transactions(self, storage: Storage, store: InMemoryStorage) -> None:
        await storage.mset({"a": list(range(1000)), "b": 1})
        async with storage.transaction() as tx:
            value = await tx.get("a")
            await tx.set("b", value[:500])
            await tx.delete("a")
            assert await tx.mget(["a", "b"]) == [None, list(range(500))]
        assert await storage.mget(["a", "b"]) == [None, list(range(500))]
        assert len(await store.keys()) == 1
        with pytest.raises(ConflictError):
            async with storage.transaction() as tx:
                await tx.get("b")
                await storage.set("b", list(range(700)))
                await tx.set("c", list(range(800)))
        assert await storage.keys() == ["b"]
        assert len(await store.keys()) == 1
        with pytest.raises(ZeroDivisionError):
            async with storage.transaction() as tx:
                await tx.set("c", list(range(800)))
                raise ZeroDivisionError
        assert len(await store.keys()) == 1

    @asynchronous
    async def test_conditions(self, storage: Storage, store: InMemoryStorage) -> None:
        assert await storage.set_if_absent("key", list(range(1000))) is True
        assert await storage.set_if_absent("key", list(range(999))) is False
        assert len(await store.keys()) == 1
        entry = await storage.get_entry("key")
        assert entry is not None
        assert await storage.compare_and_set("key", list(range(998)), entry.version) is True
        assert await storage.compare_and_set("key", list(range(997)), entry.version) is False
        assert await storage.get("key") == list(range(998))
        assert len(await store.keys()) == 1

    @pytest.mark.parametrize("value", [0, 1, -(2**2000), 2**4000])
    def test_counting(self, store: InMemoryStorage, value: int) -> None:
        storage = InMemoryStorage(**offloaded(store, threshold=1)).sync
        storage.set("key", value, ttl=60)
        assert storage.increment("key", 2) == value + 2
        assert storage.increment("key") == value + 3
        assert storage.get("key") == value + 3
        assert storage.ttl("key") < 61
        assert len(payloads(store)) <= 1
        assert storage.pop("key") == value + 3
        assert payloads(store) == []

    def test_counting_what_is_no_integer(self, storage: Storage) -> None:
        storage.sync.set("key", list(range(1000)))
        with pytest.raises(TypeError, match="list"):
            storage.sync.increment("key")
        assert storage.sync.get("key") == list(range(1000))

    def test_expiries(self, storage: Storage) -> None:
        storage.sync.set("key", list(range(1000)), ttl=60)
        assert storage.sync.expire("key", 600) is True
        assert 60 < storage.sync.ttl("key") <= 600
        assert storage.sync.get("key", refresh_ttl=6000) == list(range(1000))
        assert storage.sync.ttl("key") > 600
        assert storage.sync.persist("key") is True
        assert storage.sync.ttl("key") == math.inf

    def test_listings_in_every_order(self, storage: Storage) -> None:
        pairs = {f"key-{number:02}": [number] * 1000 for number in range(20)}
        for key, value in pairs.items():
            storage.sync.set(key, value)
        for order in (SortOrder.KEY_ASC, SortOrder.KEY_DESC, SortOrder.CREATED_ASC, SortOrder.CREATED_DESC):
            found = list(storage.sync.items(sort_order=order))
            assert dict(found) == pairs
            assert [key for key, _ in found] == sorted(
                pairs, reverse=order in (SortOrder.KEY_DESC, SortOrder.CREATED_DESC)
            )

    def test_a_listing_holds_few_of_them_at_once(self) -> None:
        """80 values of a megabyte come in pages of 16 of them at most."""
        store = InMemoryStorage()
        storage = InMemoryStorage(**offloaded(store)).sync
        value = bytes(1_000_000)
        storage.mset(dict.fromkeys((f"key-{number:02}" for number in range(80)), value))
        found = iter(storage.items())
        assert next(found) == ("key-00", value)
        store.sync.clear()
        with pytest.raises(CorruptedDataError) as error:
            list(found)
        assert error.value.key == "key-17"

    def test_copies_between_layers(self, tmp_path: Path) -> None:
        stores = [InMemoryStorage() for _ in range(3)]
        storages = [
            InMemoryStorage(),
            InMemoryStorage(**offloaded(stores[0])),
            at(tmp_path / "one.db", **all_three(stores[1])),
            at(tmp_path / "two.db", compression="lz4", **ENCRYPTED),
            InMemoryStorage(**all_three(stores[2])),
            InMemoryStorage(),
        ]
        values = {case.name: case.value for case in cases.VALUES}
        storages[0].sync.mset(values, ttl=3600)
        storages[0].sync.set("large", list(range(1000)))
        before = list(storages[0].sync.entries())

        async def main() -> None:
            for source, target in itertools.pairwise(storages):
                await copy(source, target)
                again = await copy(source, target)
                assert again.copied == 0

        asyncio.run(main())
        after = list(storages[-1].sync.entries())
        assert len(after) == len(before)
        for one, other in zip(before, after, strict=True):
            assert_same(other.value, one.value)
            for field in ("key", "created_at", "updated_at", "expires_at", "version"):
                assert getattr(other, field) == getattr(one, field)
        for storage in storages:
            storage.sync.close()


class TestMissing:
    """Payloads that are not there, and stores that are not given."""

    @pytest.mark.parametrize(
        "call",
        [
            lambda storage: storage.get("key"),
            lambda storage: storage.get("key", refresh_ttl=60),
            lambda storage: storage.get_entry("key"),
            lambda storage: storage.mget(["other", "key"]),
            lambda storage: storage.pop("key"),
            lambda storage: list(storage.items()),
        ],
        ids=["get", "get-refresh", "get_entry", "mget", "pop", "items"],
    )
    def test_a_missing_payload(self, storage: Storage, store: InMemoryStorage, call: Callable[[Any], Any]) -> None:
        storage.sync.mset({"key": list(range(1000)), "other": 1})
        store.sync.clear()
        with pytest.raises(CorruptedDataError, match="missing in the object store") as error:
            call(storage.sync)
        assert error.value.key == "key"
        assert storage.sync.exists("key") is True
        assert storage.sync.get("other") == 1

    def test_a_missing_payload_can_be_put_right(self, storage: Storage, store: InMemoryStorage) -> None:
        storage.sync.mset({"key": list(range(1000)), "gone": list(range(1000))})
        store.sync.clear()
        storage.sync.set("key", list(range(900)))
        assert storage.sync.get("key") == list(range(900))
        assert storage.sync.delete("gone") is True

    @pytest.mark.parametrize(
        "call",
        [
            lambda storage: storage.get("key"),
            lambda storage: storage.pop("key"),
            lambda storage: storage.mget(["key"]),
            lambda storage: list(storage.items()),
        ],
        ids=["get", "pop", "mget", "items"],
    )
    def test_opened_without_the_store(self, tmp_path: Path, store: InMemoryStorage, call: Callable[[Any], Any]) -> None:
        with at(tmp_path / "memory.db", **all_three(store)).sync as storage:
            storage.set("key", list(range(1000)))
        with at(tmp_path / "memory.db", **ENCRYPTED).sync as storage:
            with pytest.raises(ConfigurationError, match="large_values"):
                call(storage)
            assert storage.keys() == ["key"]
        with at(tmp_path / "memory.db", **all_three(store)).sync as storage:
            assert storage.get("key") == list(range(1000))

    @pytest.mark.parametrize(
        "planted", [None, 1, b"", b"\x01", bytes([1, 7, 0, 0, 0x80]), bytes([1, 7, 0x20, 0]) + bytes(24)]
    )
    def test_something_else_in_its_place(self, store: InMemoryStorage, planted: Any) -> None:
        storage = InMemoryStorage(**offloaded(store)).sync
        storage.set("key", "text " * 100)
        store.sync.set(payloads(store)[0], planted)
        with pytest.raises(CorruptedDataError) as error:
            storage.get("key")
        assert error.value.key == "key"


class TestGarbage:
    """`collect_garbage()`."""

    @asynchronous
    async def test_orphans_go_and_others_stay(self) -> None:
        clock = ManualClock()
        store = InMemoryStorage(clock=clock)
        storage = InMemoryStorage(clock=clock, **all_three(store))
        await storage.mset({f"key-{number}": list(range(1000)) for number in range(50)})
        # What a killed process leaves: payloads of keys that are there, and of others.
        orphans = await self.orphan(storage, store, ["key-1", "key-2", "never"])
        kept = set(await store.keys()) - orphans
        await store.set("not-ours", 1)
        assert len(await store.keys()) == 54
        assert await storage.collect_garbage() == 0
        clock.advance(3599)
        assert await storage.collect_garbage() == 0
        clock.advance(2)
        assert await storage.collect_garbage(older_than=7200) == 0
        assert await storage.collect_garbage() == 3
        assert set(await store.keys()) == {*kept, "not-ours"}
        assert await storage.mget([f"key-{number}" for number in range(50)]) == [list(range(1000))] * 50

    async def orphan(self, storage: Storage, store: InMemoryStorage, keys: list[str]) -> set[str]:
        """Payloads under the names of `keys`, to which nothing points."""
        orphans = {}
        for key, value in zip(keys, await storage.mget(keys), strict=True):
            names = set(await store.keys())
            await storage.set(key, list(range(2000)))
            (name,) = set(await store.keys()) - names
            orphans[name] = await store.get(name)
            await (storage.delete(key) if value is None else storage.set(key, value))
        assert await store.mget(list(orphans)) == [None] * len(orphans)
        await store.mset(orphans)
        return set(orphans)

    @pytest.mark.parametrize("older_than", [-1, math.inf, math.nan, "1", True])
    def test_bad_spans(self, storage: Storage, older_than: Any) -> None:
        with pytest.raises((ValueError, TypeError)):
            storage.sync.collect_garbage(older_than=older_than)

    def test_what_can_not_be_read_is_left(self, tmp_path: Path, store: InMemoryStorage) -> None:
        path = tmp_path / "memory.db"
        with at(path, **all_three(store)).sync as storage:
            storage.set("key", list(range(1000)))
        with at(path, large_values=store).sync as storage, pytest.raises(StorageError):
            storage.collect_garbage(older_than=0.000_001)
        assert len(payloads(store)) == 1

    def test_expired_ones(self) -> None:
        clock = ManualClock()
        store = InMemoryStorage(clock=clock)
        storage = InMemoryStorage(clock=clock, **all_three(store))
        storage.sync.set("key", list(range(1000)), ttl=60)
        storage.sync.set("stays", list(range(1000)), ttl=6000)
        clock.advance(4000)
        assert storage.sync.get("key") is None
        eventually(lambda: storage.sync.collect_garbage() == 0 and len(payloads(store)) == 1, "it is gone")
        assert storage.sync.get("stays") == list(range(1000))


class TestRaces:
    """Readers and writers of one key at once."""

    def test_readers_never_see_an_error(self, storage: Storage, store: InMemoryStorage) -> None:
        keys = ["a", "b"]
        storage.sync.mset(dict.fromkeys(keys, big(0)))

        def work(number: int) -> None:
            for turn in range(150):
                if number == 0:
                    storage.sync.mset(dict.fromkeys(keys, big(turn)))
                elif number == 1:
                    storage.sync.rotate()
                elif number == 2:
                    one, other = storage.sync.mget(keys)
                    assert one == other
                elif number == 3:
                    assert all(len(value) == 1000 for _, value in storage.sync.items())
                else:
                    assert len(storage.sync.get("a", refresh_ttl=600)) == 1000

        in_threads(5, work)
        assert storage.sync.collect_garbage(older_than=0.000_001) >= 0
        assert len(payloads(store)) == 2
        assert storage.sync.get("a") == big(149)

    def test_readers_of_what_is_deleted(self, storage: Storage, store: InMemoryStorage) -> None:
        def work(number: int) -> None:
            for turn in range(200):
                if number == 0:
                    storage.sync.set("key", big(turn))
                    storage.sync.delete("key")
                elif number == 1:
                    value = storage.sync.get("key")
                    assert value is None or len(value) == 1000
                elif number == 2:
                    (value,) = storage.sync.mget(["key"])
                    assert value is None or len(value) == 1000
                else:
                    assert all(len(value) == 1000 for _, value in storage.sync.items())

        in_threads(4, work)
        assert storage.sync.count() == 0

    def test_one_of_many_pops_it(self, storage: Storage, store: InMemoryStorage) -> None:
        for turn in range(30):
            storage.sync.set("key", big(turn))
            got = in_threads(4, lambda _: storage.sync.pop("key"))
            assert [value for value in got if value is not None] == [big(turn)]
        assert payloads(store) == []

    def test_writers_leave_one_payload(self, tmp_path: Path) -> None:
        store = ObjectStorage(f"file://{tmp_path}/large")
        storage = at(tmp_path / "memory.db", synchronous="normal", **all_three(store))

        def work(number: int) -> None:
            for turn in range(15):
                storage.sync.set("key", big(100 * number + turn))
                assert len(storage.sync.get("key")) == 1000

        in_threads(4, work)
        storage.sync.collect_garbage(older_than=0.000_001)
        assert len(payloads(store)) == 1
        assert len(storage.sync.get("key")) == 1000
        storage.sync.close()

    @asynchronous
    async def test_cancelled_writes_happen_or_do_not(self, storage: Storage, store: InMemoryStorage) -> None:
        await storage.set("key", big(0))
        for turn in range(1, 60):
            task = asyncio.ensure_future(storage.set("key", big(turn)))
            for _ in range(turn % 4):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            value = await storage.get("key")
            assert len(value) == 1000
        await storage.collect_garbage(older_than=0.000_001)
        assert len(await store.keys()) == 1

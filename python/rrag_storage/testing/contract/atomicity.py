"""Single steps: set_if_absent, compare_and_set, increment, pop, mset; alone and in a crowd."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import pytest

from rrag_storage import MemoryValue, Storage, UnsupportedOperationError
from rrag_storage.testing.capabilities import requires, requires_not
from rrag_storage.testing.loops import asynchronous, every_case, in_threads, run

from .base import Contract

if TYPE_CHECKING:
    from collections.abc import Callable

NO_INTEGERS: list[Any] = [None, True, False, 1.0, "1", b"1", [1], {"a": 1}, (1,), MemoryValue.json(1)]


class Atomicity(Contract):
    """What happens in one step, whoever else calls."""

    @asynchronous
    async def test_set_if_absent(self, storage: Storage) -> None:
        assert await storage.set_if_absent("key", 1) is True
        assert await storage.set_if_absent("key", 2) is False
        assert await storage.get("key") == 1
        await storage.delete("key")
        assert await storage.set_if_absent("key", 3) is True
        assert await storage.get("key") == 3

    @asynchronous
    async def test_set_if_absent_where_none_is_stored(self, storage: Storage) -> None:
        await storage.set("key", None)
        assert await storage.set_if_absent("key", 1) is False
        assert await storage.get("key", "missing") is None

    @asynchronous
    async def test_a_set_if_absent_that_fails_changes_nothing(self, storage: Storage) -> None:
        await storage.set("key", 1)
        before = await storage.get_entry("key")
        assert await storage.set_if_absent("key", 2, ttl=10) is False
        assert await storage.get_entry("key") == before

    @asynchronous
    async def test_of_many_set_if_absent_one_wins(self, storage: Storage) -> None:
        for attempt in range(10):
            won = await asyncio.gather(*(storage.set_if_absent(f"key-{attempt}", number) for number in range(50)))
            assert sum(won) == 1
            assert await storage.get(f"key-{attempt}") == won.index(True)

    @asynchronous
    async def test_compare_and_set(self, storage: Storage) -> None:
        await storage.set("key", 1)
        version = (await storage.get_entry("key")).version
        assert await storage.compare_and_set("key", 2, version) is True
        assert await storage.get("key") == 2
        before = await storage.get_entry("key")
        assert await storage.compare_and_set("key", 3, version, ttl=10) is False
        assert await storage.get_entry("key") == before

    @asynchronous
    async def test_compare_and_set_of_a_missing_key(self, storage: Storage) -> None:
        for version in (1, 0, 2**64 - 1):
            assert await storage.compare_and_set("key", 1, version) is False
        assert await storage.exists("key") is False

    @asynchronous
    async def test_a_version_is_never_met_again(self, storage: Storage) -> None:
        await storage.set("key", "same")
        version = (await storage.get_entry("key")).version
        await storage.delete("key")
        await storage.set("key", "same")
        assert await storage.compare_and_set("key", "other", version) is False
        assert await storage.get("key") == "same"

    @pytest.mark.parametrize("version", [None, "1", 1.5, b"1"], ids=repr)
    @asynchronous
    async def test_what_is_no_version(self, storage: Storage, version: Any) -> None:
        await storage.set("key", 1)
        with pytest.raises(TypeError):
            await storage.compare_and_set("key", 2, version)
        assert await storage.get("key") == 1

    @asynchronous
    async def test_of_many_compare_and_set_one_wins(self, storage: Storage) -> None:
        await storage.set("key", -1)
        for _ in range(10):
            version = (await storage.get_entry("key")).version
            won = await asyncio.gather(*(storage.compare_and_set("key", number, version) for number in range(50)))
            assert sum(won) == 1
            assert await storage.get("key") == won.index(True)

    @asynchronous
    async def test_increment(self, storage: Storage) -> None:
        assert await storage.increment("key") == 1
        assert await storage.increment("key", 10) == 11
        assert await storage.increment("key", by=-20) == -9
        assert await storage.increment("key", 0) == -9
        assert await storage.get("key") == -9
        assert type(await storage.get("key")) is int
        assert await storage.increment("new", -3) == -3

    @asynchronous
    async def test_increment_beyond_every_word_size(self, storage: Storage) -> None:
        for start, by in (
            (2**63 - 1, 1),
            (-(2**63), -1),
            (2**64 - 1, 1),
            (0, 2**64),
            (10**40, -(10**40)),
            (-5, 10**30),
        ):
            await storage.set("key", start)
            assert await storage.increment("key", by) == start + by
            assert await storage.get("key") == start + by
            assert await storage.increment("key", -by) == start

    @pytest.mark.parametrize("by", [True, 1.0, "1", None, [1]], ids=repr)
    @asynchronous
    async def test_increment_by_what_is_no_int(self, storage: Storage, by: Any) -> None:
        await storage.set("key", 1)
        with pytest.raises(TypeError):
            await storage.increment("key", by)
        with pytest.raises(TypeError):
            await storage.increment("new", by)
        assert await storage.get("key") == 1
        assert await storage.exists("new") is False

    @pytest.mark.parametrize("value", NO_INTEGERS, ids=repr)
    @asynchronous
    async def test_increment_of_what_is_no_integer(self, storage: Storage, value: Any) -> None:
        await storage.set("key", value)
        before = await storage.get_entry("key")
        with pytest.raises(TypeError, match="key"):
            await storage.increment("key")
        assert await storage.get_entry("key") == before

    @asynchronous
    async def test_many_increments_lose_none(self, storage: Storage) -> None:
        results = await asyncio.gather(*(storage.increment("key") for _ in range(300)))
        assert sorted(results) == list(range(1, 301))
        assert await storage.get("key") == 300

    @asynchronous
    async def test_many_pops_give_the_value_to_one(self, storage: Storage) -> None:
        for attempt in range(10):
            await storage.set("key", attempt)
            popped = await asyncio.gather(*(storage.pop("key", "none") for _ in range(50)))
            assert sorted(map(str, popped)) == sorted([str(attempt), *["none"] * 49])

    @asynchronous
    async def test_many_deletes_are_true_once(self, storage: Storage) -> None:
        await storage.set("key", 1)
        assert sum(await asyncio.gather(*(storage.delete("key") for _ in range(50)))) == 1
        await storage.mset({"a": 1, "b": 1})
        assert sum(await asyncio.gather(*(storage.mdelete(["a", "b"]) for _ in range(50)))) == 2

    def test_increments_of_many_threads(self, storage: Storage) -> None:
        results = in_threads(8, lambda _: [storage.sync.increment("key") for _ in range(100)])
        assert sorted(number for thread in results for number in thread) == list(range(1, 801))

    def test_pops_of_many_threads(self, storage: Storage) -> None:
        storage.sync.mset({f"key-{number:03}": number for number in range(200)})
        popped = in_threads(4, lambda _: [storage.sync.pop(f"key-{number:03}") for number in range(200)])
        for number in range(200):
            assert sorted(thread[number] for thread in popped if thread[number] is not None) == [number]

    def test_compare_and_set_as_a_counter_of_many_threads(self, storage: Storage) -> None:
        storage.sync.set("key", 0)

        def count(_: int) -> None:
            for _ in range(25):
                while True:
                    entry = storage.sync.get_entry("key")
                    if storage.sync.compare_and_set("key", entry.value + 1, entry.version):
                        break

        in_threads(4, count)
        assert storage.sync.get("key") == 100

    @requires_not("spans_namespaces")
    @asynchronous
    async def test_a_step_over_several_namespaces_is_refused(self, storage: Storage) -> None:
        before = {"a::x": 1, "b::x": 2, "c": 3}
        for key, value in before.items():
            await storage.set(key, value)

        async def in_a_transaction(first: str, second: str) -> None:
            async with storage.transaction() as tx:
                await tx.set(first, 10)
                await tx.set(second, 10)

        async def that_only_reads_the_second(first: str, second: str) -> None:
            async with storage.transaction() as tx:
                await tx.set(first, await tx.get(second))

        async def transacted(first: str, second: str) -> None:
            await storage.transact(lambda tx: tx.mset({first: 10, second: 10}))

        steps: dict[str, Callable[[str, str], Any]] = {
            "mset": lambda first, second: storage.mset({first: 10, second: 10}),
            "transaction": in_a_transaction,
            "transaction with a read": that_only_reads_the_second,
            "transact": transacted,
        }
        with every_case() as case:
            for name, step in steps.items():
                for first, second in (("a::x", "b::x"), ("a::x", "c"), ("new::x", "new")):
                    with case(f"{name} of {first} and {second}"):
                        with pytest.raises(UnsupportedOperationError, match="namespace"):
                            await step(first, second)
                        assert await storage.mget(before) == list(before.values())
                        assert await storage.keys() == sorted(before)
                        assert await storage.ttl("a::x") == math.inf

    @requires_not("spans_namespaces")
    @asynchronous
    async def test_many_keys_of_several_namespaces_are_deleted_and_refreshed(self, storage: Storage) -> None:
        for key in ("a::x", "b::x", "b::y", "c"):
            await storage.set(key, key)
        assert await storage.mget(["a::x", "missing::x", "c"], refresh_ttl=10) == ["a::x", None, "c"]
        assert await storage.ttl("a::x") == pytest.approx(10, abs=0.002)
        assert await storage.ttl("b::x") == math.inf
        assert await storage.mdelete(["a::x", "b::x", "missing::x", "c", "a::x"]) == 3
        assert await storage.keys() == ["b::y"]

    @requires_not("spans_namespaces")
    @asynchronous
    async def test_a_step_within_one_namespace(self, storage: Storage) -> None:
        for names in (["a::x", "a::y::z"], ["x", "y"], ["::x", "::y"], ["{}::x", "{}::y"]):
            await storage.mset(dict.fromkeys(names, 1))
            async with storage.transaction() as tx:
                for name in names:
                    assert await tx.increment(name) == 2
            assert await storage.mget(names) == [2, 2]
            assert await storage.mdelete(names) == 2

    @requires("atomic_mset")
    def test_msets_do_not_mix(self, storage: Storage) -> None:
        keys = [f"key-{number}" for number in range(10)]

        def write(thread: int) -> None:
            for attempt in range(30):
                storage.sync.mset(dict.fromkeys(keys, (thread, attempt)))

        in_threads(4, write)
        assert len(set(storage.sync.mget(keys))) == 1

    @requires("listings")
    @requires("atomic_mset")
    @pytest.mark.parametrize("read", ["mget", "get_entries", "items"])
    def test_nobody_sees_an_mset_half_done(self, storage: Storage, read: str) -> None:
        keys = [f"key-{number}" for number in range(10)]
        storage.sync.mset(dict.fromkeys(keys, -1))
        reads: dict[str, Callable[[], list[Any]]] = {
            "mget": lambda: storage.sync.mget(keys),
            "get_entries": lambda: [entry.value for entry in storage.sync.get_entries(keys)],
            "items": lambda: [value for _, value in storage.sync.items()],
        }

        def work(thread: int) -> None:
            for attempt in range(100):
                if thread == 0:
                    storage.sync.mset(dict.fromkeys(keys, attempt))
                else:
                    assert len(set(reads[read]())) == 1

        in_threads(3, work)

    @requires("listings")
    def test_writes_of_many_loops_are_all_there(self, storage: Storage) -> None:
        def write(thread: int) -> None:
            async def main() -> None:
                await asyncio.gather(*(storage.set(f"{thread}::{number}", number) for number in range(100)))

            run(main())

        in_threads(5, write)
        assert storage.sync.count() == 500
        assert storage.sync.namespaces() == ["0", "1", "2", "3", "4"]

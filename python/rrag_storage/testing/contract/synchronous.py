"""`storage.sync`: the same interface, blocking; usable while an event loop runs."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import pytest

from rrag_storage import InvalidKeyError, Storage, StorageClosedError, SyncStorage, UnsupportedTypeError
from rrag_storage.testing.capabilities import requires
from rrag_storage.testing.loops import asynchronous, in_threads, run

from .base import Contract

if TYPE_CHECKING:
    from collections.abc import Callable

OTHERS = {"sync", "with_config", "connect", "wait"}
"""Names of a storage that its blocking twin needn't have."""


class Synchronous(Contract):
    """The twin of every method, on the same data."""

    def test_every_method_has_its_twin(self, storage: Storage) -> None:
        assert isinstance(storage.sync, SyncStorage)
        names = {name for name in dir(storage) if not name.startswith("_")}
        assert "compare_and_set" in names
        assert names - OTHERS <= set(dir(storage.sync))

    @requires("listings")
    def test_every_call(self, storage: Storage) -> None:
        sync = storage.sync
        assert sync.backend_name == storage.backend_name
        assert sync.set("a", 1) is None
        assert sync.get("a") == 1
        assert sync.get("missing", 7) == 7
        assert sync.get("a", refresh_ttl=10) == 1
        assert sync.ttl("a") == pytest.approx(10, abs=0.002)
        assert sync.persist("a") is True
        assert sync.ttl("a") == math.inf
        assert sync.expire("a", 20) is True
        assert sync.get_value("a").to_python() == 1
        entry = sync.get_entry("a")
        assert sync.get_entries(["a", "missing"]) == [entry, None]
        assert sync.compare_and_set("a", 2, entry.version) is True
        assert sync.compare_and_set("a", 3, entry.version) is False
        assert sync.set_if_absent("a", 3) is False
        assert sync.increment("a", 5) == 7
        assert sync.mset({"n::b": 1, "n::c": 2}, ttl=30) is None
        assert sync.mget(["a", "n::b", "missing"], 0) == [7, 1, 0]
        assert sync.exists("a") is True
        assert sync.keys() == ["a", "n::b", "n::c"]
        assert sync.keys(namespace="n", limit=1) == ["n::b"]
        assert sync.namespaces() == ["n"]
        assert sync.count() == 3
        assert sync.count("n", prefix="n::c") == 1
        assert sync.health_check() is True
        assert sync.stats().total_keys == 3
        assert sync.namespace("n").keys() == ["b", "c"]
        assert sync.pop("n::b") == 1
        assert sync.delete("n::b") is False
        assert sync.mdelete(["a", "missing"]) == 1
        assert sync.clear() == 1
        assert sync.closed is False
        assert sync.close() is None
        assert sync.closed is True
        assert storage.closed is True

    @requires("listings")
    def test_items_and_entries_are_iterators(self, storage: Storage) -> None:
        storage.sync.mset({f"key-{number:04}": number for number in range(2_500)})
        items = storage.sync.items()
        assert iter(items) is items
        assert next(items) == ("key-0000", 0)
        assert [value for _, value in items] == list(range(1, 2_500))
        assert [entry.value for entry in storage.sync.entries(prefix="key-001")] == list(range(10, 20))
        for _ in storage.sync.items():
            break

    def test_errors_are_the_same(self, storage: Storage) -> None:
        with pytest.raises(InvalidKeyError):
            storage.sync.get("")
        with pytest.raises(UnsupportedTypeError):
            storage.sync.set("key", object())
        with pytest.raises(ValueError, match="ttl"):
            storage.sync.set("key", 1, ttl=-1)
        with pytest.raises(TypeError):
            storage.sync.get(None)
        with pytest.raises(ValueError, match="limit"):
            list(storage.sync.items(limit=-1))

    @requires("listings")
    @asynchronous
    async def test_it_works_inside_a_running_loop(self, storage: Storage) -> None:
        storage.sync.set("key", 1)
        pending = asyncio.create_task(storage.increment("key"))
        assert storage.sync.get("key") in (1, 2)
        assert await pending == 2
        assert storage.sync.get("key") == 2
        assert list(storage.sync.items()) == [("key", 2)]
        writes = [asyncio.create_task(storage.set(f"k-{number}", number)) for number in range(50)]
        await asyncio.sleep(0)
        assert storage.sync.exists("key") is True
        await asyncio.gather(*writes)
        assert storage.sync.count() == 51

    def test_it_works_in_many_threads(self, storage: Storage) -> None:
        def work(thread: int) -> None:
            for number in range(50):
                storage.sync.set(f"{thread}::{number}", [thread, number])
                assert storage.sync.get(f"{thread}::{number}") == [thread, number]

        in_threads(6, work)
        assert storage.sync.count() == 300

    def test_both_ways_see_the_same(self, storage: Storage) -> None:
        storage.sync.set("a", 1)

        async def main() -> None:
            assert await storage.get("a") == 1
            await storage.set("b", 2)

        run(main())
        assert storage.sync.get("b") == 2

    def test_it_is_a_context_manager(self, make_storage: Callable[[], Storage]) -> None:
        storage = make_storage()
        with storage.sync as sync:
            sync.set("key", 1)
            assert sync.get("key") == 1
        assert storage.closed is True
        with pytest.raises(StorageClosedError):
            sync.get("key")
        storage = make_storage()
        with pytest.raises(ZeroDivisionError), storage.sync:
            raise ZeroDivisionError
        assert storage.closed is True

    def test_an_operation_can_be_waited_for(self, storage: Storage) -> None:
        assert storage.set("key", 1).wait() is None
        assert storage.get("key").wait() == 1
        with pytest.raises(InvalidKeyError):
            storage.get("").wait()
        operation = storage.get("key")
        operation.wait()
        with pytest.raises(RuntimeError):
            operation.wait()

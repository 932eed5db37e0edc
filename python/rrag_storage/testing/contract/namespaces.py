"""Views: the whole interface on what stands under one namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rrag_storage import InvalidKeyError, Storage, StorageClosedError, SyncStorage
from rrag_storage.testing.capabilities import requires
from rrag_storage.testing.loops import asynchronous

from .base import Contract

if TYPE_CHECKING:
    from collections.abc import Callable

    from rrag_storage import ManualClock


class Namespaces(Contract):
    """`namespace(name)`; a backend's views run the whole suite as well, as storages of their own."""

    @requires("listings")
    @asynchronous
    async def test_a_view_stands_under_its_namespace(self, storage: Storage) -> None:
        view = storage.namespace("users")
        assert isinstance(view, Storage)
        assert view.backend_name == storage.backend_name
        await view.set("ada", 1)
        assert await storage.get("users::ada") == 1
        await storage.set("users::bo", 2)
        await self.fill(storage, {"users": 3, "users2::x": 4, "ada": 5})
        assert await view.get("bo") == 2
        assert await view.get("users::ada") is None
        assert await view.keys() == ["ada", "bo"]
        assert await view.count() == 2
        assert (await view.get_entry("ada")).key == "ada"
        assert [pair async for pair in view.items()] == [("ada", 1), ("bo", 2)]
        assert [entry.key async for entry in view.entries()] == ["ada", "bo"]
        assert await view.pop("ada") == 1
        assert await storage.exists("users::ada") is False

    @asynchronous
    async def test_views_of_one_name_are_one(self, storage: Storage) -> None:
        await storage.namespace("users").set("ada", 1)
        assert await storage.namespace("users").get("ada") == 1

    @requires("listings")
    @asynchronous
    async def test_views_do_not_mix(self, storage: Storage) -> None:
        names = ["a", "ab", "A", "a%", "a_", "a*", "a:", "a::b", " ", "é", "e\u0301"]
        for name in names:
            await storage.namespace(name).mset({"key": name, "other": name})
        for name in names:
            view = storage.namespace(name)
            assert await view.get("key") == name
            assert [key for key in await view.keys() if "::" not in key and ":" not in key] == ["key", "other"]
        assert await storage.count() == 2 * len(names)
        assert await storage.namespace("a%").clear() == 2
        assert await storage.namespace("ab").count() == 2
        assert await storage.count() == 2 * len(names) - 2

    @requires("listings")
    @asynchronous
    async def test_a_view_of_a_view(self, storage: Storage) -> None:
        inner = storage.namespace("users").namespace("ada")
        await inner.set("notes", 1)
        assert await storage.get("users::ada::notes") == 1
        assert await storage.namespace("users").get("ada::notes") == 1
        assert await storage.namespace("users::ada").get("notes") == 1
        assert await inner.keys() == ["notes"]
        assert await inner.namespaces() == []
        assert await storage.namespace("users").namespaces() == ["ada"]

    @requires("listings")
    @asynchronous
    async def test_filters_are_relative_to_the_view(self, storage: Storage) -> None:
        view = storage.namespace("top")
        keys = ["a", "b", "n::a", "n::b", "n::c::d", "top::x"]
        await view.mset(dict.fromkeys(keys, 0))
        await self.fill(storage, {"n::outside": 0, "a": 0, "zz": 0})
        assert await view.keys(namespace="n") == ["n::a", "n::b", "n::c::d"]
        assert await view.keys(namespace="top") == ["top::x"]
        assert await view.keys(prefix="n::") == ["n::a", "n::b", "n::c::d"]
        assert await view.keys(prefix="top::a") == []
        assert await view.keys(pattern="[ab]") == ["a", "b"]
        assert await view.keys(pattern="?::a") == ["n::a"]
        assert await view.keys(pattern="top::") == ["top::x"]
        assert await view.keys(after="b", limit=2) == ["n::a", "n::b"]
        assert await view.keys(after="n::b") == ["n::c::d", "top::x"]
        assert await view.count("n") == 3
        assert await view.namespaces() == ["n", "n::c", "top"]
        assert await view.namespaces("n", 1) == ["n"]
        assert await view.clear("n") == 3
        assert await view.keys() == ["a", "b", "top::x"]

    @requires("listings")
    @asynchronous
    async def test_clear_of_a_view_clears_the_view(self, storage: Storage) -> None:
        await self.fill(storage, {"users": 1, "users::ada": 2, "users::ada::notes": 3, "users2::x": 4})
        assert await storage.namespace("users").clear() == 2
        assert await storage.keys() == ["users", "users2::x"]

    @requires("listings")
    @asynchronous
    async def test_stats_of_a_view_count_the_view(self, storage: Storage) -> None:
        await self.fill(storage, {"users::ada": 2, "users::ada::notes": 3, "users::bo::x": 4, "docs::x": "x" * 100_000})
        stats = await storage.namespace("users").stats()
        assert stats.total_keys == 3
        assert stats.namespace_count == 2
        assert stats.backend_type == storage.backend_name
        assert 0 < stats.memory_bytes < 50_000

    @asynchronous
    async def test_every_write_through_a_view(self, storage: Storage, clock: ManualClock) -> None:
        view = storage.namespace("v")
        assert await view.increment("n") == 1
        assert await view.set_if_absent("n", 9) is False
        version = (await view.get_entry("n")).version
        assert (await storage.get_entry("v::n")).version == version
        assert await view.compare_and_set("n", 5, version) is True
        assert await view.expire("n", 10) is True
        assert await storage.ttl("v::n") == pytest.approx(10)
        assert await view.persist("n") is True
        assert await view.mget(["n", "v::n"]) == [5, None]
        assert await view.delete("n") is True
        await view.set("short", 1, ttl=5)
        clock.advance(6)
        assert await storage.count() == 0
        assert view.sync.get("short", "gone") == "gone"

    @requires("transactions")
    @asynchronous
    async def test_a_transaction_of_a_view(self, storage: Storage) -> None:
        view = storage.namespace("v")
        async with view.transaction() as tx:
            await tx.set("a", 1)
            assert await tx.get("a") == 1
            assert (await tx.get_entry("a")).key == "a"
            await tx.mset({"b": 2})
            assert await tx.increment("b") == 3
        assert await storage.mget(["v::a", "v::b", "a"]) == [1, 3, None]

    @asynchronous
    async def test_the_longest_key_of_a_view_counts_its_prefix(self, storage: Storage) -> None:
        longest, refused = self.capabilities.max_key_bytes, self.capabilities.longest_key_bytes
        view = storage.namespace("é")
        await view.set("k" * (longest - 4), 1)
        assert await storage.get("é::" + "k" * (longest - 4)) == 1
        with pytest.raises(InvalidKeyError):
            await view.set("k" * (refused - 3), 1)
        with pytest.raises(InvalidKeyError):
            await view.set("", 1)
        assert await storage.count() == 1

    @asynchronous
    async def test_close_of_a_view_closes_the_view_only(self, storage: Storage) -> None:
        view, twin = storage.namespace("v"), storage.namespace("v")
        inner = view.namespace("w")
        await view.set("key", 1)
        await view.close()
        assert view.closed is True
        assert storage.closed is False
        with pytest.raises(StorageClosedError):
            await view.get("key")
        with pytest.raises(StorageClosedError):
            await inner.get("key")
        assert await storage.get("v::key") == 1
        assert await twin.get("key") == 1

    @asynchronous
    async def test_close_of_the_storage_closes_its_views(self, make_storage: Callable[[], Storage]) -> None:
        storage = make_storage()
        view = storage.namespace("v")
        inner = view.namespace("w")
        await inner.set("key", 1)
        await storage.close()
        for each in (view, inner):
            assert each.closed is True
            with pytest.raises(StorageClosedError):
                await each.get("key")

    @asynchronous
    async def test_a_view_as_a_context_manager(self, storage: Storage) -> None:
        async with storage.namespace("v") as view:
            await view.set("key", 1)
        assert view.closed is True
        assert await storage.get("v::key") == 1

    @requires("listings")
    def test_a_view_from_sync(self, storage: Storage) -> None:
        view = storage.sync.namespace("v")
        assert isinstance(view, SyncStorage)
        view.set("key", 1)
        assert storage.sync.get("v::key") == 1
        assert view.namespace("w").count() == 0

    def test_a_view_keeps_its_storage(self, make_storage: Callable[[], Storage]) -> None:
        view = make_storage().namespace("v")
        view.sync.set("key", 1)
        assert view.sync.get("key") == 1

    @pytest.mark.parametrize("name", [None, 1, b"a"], ids=repr)
    def test_a_name_that_is_no_str(self, storage: Storage, name: Any) -> None:
        with pytest.raises(TypeError):
            storage.namespace(name)

"""Listings: every filter, every order, in pages; what is counted and cleared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rrag_storage import MemoryEntry, MemoryQuery, SortOrder, Storage, UnsupportedOperationError
from rrag_storage.testing import cases, reference
from rrag_storage.testing.capabilities import requires, requires_not
from rrag_storage.testing.loops import asynchronous

from .base import Contract

if TYPE_CHECKING:
    from rrag_storage import ManualClock

ORDERS = [SortOrder.KEY_ASC, SortOrder.KEY_DESC, SortOrder.CREATED_ASC, SortOrder.CREATED_DESC]
BY_CREATION = ORDERS[2:]

SHUFFLED = [
    "m",
    "users::bo::a",
    "a",
    "users::ada",
    "z",
    "users",
    "users::ada::notes",
    "users2::x",
    "Users::ada",
    "docs::1",
]

FILTERS: list[dict[str, Any]] = [
    {},
    {"namespace": "users"},
    {"namespace": "users::ada"},
    {"namespace": "user"},
    {"namespace": "none"},
    {"prefix": "users"},
    {"prefix": "users::a"},
    {"pattern": "users"},
    {"pattern": "users::*"},
    {"pattern": "*::ada*"},
    {"pattern": "[a-m]*"},
    {"after": "users"},
    {"after": "n"},
    {"after": "zz"},
    {"namespace": "users", "prefix": "users::b"},
    {"namespace": "users", "prefix": "docs"},
    {"namespace": "users", "pattern": "*notes"},
    {"namespace": "users", "after": "users::ada"},
    {"prefix": "users", "pattern": "*a*", "after": "users::a"},
]

PAGES: list[dict[str, int]] = [
    {},
    {"limit": 0},
    {"limit": 1},
    {"limit": 3},
    {"limit": 1_000_000},
    {"offset": 0},
    {"offset": 2},
    {"offset": 1_000},
    {"limit": 2, "offset": 1},
    {"limit": 2, "offset": 9},
    {"limit": 0, "offset": 3},
]


async def fill(storage: Storage, clock: ManualClock) -> dict[str, float]:
    """Sets the shuffled keys, each a second later than the one before; gives the time of each."""
    created = {}
    for number, key in enumerate(SHUFFLED):
        clock.advance(1)
        await storage.set(key, number)
        created[key] = float(number)
    return created


class Listings(Contract):
    """`keys`, `items`, `entries`, `namespaces`, `count`, `clear`."""

    @requires("listings")
    @pytest.mark.parametrize("filters", FILTERS, ids=lambda filters: ",".join(filters) or "none")
    @asynchronous
    async def test_filters_orders_and_pages(
        self, storage: Storage, clock: ManualClock, filters: dict[str, Any]
    ) -> None:
        created = await fill(storage, clock)
        wanted = [key for key in created if reference.matches(key, **filters)]
        for order in ORDERS if self.capabilities.created_order else ORDERS[:2]:
            groups = reference.in_order(created, wanted, order)
            for page in PAGES:
                keys = await storage.keys(sort_order=order, **filters, **page)
                assert reference.is_page_of(keys, groups, **page), (order, page, keys)
                pairs = [pair async for pair in storage.items(sort_order=order, **filters, **page)]
                assert pairs == [(key, int(created[key])) for key in keys], (order, page)
                entries = [entry async for entry in storage.entries(sort_order=order, **filters, **page)]
                assert [entry.key for entry in entries] == keys, (order, page)

    @requires("listings")
    @asynchronous
    async def test_patterns(self, storage: Storage) -> None:
        await self.fill(storage, dict.fromkeys(cases.KEYS, 0))
        for pattern in cases.PATTERNS:
            wanted = sorted(key for key in cases.KEYS if reference.matches_pattern(key, pattern))
            assert await storage.keys(pattern=pattern) == wanted, pattern

    @requires("listings")
    @asynchronous
    async def test_a_pattern_that_could_take_for_ever(self, storage: Storage) -> None:
        key = "a" * 1_000
        await storage.set(key, 1)
        assert await storage.keys(pattern="*a" * 100 + "*b") == []
        assert await storage.keys(pattern="*a" * 100 + "*") == [key]

    @requires("listings")
    @asynchronous
    async def test_a_query_holds_the_same_filters(self, storage: Storage, clock: ManualClock) -> None:
        await fill(storage, clock)
        built = (
            MemoryQuery()
            .with_namespace("users")
            .with_pattern("*a*")
            .with_limit(2)
            .with_offset(1)
            .with_sort_order(SortOrder.KEY_DESC)
        )
        given = MemoryQuery(
            namespace="users", pattern="*a*", limit=2, offset=1, sort_order=SortOrder.KEY_DESC, prefix="u", after="a"
        )
        wanted = ["users::ada::notes", "users::ada"]
        for query in (built, given):
            assert await storage.keys(query) == wanted
            assert await storage.keys(query=query) == wanted
            assert [key async for key, _ in storage.items(query)] == wanted
            assert [entry.key async for entry in storage.entries(query)] == wanted

    def test_a_query_is_not_changed_by_its_methods(self) -> None:
        query = MemoryQuery(prefix="a")
        longer = query.with_limit(3).with_namespace("n").with_offset(2).with_pattern("p*")
        longer = longer.with_sort_order(SortOrder.CREATED_DESC)
        assert (query.limit, query.namespace, query.pattern) == (None, None, None)
        assert (longer.prefix, longer.limit, longer.namespace, longer.offset) == ("a", 3, "n", 2)
        assert (longer.pattern, longer.sort_order) == ("p*", SortOrder.CREATED_DESC)

    @asynchronous
    async def test_a_query_and_keywords_together_are_refused(self, storage: Storage) -> None:
        query = MemoryQuery(prefix="a")
        with pytest.raises(TypeError):
            await storage.keys(query, limit=1)
        for listing in (storage.items, storage.entries):
            with pytest.raises(TypeError):
                [row async for row in listing(query, limit=1)]

    @pytest.mark.parametrize(
        ("filters", "error"),
        [
            ({"limit": -1}, ValueError),
            ({"offset": -1}, ValueError),
            ({"limit": "1"}, TypeError),
            ({"limit": 1.5}, TypeError),
            ({"offset": None, "limit": []}, TypeError),
            ({"sort_order": "key_asc"}, TypeError),
            ({"limits": 1}, TypeError),
            ({"key": "a"}, TypeError),
        ],
        ids=str,
    )
    @asynchronous
    async def test_a_wrong_filter_is_refused(
        self, storage: Storage, filters: dict[str, Any], error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            await storage.keys(**filters)
        for listing in (storage.items, storage.entries):
            with pytest.raises(error):
                [row async for row in listing(**filters)]

    @asynchronous
    async def test_what_is_no_query_is_refused(self, storage: Storage) -> None:
        with pytest.raises(TypeError):
            await storage.keys("prefix")

    @requires("listings")
    @requires("created_order")
    @asynchronous
    async def test_an_overwrite_does_not_move_an_entry(self, storage: Storage, clock: ManualClock) -> None:
        await fill(storage, clock)
        clock.advance(1)
        await storage.set(SHUFFLED[0], "new")
        await storage.increment(SHUFFLED[3])
        assert await storage.keys(sort_order=SortOrder.CREATED_ASC) == SHUFFLED
        await storage.delete(SHUFFLED[0])
        await storage.set(SHUFFLED[0], "newer")
        assert await storage.keys(sort_order=SortOrder.CREATED_ASC) == [*SHUFFLED[1:], SHUFFLED[0]]
        assert await storage.keys(sort_order=SortOrder.CREATED_DESC, limit=2) == [SHUFFLED[0], SHUFFLED[-1]]

    @requires_not("created_order")
    @asynchronous
    async def test_an_order_by_creation_is_refused(self, storage: Storage) -> None:
        for order in BY_CREATION:
            with pytest.raises(UnsupportedOperationError):
                await storage.keys(sort_order=order)

    @requires("listings")
    @asynchronous
    async def test_items_and_entries_are_async_iterators(self, storage: Storage) -> None:
        await storage.set("key", {"a": 1})
        items = storage.items()
        assert aiter(items) is items
        assert await anext(items) == ("key", {"a": 1})
        with pytest.raises(StopAsyncIteration):
            await anext(items)
        with pytest.raises(StopAsyncIteration):
            await anext(items)
        entries = storage.entries()
        assert aiter(entries) is entries
        entry = await anext(entries)
        assert isinstance(entry, MemoryEntry)
        assert entry == await storage.get_entry("key")

    @requires("listings")
    @asynchronous
    async def test_a_listing_of_many_pages(self, storage: Storage) -> None:
        bulk = self.capabilities.bulk
        pairs = {f"page::{number:06}": number for number in range(bulk)}
        await storage.mset(pairs)
        await storage.set("zz", "last")
        for order in ORDERS[:2]:
            wanted = sorted(pairs, reverse=order is SortOrder.KEY_DESC)
            found = [row async for row in storage.items(namespace="page", sort_order=order)]
            assert found == [(key, pairs[key]) for key in wanted]
            found = [row async for row in storage.items(namespace="page", sort_order=order, offset=7, limit=bulk - 20)]
            assert found == [(key, pairs[key]) for key in wanted[7 : bulk - 13]]
            assert await storage.keys(namespace="page", sort_order=order) == wanted
            middle = bulk // 2
            found = await storage.keys(sort_order=order, limit=2, offset=middle, namespace="page")
            assert found == wanted[middle : middle + 2]
        if self.capabilities.created_order:
            for order in BY_CREATION:
                found = [key async for key, _ in storage.items(namespace="page", sort_order=order)]
                assert len(found) == bulk
                assert set(found) == set(pairs)
        found = [key async for key, _ in storage.items(pattern="page::*7")]
        assert found == [key for key in pairs if key.endswith("7")]

    @requires("listings")
    @asynchronous
    async def test_paging_by_hand(self, storage: Storage) -> None:
        wanted = [f"key-{number:03}" for number in range(100)]
        await storage.mset(dict.fromkeys(wanted, 0))
        found: list[str] = []
        while page := await storage.keys(limit=7, **({"after": found[-1]} if found else {})):
            found += page
        assert found == wanted

    @requires("listings")
    @asynchronous
    async def test_changes_while_iterating(self, storage: Storage, clock: ManualClock) -> None:
        orders = ORDERS if self.capabilities.created_order else ORDERS[:2]
        half = self.capabilities.bulk // 3
        for order in orders:
            await storage.clear()
            stay = [f"stay-{number:05}" for number in range(half)]
            await storage.mset(dict.fromkeys(stay, 0))
            await storage.mset({f"go-{number:05}": 0 for number in range(half)})
            clock.advance(1)
            seen = []
            async for pair in storage.items(sort_order=order):
                seen.append(pair[0])
                if len(seen) % 100 == 0:
                    await storage.mdelete([*(key for key in seen if key.startswith("go")), f"go-{len(seen):05}"])
                    await storage.set(f"new-{len(seen):05}", 0)
            assert len(seen) == len(set(seen)), order
            assert [key for key in seen if key.startswith("stay")] == (
                stay[::-1] if order is SortOrder.KEY_DESC else stay
            ) or (order in BY_CREATION and {key for key in seen if key.startswith("stay")} == set(stay)), order

    @requires("listings")
    @asynchronous
    async def test_an_iteration_that_is_left(self, storage: Storage) -> None:
        await storage.mset({f"key-{number:05}": number for number in range(3_000)})
        async for entry in storage.entries():
            if entry.value == 3:
                break
        entries = storage.entries()
        await anext(entries)
        del entries
        storage.items()
        await storage.set("key", 1)
        assert await storage.get("key") == 1

    @requires("listings")
    @asynchronous
    async def test_count(self, storage: Storage) -> None:
        assert await storage.count() == 0
        await self.fill(storage, dict.fromkeys(SHUFFLED, 0))
        assert await storage.count() == 10
        assert await storage.count("users") == 3
        assert await storage.count(namespace="users::ada") == 1
        assert await storage.count("user") == 0
        assert await storage.count(prefix="users") == 5
        assert await storage.count(prefix="") == 10
        assert await storage.count("users", prefix="users::a") == 2
        assert await storage.count("users", prefix="docs") == 0

    @requires("listings")
    @asynchronous
    async def test_filters_that_exclude_each_other(self, storage: Storage) -> None:
        names = ["a", "m", "z"]
        await self.fill(storage, {f"{name}::{number:03}": 0 for name in names for number in range(300)})
        for namespace in names:
            for prefix in [name for name in names if name != namespace]:
                assert await storage.count(namespace, prefix=prefix) == 0
                assert await storage.clear(namespace, prefix=prefix) == 0
                assert await storage.keys(namespace=namespace, prefix=prefix) == []
                assert await storage.keys(prefix=prefix, after=f"{prefix}~") == []
        assert await storage.count() == 900

    @requires("listings")
    @asynchronous
    async def test_clear(self, storage: Storage) -> None:
        await self.fill(storage, dict.fromkeys(SHUFFLED, 0))
        assert await storage.clear("users", prefix="docs") == 0
        assert await storage.clear("users", prefix="users::b") == 1
        assert await storage.clear("users") == 2
        assert await storage.clear("users") == 0
        assert await storage.keys() == ["Users::ada", "a", "docs::1", "m", "users", "users2::x", "z"]
        assert await storage.clear(prefix="users") == 2
        assert await storage.clear() == 5
        assert await storage.clear() == 0
        assert await storage.keys() == []

    @requires("listings")
    @asynchronous
    async def test_namespaces(self, storage: Storage) -> None:
        await self.fill(storage, dict.fromkeys([*SHUFFLED, "users::ada::notes::2024::01"], 0))
        assert await storage.namespaces() == [
            "Users",
            "docs",
            "users",
            "users2",
            "users::ada",
            "users::ada::notes",
            "users::ada::notes::2024",
            "users::bo",
        ]
        assert await storage.namespaces("users::") == [
            "users::ada",
            "users::ada::notes",
            "users::ada::notes::2024",
            "users::bo",
        ]
        assert await storage.namespaces("use", 1) == ["users", "users2"]
        assert await storage.namespaces(max_depth=1) == ["Users", "docs", "users", "users2"]
        assert await storage.namespaces(prefix="users::ada", max_depth=3) == ["users::ada", "users::ada::notes"]
        for keys in self.in_steps(["users::ada::notes::2024::01", "users::bo::a", "Users::ada"]):
            await storage.mdelete(keys)
        assert await storage.namespaces() == ["docs", "users", "users2", "users::ada"]

    @pytest.mark.parametrize(("depth", "error"), [(0, ValueError), (-1, ValueError), ("1", TypeError)])
    @asynchronous
    async def test_a_wrong_depth_is_refused(self, storage: Storage, depth: Any, error: type[Exception]) -> None:
        with pytest.raises(error):
            await storage.namespaces(max_depth=depth)

    @requires("listings")
    @asynchronous
    async def test_namespaces_of_many_keys(self, storage: Storage) -> None:
        keys = [f"user-{number % 300:03}::doc-{number % 7}::{number}" for number in range(3_000)]
        await self.fill(storage, dict.fromkeys(keys, 0))
        assert await storage.namespaces() == reference.namespaces(keys)
        assert await storage.namespaces("user-1", 1) == [f"user-1{number:02}" for number in range(100)]
        assert (await storage.stats()).namespace_count == 300

    @requires("listings")
    @asynchronous
    async def test_namespaces_are_sorted_as_wholes(self, storage: Storage) -> None:
        # "a!" sorts between "a" and "a::b": what stands in one namespace need not be listed in one run.
        keys = ["a::b::c", "a!::x", "a::!::x", "a:x::y", "a::", "a::b::", "a:::b", "b::::c"]
        await self.fill(storage, dict.fromkeys(keys, 0))
        assert await storage.namespaces() == reference.namespaces(keys)

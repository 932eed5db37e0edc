"""Expiry: gone at once for every operation, by a clock that the test moves."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from rrag_storage import Storage
from rrag_storage.testing import operations
from rrag_storage.testing.capabilities import requires
from rrag_storage.testing.loops import asynchronous, every_case

from .base import Contract

if TYPE_CHECKING:
    from collections.abc import Callable

    from rrag_storage import ManualClock

GONE: dict[str, tuple[Callable[[Storage], Any], Any]] = {
    "get": (lambda storage: storage.get("key", "gone"), "gone"),
    "get-refresh": (lambda storage: storage.get("key", "gone", refresh_ttl=60), "gone"),
    "get_value": (lambda storage: storage.get_value("key"), None),
    "get_entry": (lambda storage: storage.get_entry("key"), None),
    "get_entries": (lambda storage: storage.get_entries(["key"]), [None]),
    "mget": (lambda storage: storage.mget(["key"], "gone"), ["gone"]),
    "mget-refresh": (lambda storage: storage.mget(["key"], "gone", refresh_ttl=60), ["gone"]),
    "pop": (lambda storage: storage.pop("key", "gone"), "gone"),
    "delete": (lambda storage: storage.delete("key"), False),
    "exists": (lambda storage: storage.exists("key"), False),
    "mdelete": (lambda storage: storage.mdelete(["key"]), 0),
    "keys": (lambda storage: storage.keys(), []),
    "keys-prefix": (lambda storage: storage.keys(prefix="key"), []),
    "count": (lambda storage: storage.count(), 0),
    "count-prefix": (lambda storage: storage.count(prefix="key"), 0),
    "clear": (lambda storage: storage.clear(), 0),
    "clear-prefix": (lambda storage: storage.clear(prefix="key"), 0),
    "increment": (lambda storage: storage.increment("key", 5), 5),
    "expire": (lambda storage: storage.expire("key", 60), False),
    "persist": (lambda storage: storage.persist("key"), False),
    "ttl": (lambda storage: storage.ttl("key"), None),
    "set_if_absent": (lambda storage: storage.set_if_absent("key", 1), True),
}
"""What each operation gives for a key that has expired."""

WRONG_TTLS: list[Any] = [
    *((ttl, ValueError) for ttl in (0, -1, 0.0, -0.5, math.nan, math.inf, -math.inf, timedelta(0), timedelta(-1))),
    *((ttl, ValueError) for ttl in (1e12, 10**400, timedelta.max, 1e308)),
    *((ttl, TypeError) for ttl in (True, False, "5", b"5", [5], object(), 1j)),
]


async def seconds_left(storage: Storage, key: str = "key") -> float:
    """What `ttl` gives, checked to be a float."""
    left = await storage.ttl(key)
    assert type(left) is float
    return left


class Expiry(Contract):
    """`ttl` wherever it is an argument, `expire`, `persist`, `refresh_ttl`, and what has expired."""

    @pytest.mark.parametrize("ttl", [90, 90.0, timedelta(seconds=90), timedelta(minutes=1.5)], ids=repr)
    @asynchronous
    async def test_a_ttl_is_seconds_or_a_timedelta(self, storage: Storage, clock: ManualClock, ttl: Any) -> None:
        await storage.set("key", 1, ttl=ttl)
        assert await seconds_left(storage) == pytest.approx(90, abs=0.002)
        clock.advance(89.9)
        assert await storage.get("key") == 1
        assert await seconds_left(storage) == pytest.approx(0.1, abs=0.002)
        clock.advance(0.2)
        assert await storage.get("key") is None

    @requires("listings")
    @asynchronous
    async def test_a_fraction_of_a_second_counts(self, storage: Storage, clock: ManualClock) -> None:
        await storage.mset({"a": 1}, ttl=0.25)
        await storage.set("b", 1, ttl=timedelta(milliseconds=251))
        await storage.set("c", 1, ttl=0.0001)
        clock.advance(0.248)
        assert await storage.keys() == ["a", "b"]
        clock.advance(timedelta(milliseconds=10))
        assert await storage.keys() == []

    @asynchronous
    async def test_the_shortest_ttl_is_a_millisecond(self, storage: Storage, clock: ManualClock) -> None:
        await storage.set("key", 1, ttl=1e-9)
        assert await storage.get("key") == 1
        clock.advance(timedelta(milliseconds=2))
        assert await storage.get("key") is None

    @asynchronous
    async def test_a_long_ttl(self, storage: Storage, clock: ManualClock) -> None:
        century = timedelta(days=36_525)
        await storage.set("key", 1, ttl=century)
        clock.advance(century - timedelta(seconds=1))
        assert await storage.exists("key") is True
        clock.advance(2)
        assert await storage.exists("key") is False

    @requires("listings")
    @asynchronous
    async def test_a_wrong_ttl_is_refused(self, storage: Storage) -> None:
        await storage.set("key", 1)
        before = await storage.get_entry("key")
        with every_case() as case:
            for ttl, error in WRONG_TTLS:
                for name, operation in operations.WITH_TTL.items():
                    with case(f"{ttl!r:.40} in {name}"):
                        awaitable = operation(storage, ttl)
                        with pytest.raises(error):
                            await awaitable
                        assert [entry async for entry in storage.entries()] == [before]

    @asynchronous
    async def test_expire_needs_a_ttl(self, storage: Storage) -> None:
        await storage.set("key", 1)
        with pytest.raises(TypeError):
            await storage.expire("key", None)

    @requires("listings")
    @asynchronous
    async def test_what_has_expired_is_gone(self, storage: Storage, clock: ManualClock) -> None:
        with every_case() as case:
            for name, (call, wanted) in GONE.items():
                with case(name):
                    await storage.clear()
                    await storage.set("key", 1, ttl=10)
                    clock.advance(11)
                    assert await call(storage) == wanted

    @requires("listings")
    @asynchronous
    async def test_what_has_expired_is_in_no_listing(self, storage: Storage, clock: ManualClock) -> None:
        await self.fill(storage, {"a::short": 1, "b::short": 1}, ttl=10)
        await self.fill(storage, {"b::long": 2, "plain": 3})
        clock.advance(11)
        assert await storage.keys() == ["b::long", "plain"]
        assert await storage.keys(limit=1) == ["b::long"]
        assert await storage.keys(offset=1) == ["plain"]
        assert [pair async for pair in storage.items()] == [("b::long", 2), ("plain", 3)]
        assert [entry.key async for entry in storage.entries()] == ["b::long", "plain"]
        assert await storage.namespaces() == ["b"]
        assert await storage.count() == 2
        assert await storage.count("b") == 1
        stats = await storage.stats()
        assert (stats.total_keys, stats.namespace_count) == (2, 1)

    @asynchronous
    async def test_what_has_expired_is_created_anew(self, storage: Storage, clock: ManualClock) -> None:
        await storage.set("key", 1, ttl=10)
        old = await storage.get_entry("key")
        clock.advance(11)
        assert await storage.compare_and_set("key", 2, old.version) is False
        await storage.set("key", 2)
        new = await storage.get_entry("key")
        assert new.created_at - old.created_at > timedelta(seconds=10)
        assert new.expires_at is None

    @requires("listings")
    @asynchronous
    async def test_what_expires_while_it_is_listed(self, storage: Storage, clock: ManualClock) -> None:
        await storage.mset({f"long-{number:04}": 0 for number in range(1_500)})
        await storage.mset({f"short-{number:04}": 0 for number in range(1_500)}, ttl=10)
        seen = []
        async for entry in storage.entries():
            seen.append(entry.key)
            if len(seen) == 10:
                clock.advance(11)
        assert [key for key in seen if key.startswith("long")] == [f"long-{number:04}" for number in range(1_500)]
        assert await storage.count() == 1_500

    @asynchronous
    async def test_ttl(self, storage: Storage, clock: ManualClock) -> None:
        assert await storage.ttl("key") is None
        await storage.set("key", 1)
        assert await seconds_left(storage) == math.inf
        await storage.set("key", 1, ttl=10)
        clock.advance(4)
        assert await seconds_left(storage) == pytest.approx(6, abs=0.002)

    @asynchronous
    async def test_an_overwrite_takes_the_older_expiry_away(self, storage: Storage, clock: ManualClock) -> None:
        writes: list[Callable[[], Any]] = [
            lambda: storage.set("key", 2),
            lambda: storage.set("key", 2, ttl=None),
            lambda: storage.mset({"key": 2}),
        ]
        for write in writes:
            await storage.set("key", 1, ttl=10)
            await write()
            assert await seconds_left(storage) == math.inf
        await storage.set("key", 1, ttl=10)
        version = (await storage.get_entry("key")).version
        assert await storage.compare_and_set("key", 2, version) is True
        assert await seconds_left(storage) == math.inf
        version = (await storage.get_entry("key")).version
        assert await storage.compare_and_set("key", 3, version, ttl=20) is True
        assert await seconds_left(storage) == pytest.approx(20, abs=0.002)
        clock.advance(21)
        assert await storage.exists("key") is False

    @asynchronous
    async def test_set_if_absent_with_a_ttl(self, storage: Storage, clock: ManualClock) -> None:
        assert await storage.set_if_absent("key", 1, ttl=10) is True
        assert await storage.set_if_absent("key", 2, ttl=100) is False
        assert await seconds_left(storage) == pytest.approx(10, abs=0.002)
        clock.advance(11)
        assert await storage.set_if_absent("key", 3) is True
        assert await seconds_left(storage) == math.inf

    @asynchronous
    async def test_an_increment_keeps_the_expiry(self, storage: Storage, clock: ManualClock) -> None:
        await storage.set("key", 1, ttl=10)
        clock.advance(4)
        assert await storage.increment("key") == 2
        assert await seconds_left(storage) == pytest.approx(6, abs=0.002)
        await storage.increment("other")
        assert await seconds_left(storage, "other") == math.inf

    @asynchronous
    async def test_expire_and_persist(self, storage: Storage, clock: ManualClock) -> None:
        assert await storage.expire("key", 10) is False
        assert await storage.persist("key") is False
        assert await storage.count() == 0
        await storage.set("key", [1])
        assert await storage.expire("key", 10) is True
        assert await seconds_left(storage) == pytest.approx(10, abs=0.002)
        assert await storage.expire("key", timedelta(seconds=5)) is True
        assert await seconds_left(storage) == pytest.approx(5, abs=0.002)
        assert await storage.expire("key", 500) is True
        clock.advance(11)
        assert await storage.get("key") == [1]
        assert await storage.persist("key") is True
        assert await seconds_left(storage) == math.inf
        assert await storage.persist("key") is True
        clock.advance(1_000)
        assert await storage.get("key") == [1]

    @asynchronous
    async def test_refresh_ttl(self, storage: Storage, clock: ManualClock) -> None:
        await storage.set("key", 1, ttl=10)
        clock.advance(6)
        assert await storage.get("key", refresh_ttl=10) == 1
        clock.advance(6)
        assert await storage.mget(["key", "missing"], refresh_ttl=timedelta(seconds=10)) == [1, None]
        clock.advance(6)
        assert await storage.get("key") == 1
        clock.advance(6)
        assert await storage.get("key", "gone", refresh_ttl=10) == "gone"
        assert await storage.count() == 0

    @asynchronous
    async def test_refresh_ttl_of_what_never_expired(self, storage: Storage, clock: ManualClock) -> None:
        await storage.mset({"a": 1, "b": 2})
        assert await storage.get("a", refresh_ttl=10) == 1
        assert await storage.mget(["b"], refresh_ttl=10) == [2]
        clock.advance(11)
        assert await storage.count() == 0

    @asynchronous
    async def test_a_ttl_counts_from_when_the_operation_starts(self, storage: Storage, clock: ManualClock) -> None:
        operation = storage.set("key", 1, ttl=10)
        clock.advance(100)
        await operation
        assert await seconds_left(storage) == pytest.approx(10, abs=0.002)

    @requires("listings")
    @asynchronous
    async def test_many_expiries(self, storage: Storage, clock: ManualClock) -> None:
        for number in range(100):
            await storage.set(f"key-{number:02}", number, ttl=number + 1)
        for number in range(0, 100, 10):
            assert await storage.count() == 100 - number
            assert await storage.keys(limit=1) == [f"key-{number:02}"]
            clock.advance(10)
        assert await storage.count() == 0

"""What comes back is equal and of the same type, or was refused; there is no third outcome."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from rrag_storage import MemoryValue, Storage, UnsupportedTypeError
from rrag_storage.testing import cases, strategies
from rrag_storage.testing.capabilities import requires
from rrag_storage.testing.equality import assert_same
from rrag_storage.testing.loops import asynchronous, every_case

from .base import Contract

try:
    import numpy
except ImportError:
    numpy = None  # type: ignore[assignment]


class Values(Contract):
    """The tables of `rrag_storage.testing.cases`, and whatever Hypothesis thinks of."""

    @pytest.mark.parametrize("table", ["SCALARS", "CONTAINERS", "ARRAYS"])
    @asynchronous
    async def test_a_value_comes_back_exactly(self, storage: Storage, table: str) -> None:
        with every_case() as case:
            for name, value, kind in getattr(cases, table):
                with case(name):
                    await storage.set("key", value)
                    assert_same(await storage.get("key"), value)
                    stored = await storage.get_value("key")
                    assert stored.kind == kind
                    assert_same(stored.to_python(), value)
                    entry = await storage.get_entry("key")
                    assert entry.kind == kind
                    assert_same(entry.value, value)
                    await storage.mset({"copy": stored, "twin": MemoryValue.from_python(value)})
                    for copy in await storage.mget(["copy", "twin"]):
                        assert_same(copy, value)

    @pytest.mark.parametrize("table", ["SCALARS", "CONTAINERS", "ARRAYS"])
    @asynchronous
    async def test_a_value_within_others_comes_back_exactly(self, storage: Storage, table: str) -> None:
        with every_case() as case:
            for name, value, _ in getattr(cases, table):
                if name.startswith("deepest"):
                    continue
                with case(name):
                    outer = {"list": [value, value], "map": {"a": value, "b": [value]}, "tuple": ("a", value)}
                    await storage.mset(outer)
                    for back, wanted in zip(await storage.mget(outer), outer.values(), strict=True):
                        assert_same(back, wanted)

    @requires("listings")
    @asynchronous
    async def test_all_values_at_once(self, storage: Storage) -> None:
        values = {case.name: case.value for case in cases.VALUES}
        await storage.mset(values)
        for name, value in zip(values, await storage.mget(values), strict=True):
            assert_same(value, values[name])
        listed = {key: value async for key, value in storage.items()}
        assert set(listed) == set(values)
        for name, value in listed.items():
            assert_same(value, values[name])

    @asynchronous
    async def test_an_edge_comes_back_exactly_or_is_refused(self, storage: Storage) -> None:
        with every_case() as case:
            for name, value, kind in cases.EXACT_OR_REFUSED:
                with case(name):
                    await storage.clear()
                    try:
                        await storage.set("key", value)
                    except UnsupportedTypeError:
                        assert await storage.exists("key") is False
                    else:
                        assert_same(await storage.get("key"), value)
                        assert (await storage.get_entry("key")).kind == kind

    @requires("listings")
    @asynchronous
    async def test_what_is_not_supported_is_refused_with_its_path(self, storage: Storage) -> None:
        await storage.set("key", "old")
        before = [entry async for entry in storage.entries()]
        writes = {
            "set": lambda value: storage.set("key", value),
            "set_if_absent": lambda value: storage.set_if_absent("new", value),
            "compare_and_set": lambda value: storage.compare_and_set("key", value, before[0].version),
            "mset": lambda value: storage.mset({"new": 1, "key": value}),
        }
        with every_case() as case:
            for name, make, path, word in cases.REFUSED:
                for write, operation in writes.items():
                    with case(f"{name} in {write}"):
                        awaitable = operation(make())
                        with pytest.raises(UnsupportedTypeError) as refused:
                            await awaitable
                        assert isinstance(refused.value, TypeError)
                        assert path.removeprefix("value") in str(refused.value)
                        assert write == "mset" or path in str(refused.value)
                        assert word in str(refused.value)
                        assert len(str(refused.value)) < 2_000
                        assert [entry async for entry in storage.entries()] == before

    @asynchronous
    async def test_a_json_document_comes_back_as_its_python(self, storage: Storage) -> None:
        with every_case() as case:
            for name, document, back in cases.DOCUMENTS:
                with case(name):
                    value = MemoryValue.json(document)
                    assert value.kind == "json"
                    await storage.set("key", value)
                    assert_same(await storage.get("key"), back)
                    stored = await storage.get_value("key")
                    assert stored == value
                    assert_same(stored.as_json(), back)
                    assert (await storage.get_entry("key")).kind == "json"

    @pytest.mark.parametrize("document", [pytest.param(case[1], id=case[0]) for case in cases.NOT_DOCUMENTS])
    def test_what_is_no_json_is_refused(self, document: Any) -> None:
        with pytest.raises(UnsupportedTypeError):
            MemoryValue.json(document)

    @asynchronous
    async def test_a_reference_twice_is_no_cycle(self, storage: Storage) -> None:
        shared: list[Any] = [1]
        value = {"a": shared, "b": [shared, shared], "c": (shared,)}
        await storage.set("key", value)
        back = await storage.get("key")
        assert_same(back, value)
        back["a"].append(2)
        assert back["b"][0] == [1]

    @asynchronous
    async def test_one_list_a_million_times_has_a_bounded_cost(self, storage: Storage) -> None:
        value: Any = [7]
        for _ in range(20):
            value = [value, value]
        try:
            await storage.set("key", value)
        except UnsupportedTypeError:
            assert await storage.exists("key") is False
        else:
            assert await storage.get("key") == value

    @asynchronous
    async def test_a_value_that_changes_while_it_is_read(self, storage: Storage) -> None:
        victim: list[Any] = list(range(1_000))
        victim[10] = datetime(2024, 1, 1, tzinfo=cases.HostileZone(victim))
        try:
            await storage.set("key", victim)
        except Exception:  # noqa: BLE001  # any exception is fine, a crash or a lie isn't
            assert await storage.exists("key") is False
        else:
            assert (await storage.get("key"))[:10] == list(range(10))

    @asynchronous
    async def test_a_value_that_another_thread_changes(self, storage: Storage) -> None:
        value: dict[str, Any] = {"items": [], "map": {}}
        done = threading.Event()

        def change() -> None:
            number = 0
            while not done.is_set():
                number += 1
                value["items"].append([number])
                value["map"][str(number)] = number
                if number % 50 == 0:
                    value["items"].clear()
                    value["map"].clear()

        thread = threading.Thread(target=change, daemon=True)
        thread.start()
        try:
            for _ in range(200):
                try:
                    await storage.set("key", value)
                except (RuntimeError, UnsupportedTypeError):
                    continue
                back = await storage.get("key")
                assert all(type(item) is list and len(item) == 1 for item in back["items"])
                assert all(key == str(item) for key, item in back["map"].items())
        finally:
            done.set()
            thread.join()

    @asynchronous
    async def test_an_exception_from_a_value_is_handed_on(self, storage: Storage) -> None:
        with pytest.raises(ZeroDivisionError, match="no offset today"):
            await storage.set("key", [datetime(2024, 1, 1, tzinfo=cases.RaisingZone())])
        assert await storage.exists("key") is False

    @pytest.mark.skipif(numpy is None, reason="needs numpy")
    @asynchronous
    async def test_an_array_is_nobody_elses_memory(self, storage: Storage) -> None:
        array = numpy.arange(1_000, dtype="int64")
        operation = storage.set("key", array)
        array[:] = -1
        await operation
        first = await storage.get("key")
        assert first[999] == 999
        if first.flags.writeable:
            first[:] = -2
        second = await storage.get("key")
        assert not numpy.shares_memory(first, second)
        assert second.tolist() == list(range(1_000))
        await storage.set("key", 0)
        await storage.clear()
        assert second.tolist() == list(range(1_000))

    def test_any_value_comes_back_exactly(self, storage: Storage) -> None:
        @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(value=strategies.values())
        def check(value: Any) -> None:
            storage.sync.set("key", value)
            assert_same(storage.sync.get("key"), value)
            assert_same(MemoryValue.from_python(value).to_python(), value)

        check()

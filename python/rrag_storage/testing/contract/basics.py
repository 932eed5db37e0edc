"""Setting, getting, deleting: one key or many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rrag_storage import MemoryValue, Storage, UnsupportedTypeError
from rrag_storage.testing.capabilities import requires
from rrag_storage.testing.loops import asynchronous

from .base import Contract

if TYPE_CHECKING:
    from collections.abc import Callable


class Basics(Contract):
    """One key, many keys, and that what is stored is nobody else's object."""

    def test_is_a_storage(self, storage: Storage) -> None:
        assert isinstance(storage, Storage)
        assert isinstance(storage.backend_name, str)
        assert storage.backend_name

    def test_the_base_class_is_not_constructible(self) -> None:
        with pytest.raises(TypeError):
            Storage()

    @asynchronous
    async def test_get_gives_what_was_set(self, storage: Storage) -> None:
        assert await storage.set("key", "value") is None
        assert await storage.get("key") == "value"

    @asynchronous
    async def test_get_of_a_missing_key_gives_the_default(self, storage: Storage) -> None:
        default = object()
        assert await storage.get("missing") is None
        assert await storage.get("missing", default) is default
        assert await storage.get("missing", default=default) is default

    @asynchronous
    async def test_a_stored_none_is_not_missing(self, storage: Storage) -> None:
        await storage.set("key", None)
        assert await storage.get("key", "default") is None
        assert await storage.mget(["key", "missing"], "default") == [None, "default"]
        assert await storage.pop("key", "default") is None

    @asynchronous
    async def test_set_overwrites(self, storage: Storage) -> None:
        await storage.set("key", "a long first value" * 100)
        await storage.set("key", 2)
        assert await storage.get("key") == 2
        assert await storage.count() == 1

    @asynchronous
    async def test_set_of_the_same_value_again(self, storage: Storage) -> None:
        for _ in range(3):
            await storage.set("key", [1])
        assert await storage.get("key") == [1]

    @requires("listings")
    @asynchronous
    async def test_arguments_have_names(self, storage: Storage) -> None:
        await storage.set(key="key", value=1, ttl=60)
        assert await storage.get(key="key", default=0, refresh_ttl=60) == 1
        assert await storage.pop(key="missing", default=3) == 3
        assert await storage.set_if_absent(key="other", value=1, ttl=60) is True
        entry = await storage.get_entry(key="key")
        assert await storage.compare_and_set(key="key", value=2, version=entry.version, ttl=60) is True
        assert await storage.increment(key="key", by=3) == 5
        assert await storage.expire(key="key", ttl=60) is True
        assert await storage.mget(keys=["key"], default=None, refresh_ttl=60) == [5]
        assert await storage.mdelete(keys=["key", "other"]) == 2
        assert await storage.count(namespace="x", prefix="x") == 0
        assert await storage.clear(namespace="x", prefix="x") == 0
        assert await storage.namespaces(prefix="x", max_depth=1) == []

    @pytest.mark.parametrize(
        "call",
        [
            pytest.param(lambda storage: storage.set("key"), id="argument-missing"),
            pytest.param(lambda storage: storage.get(), id="all-missing"),
            pytest.param(lambda storage: storage.get("key", None, 5), id="keyword-only"),
            pytest.param(lambda storage: storage.delete("key", "other"), id="one-too-many"),
            pytest.param(lambda storage: storage.set("key", 1, time_to_live=5), id="unknown-name"),
            pytest.param(lambda storage: storage.set("key", 1, key="key"), id="given-twice"),
        ],
    )
    def test_a_wrong_signature_raises_at_the_call(self, storage: Storage, call: Callable[[Storage], Any]) -> None:
        with pytest.raises(TypeError):
            call(storage)

    @asynchronous
    async def test_get_value(self, storage: Storage) -> None:
        await storage.mset({"int": 1, "none": None})
        value = await storage.get_value("int")
        assert isinstance(value, MemoryValue)
        assert value.kind == "integer"
        assert value.to_python() == 1
        assert value.as_integer() == 1
        assert value.as_string() is None
        none = await storage.get_value("none")
        assert isinstance(none, MemoryValue)
        assert none.kind == "null"
        assert await storage.get_value("missing") is None

    @asynchronous
    async def test_delete(self, storage: Storage) -> None:
        await storage.set("key", 1)
        assert await storage.delete("key") is True
        assert await storage.delete("key") is False
        assert await storage.get("key") is None
        assert await storage.count() == 0

    @asynchronous
    async def test_exists(self, storage: Storage) -> None:
        assert await storage.exists("key") is False
        await storage.set("key", None)
        assert await storage.exists("key") is True
        await storage.delete("key")
        assert await storage.exists("key") is False

    @asynchronous
    async def test_pop(self, storage: Storage) -> None:
        default = object()
        await storage.set("key", {"a": 1})
        assert await storage.pop("key") == {"a": 1}
        assert await storage.exists("key") is False
        assert await storage.pop("key") is None
        assert await storage.pop("key", default) is default

    @asynchronous
    async def test_mset_of_a_mapping(self, storage: Storage) -> None:
        await storage.set("b", "old")
        assert await storage.mset({"a": 1, "b": 2, "c": 3}) is None
        assert await storage.mget(["a", "b", "c"]) == [1, 2, 3]

    @pytest.mark.parametrize(
        "pairs",
        [
            pytest.param(lambda: [("a", 1), ("b", 2)], id="list"),
            pytest.param(lambda: (("a", 1), ("b", 2)), id="tuple"),
            pytest.param(lambda: {"a": 1, "b": 2}.items(), id="items"),
            pytest.param(lambda: zip("ab", [1, 2], strict=True), id="iterator"),
            pytest.param(lambda: ((key, ord(key) - 96) for key in "ab"), id="generator"),
        ],
    )
    @asynchronous
    async def test_mset_of_pairs(self, storage: Storage, pairs: Callable[[], Any]) -> None:
        await storage.mset(pairs())
        assert await storage.mget(["a", "b"]) == [1, 2]
        assert await storage.count() == 2

    @asynchronous
    async def test_mset_of_a_key_twice_keeps_the_last(self, storage: Storage) -> None:
        await storage.mset([("a", 1), ("b", 2), ("a", 3)])
        assert await storage.mget(["a", "b"]) == [3, 2]

    @asynchronous
    async def test_mset_of_nothing(self, storage: Storage) -> None:
        await storage.mset({})
        await storage.mset([])
        assert await storage.count() == 0

    @pytest.mark.parametrize("items", [3, None, [1], ["ab", "c"], [("a",)], [("a", 1, 2)]], ids=repr)
    @asynchronous
    async def test_mset_of_what_is_not_pairs(self, storage: Storage, items: Any) -> None:
        with pytest.raises((TypeError, ValueError)):
            await storage.mset(items)
        assert await storage.count() == 0

    @asynchronous
    async def test_mset_stores_nothing_where_one_value_is_refused(self, storage: Storage) -> None:
        await storage.set("a", "old")
        with pytest.raises(UnsupportedTypeError):
            await storage.mset({"a": 1, "b": [object()], "c": 3})
        assert await storage.mget(["a", "b", "c"]) == ["old", None, None]

    @asynchronous
    async def test_mset_hands_on_what_the_iterable_raises(self, storage: Storage) -> None:
        def pairs() -> Any:
            yield "a", 1
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await storage.mset(pairs())
        assert await storage.count() == 0

    @asynchronous
    async def test_mget_is_as_long_as_its_keys(self, storage: Storage) -> None:
        default = object()
        await storage.mset({"a": 1, "b": [2]})
        assert await storage.mget(["b", "missing", "a", "b"]) == [[2], None, 1, [2]]
        assert await storage.mget(["missing", "a"], default) == [default, 1]
        assert await storage.mget([]) == []
        assert await storage.mget(("a", "b")) == [1, [2]]
        assert await storage.mget(key for key in "ab") == [1, [2]]
        assert await storage.mget({"a": None}.keys()) == [1]

    @asynchronous
    async def test_mget_gives_a_key_named_twice_two_values(self, storage: Storage) -> None:
        await storage.set("key", [1])
        one, other = await storage.mget(["key", "key"])
        one.append(2)
        assert other == [1]

    @pytest.mark.parametrize("operation", ["mget", "mdelete", "get_entries"])
    @pytest.mark.parametrize("keys", [3, None, [1], ["a", None]], ids=repr)
    @asynchronous
    async def test_many_keys_that_are_none(self, storage: Storage, operation: str, keys: Any) -> None:
        await storage.set("a", 1)
        with pytest.raises(TypeError):
            await getattr(storage, operation)(keys)
        assert await storage.count() == 1

    @requires("listings")
    @asynchronous
    async def test_mdelete_counts_each_key_once(self, storage: Storage) -> None:
        await storage.mset({"a": 1, "b": 2, "c": 3})
        assert await storage.mdelete(["a", "missing", "a", "b"]) == 2
        assert await storage.mdelete(["a", "b"]) == 0
        assert await storage.mdelete([]) == 0
        assert await storage.keys() == ["c"]

    @asynchronous
    async def test_many_at_once(self, storage: Storage) -> None:
        pairs = {f"key-{number:05}": number for number in range(3_000)}
        await storage.mset(pairs)
        assert await storage.mget(pairs) == list(pairs.values())
        assert await storage.mdelete(pairs) == 3_000
        assert await storage.count() == 0

    @asynchronous
    async def test_a_large_value(self, storage: Storage) -> None:
        value = bytes(range(256)) * 65_536
        await storage.set("key", value)
        assert await storage.get("key") == value
        await storage.set("key", {"text": "é" * 2_000_000})
        assert await storage.get("key") == {"text": "é" * 2_000_000}

    @asynchronous
    async def test_what_is_stored_is_a_snapshot_of_the_call(self, storage: Storage) -> None:
        value = {"items": [1]}
        operations = {
            "set": storage.set("set", value),
            "mset": storage.mset({"mset": value}),
            "set_if_absent": storage.set_if_absent("set_if_absent", value),
        }
        value["items"].append(2)
        for key, operation in operations.items():
            await operation
            value["items"].append(3)
            assert await storage.get(key) == {"items": [1]}

    @requires("listings")
    @asynchronous
    async def test_what_get_gives_is_the_callers(self, storage: Storage) -> None:
        await storage.set("key", {"items": [1]})
        for read in (
            await storage.get("key"),
            (await storage.mget(["key"]))[0],
            (await storage.get_entry("key")).value,
            (await storage.get_value("key")).to_python(),
            (await anext(storage.items()))[1],
        ):
            read["items"].append(2)
            read["more"] = 3
            assert await storage.get("key") == {"items": [1]}

    @asynchronous
    async def test_health_check(self, storage: Storage) -> None:
        assert await storage.health_check() is True

    @asynchronous
    async def test_every_storage_has_its_own_keys(self, storage: Storage, make_storage: Callable[[], Storage]) -> None:
        await storage.set("key", 1)
        async with make_storage() as other:
            assert await other.get("key") is None
            await other.set("key", 2)
        assert await storage.get("key") == 1

    @asynchronous
    async def test_a_storage_is_awaitable(self, make_storage: Callable[[], Storage]) -> None:
        storage = make_storage()
        assert await storage is storage
        await storage.set("key", 1)
        assert await storage is storage
        assert await storage.get("key") == 1
        await storage.close()

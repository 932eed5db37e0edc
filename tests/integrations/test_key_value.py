"""py-key-value's store: what its protocols ask, its adapters and wrappers, and FastMCP's caching over it."""

from __future__ import annotations

import asyncio
import math
from datetime import datetime, timezone
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from fastmcp import Client, FastMCP
from fastmcp.server.middleware.caching import ResponseCachingMiddleware
from key_value.aio.adapters.pydantic import PydanticAdapter
from key_value.aio.errors import DeserializationError, InvalidTTLError, SerializationError
from key_value.aio.protocols.key_value import (
    AsyncDestroyCollectionProtocol,
    AsyncDestroyStoreProtocol,
    AsyncEnumerateCollectionsProtocol,
    AsyncEnumerateKeysProtocol,
    AsyncKeyValueProtocol,
)
from key_value.aio.wrappers.prefix_collections import PrefixCollectionsWrapper
from pydantic import AnyHttpUrl, BaseModel
from rrag_storage import InMemoryStorage, InvalidKeyError, ManualClock, Storage
from rrag_storage.integrations.key_value import RragKeyValueStore

if TYPE_CHECKING:
    from key_value.aio.protocols.key_value import AsyncKeyValue

AWKWARD = ["a", "::", "a::b", "a::", "%", "%3A", "%25", "ä", "a b", "A", "*", "a/b", "\0", "test!@#$%^&*()"]


@pytest.fixture
def store(any_storage: Storage) -> RragKeyValueStore:
    return RragKeyValueStore(any_storage)


def test_it_has_the_protocols(store: RragKeyValueStore) -> None:
    checked: AsyncKeyValue = store
    for protocol in (
        AsyncKeyValueProtocol,
        AsyncEnumerateKeysProtocol,
        AsyncEnumerateCollectionsProtocol,
        AsyncDestroyCollectionProtocol,
        AsyncDestroyStoreProtocol,
    ):
        assert isinstance(checked, protocol)


async def test_one_key(store: RragKeyValueStore) -> None:
    assert await store.get("k") is None
    assert await store.ttl("k") == (None, None)
    assert await store.delete("k") is False
    value = {"s": "ä\0", "n": [1, 10**30, -0.5, None, True], "deep": {"": {}}}
    await store.put("k", MappingProxyType(value))
    got = await store.get("k")
    assert got == value
    assert got is not None
    got["n"].append("changed")
    assert await store.get("k") == value
    assert await store.ttl("k") == (value, None)
    await store.put("k", {"pair": (1, 2)})
    assert await store.get("k") == {"pair": [1, 2]}
    assert await store.delete("k") is True
    assert await store.get("k") is None


async def test_many_keys(store: RragKeyValueStore) -> None:
    await store.put_many(["a", "b", "a"], [{"n": 1}, {"n": 2}, {"n": 3}], ttl=100)
    assert await store.get_many(["b", "x", "a", "b"]) == [{"n": 2}, None, {"n": 3}, {"n": 2}]
    (one, left), missing = await store.ttl_many(["a", "x"])
    assert one == {"n": 3}
    assert left == pytest.approx(100, abs=5)
    assert missing == (None, None)
    assert await store.delete_many(["a", "a", "x"]) == 1
    assert await store.get_many([]) == []
    with pytest.raises(ValueError, match="1 for 2"):
        await store.put_many(["c", "d"], [{}])
    with pytest.raises(SerializationError):
        await store.put_many(["c", "d"], [{}, {"bad": object()}])
    assert await store.keys() == ["b"]


async def test_keys_and_collections_never_meet(store: RragKeyValueStore, any_storage: Storage) -> None:
    await RragKeyValueStore(any_storage, namespace="key_value2").put("a", {}, collection="a")
    for collection in AWKWARD:
        for key in [*AWKWARD, ""]:
            await store.put(key, {"at": [collection, key]}, collection=collection)
    assert sorted(await store.collections()) == sorted(AWKWARD)
    for collection in AWKWARD:
        assert sorted(await store.keys(collection)) == sorted([*AWKWARD, ""])
        for key in AWKWARD:
            assert await store.get(key, collection=collection) == {"at": [collection, key]}
    assert await store.destroy_collection("a") is True
    assert await store.destroy_collection("a") is False
    assert sorted(await store.collections()) == sorted(AWKWARD[1:])
    assert len(await store.keys("::", limit=3)) == 3
    assert len(await store.collections(limit=3)) == 3
    assert await store.destroy() is True
    assert await store.collections() == []
    assert await any_storage.keys() == ["key_value2::a::a"]


async def test_the_default_collection(any_storage: Storage) -> None:
    store = RragKeyValueStore(any_storage, default_collection="mine")
    await store.put("k", {"n": 1})
    assert await store.get("k", collection="mine") == {"n": 1}
    assert await RragKeyValueStore(any_storage).get("k") is None
    assert await store.keys() == ["k"]
    assert await store.collections() == ["mine"]


async def test_values_expire(store: RragKeyValueStore, clock: ManualClock) -> None:
    await store.put("k", {}, ttl=Fraction(1, 2))
    clock.advance(0.4)
    assert await store.get("k") == {}
    clock.advance(0.2)
    assert await store.get("k") is None
    assert await store.ttl_many(["k"]) == [(None, None)]
    assert await store.keys() == await store.collections() == []


@pytest.mark.parametrize("ttl", [0, -1, math.nan, math.inf, True, "soon", [], object()])
async def test_bad_ttls_change_nothing(store: RragKeyValueStore, ttl: Any) -> None:
    with pytest.raises(InvalidTTLError):
        await store.put("k", {}, ttl=ttl)
    with pytest.raises(InvalidTTLError):
        await store.put_many(["k"], [{}], ttl=ttl)
    assert await store.get("k") is None


@pytest.mark.parametrize(
    "bad",
    [datetime.now(timezone.utc), UUID(int=1), b"", {1}, {1: 2}, math.nan, AnyHttpUrl("https://example.org"), object()],
)
async def test_what_json_can_not_hold_changes_nothing(store: RragKeyValueStore, bad: Any) -> None:
    await store.put("k", {"old": True})
    with pytest.raises(SerializationError, match=r'value\["deep"\]\[0\]'):
        await store.put("k", {"deep": [bad]})
    assert await store.get("k") == {"old": True}


@pytest.mark.parametrize("bad", [None, [], "text", [("a", 1)]])
async def test_only_mappings_are_values(store: RragKeyValueStore, bad: Any) -> None:
    with pytest.raises(TypeError, match="mapping"):
        await store.put("k", bad)
    assert await store.get("k") is None


@pytest.mark.parametrize("stored", [None, [1], "secret"])
async def test_what_is_no_mapping_never_reads_as_missing(
    store: RragKeyValueStore, any_storage: Storage, stored: Any
) -> None:
    await any_storage.set("key_value::default_collection::k", stored)
    for read in (store.get("k"), store.get_many(["k"]), store.ttl("k"), store.ttl_many(["k"])):
        with pytest.raises(DeserializationError, match="'k'") as caught:
            await read
        assert "secret" not in str(caught.value)


async def test_a_key_that_is_too_long_is_told(store: RragKeyValueStore) -> None:
    await store.put("k" * 800, {}, collection="c" * 1200)
    assert await store.get("k" * 800, collection="c" * 1200) == {}
    with pytest.raises(InvalidKeyError):
        await store.put("k" * 3000, {})


async def test_many_at_once(store: RragKeyValueStore) -> None:
    await asyncio.gather(*(store.put(f"k{n}", {"n": n}) for n in range(100)))
    assert await store.get_many([f"k{n}" for n in range(100)]) == [{"n": n} for n in range(100)]


class Note(BaseModel):
    text: str
    at: datetime


async def test_under_py_key_value_s_own_layers(store: RragKeyValueStore) -> None:
    notes = PydanticAdapter[Note](
        key_value=PrefixCollectionsWrapper(key_value=store, prefix="app"),
        pydantic_model=Note,
        default_collection="notes",
    )
    note = Note(text="ä", at=datetime(2024, 2, 29, tzinfo=timezone.utc))
    await notes.put(key="a", value=note)
    assert await notes.get(key="a") == note
    assert await notes.get(key="b") is None
    assert len(await store.collections()) == 1


async def test_fastmcp_answers_from_it(any_storage: Storage) -> None:
    calls = []

    def server() -> FastMCP[Any]:
        mcp: FastMCP[Any] = FastMCP("test")
        mcp.add_middleware(ResponseCachingMiddleware(cache_storage=RragKeyValueStore(any_storage)))

        @mcp.tool
        def double(n: int) -> int:
            calls.append(n)
            return 2 * n

        return mcp

    for _ in range(2):  # the second one is another process that was started later, as it were
        async with Client(server()) as client:
            assert (await client.call_tool("double", {"n": 21})).data == 42
            assert [tool.name for tool in await client.list_tools()] == ["double"]
    assert calls == [21]


@pytest.mark.parametrize(
    "arguments", [{"storage": "memory://"}, {"namespace": ""}, {"default_collection": ""}, {"default_collection": None}]
)
def test_arguments_are_checked(arguments: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        RragKeyValueStore(**{"storage": InMemoryStorage(), **arguments})

"""LangGraph's cache of nodes over ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from langchain_core.messages import AIMessage
from rrag_storage import CorruptedDataError
from rrag_storage.integrations.langgraph import RragNodeCache

if TYPE_CHECKING:
    from langgraph.cache.base import FullKey
    from rrag_storage import ManualClock, Storage


async def test_results_come_back(any_storage: Storage) -> None:
    cache = RragNodeCache(any_storage)
    results = {"none": None, "bytes": b"\x00", "array": bytearray(b"1"), "messages": [["messages", AIMessage("hi")]]}
    pairs: dict[FullKey, tuple[object, int | None]] = {
        (("n", "m"), key): (value, None) for key, value in results.items()
    }
    cache.set(pairs)
    wanted: list[FullKey] = [*pairs, (("n", "m"), "missing"), (("n",), "none")]
    assert cache.get(wanted) == await cache.aget(wanted) == {key: value for key, (value, _) in pairs.items()}
    assert cache.get([]) == {}
    await cache.aset({(("n", "m"), "none"): (1, None)})
    assert cache.get([(("n", "m"), "none")]) == {(("n", "m"), "none"): 1}


async def test_namespaces_never_meet(any_storage: Storage) -> None:
    await any_storage.set("langgraph_cache2::k", "outside")
    cache = RragNodeCache(any_storage)
    places: list[FullKey] = [
        (("a::b",), "c"),
        (("a",), "b::c"),
        (("a", "b"), "c"),
        (("a",), ""),
        ((), "a"),
        (("ab",), "c"),
    ]
    await cache.aset({place: (number, None) for number, place in enumerate(places)})
    assert cache.get(places) == {place: number for number, place in enumerate(places)}
    await cache.aclear([("a",), ("missing",)])
    assert set(cache.get(places)) == {places[0], places[2], places[4], places[5]}
    cache.clear([()])
    assert set(cache.get(places)) == {places[0], places[2], places[5]}
    cache.clear()
    assert cache.get(places) == {}
    assert await any_storage.keys() == ["langgraph_cache2::k"]


def test_results_expire(any_storage: Storage, clock: ManualClock) -> None:
    cache = RragNodeCache(any_storage)
    keys: list[FullKey] = [(("n",), key) for key in ("short", "long", "ever")]
    cache.set({key: (1, ttl) for key, ttl in zip(keys, (1, 10, None), strict=True)})
    clock.advance(1)
    assert list(cache.get(keys)) == keys[1:]
    clock.advance(9)
    assert list(cache.get(keys)) == keys[2:]
    with pytest.raises(ValueError, match="ttl"):
        cache.set({keys[0]: (2, None), keys[1]: (2, 0)})
    assert cache.get(keys) == {keys[2]: 1}


def test_what_is_no_result_raises(any_storage: Storage) -> None:
    cache = RragNodeCache(any_storage)
    cache.set({(("n",), "k"): (1, None)})
    (key,) = any_storage.sync.keys()
    any_storage.sync.set(key, None)
    with pytest.raises(CorruptedDataError, match="NoneType"):
        cache.get([(("n",), "k")])
    any_storage.sync.set(key, ("pickle", b"cos\nsystem\n(S'true'\ntR."))
    with pytest.raises(NotImplementedError, match="pickle"):
        cache.get([(("n",), "k")])

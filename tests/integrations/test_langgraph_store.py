"""LangGraph's store over ours: keys, namespaces, filters, expiry, and searches by meaning."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langgraph.store.base import GetOp, InvalidNamespaceError, ListNamespacesOp, PutOp, SearchOp
from rrag_storage import CorruptedDataError, ManualClock, ObjectStorage, Storage, UnsupportedTypeError
from rrag_storage.integrations._steps import blocking
from rrag_storage.integrations.langgraph import RragStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Letters(Embeddings):
    """As many dimensions as letters: how often each is in a text. Remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.calls.append(texts)
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return [float(text.count(letter)) for letter in "abcd"]


def keys(items: Sequence[Any]) -> list[str]:
    return [item.key for item in items]


async def test_items_come_back(any_storage: Storage) -> None:
    store = RragStore(any_storage)
    value = {"text": "hi", "nested": {"list": [1, (2, None)], "bytes": b"\x00"}}
    store.put(("users", "ada"), "note", value)
    item = await store.aget(("users", "ada"), "note")
    assert item is not None
    assert (item.namespace, item.key, item.value) == (("users", "ada"), "note", value)
    assert item.created_at.tzinfo is not None
    assert item.updated_at >= item.created_at
    await store.aput(("users", "ada"), "note", {"text": "bye"})
    again = store.get(("users", "ada"), "note")
    assert again is not None
    assert again.value == {"text": "bye"}
    assert again.created_at == item.created_at
    assert again.updated_at >= item.updated_at
    store.delete(("users", "ada"), "note")
    assert await store.aget(("users", "ada"), "note") is None
    assert await any_storage.count() == 0


async def test_namespaces_never_meet(any_storage: Storage) -> None:
    store = RragStore(any_storage)
    places = [(("a::b",), "c"), (("a",), "b::c"), (("a", "b"), "c"), (("a:",), ":c"), (("a%3A",), "c"), (("a",), "%i")]
    places += [(("a", "%i"), "c"), (("ab",), "c"), (("a_",), "c"), (("A",), "c"), (("a",), "")]
    for number, (namespace, key) in enumerate(places):
        await store.aput(namespace, key, {"number": number})
    for number, (namespace, key) in enumerate(places):
        item = await store.aget(namespace, key)
        assert item is not None
        assert item.value == {"number": number}
        assert (item.namespace, item.key) == (namespace, key)
    below = await store.asearch(("a",), limit=100)
    assert {(item.namespace, item.key) for item in below} == {place for place in places if place[0][0] == "a"}
    assert set(store.list_namespaces()) == {namespace for namespace, _ in places}
    assert len(store.search((), limit=100)) == len(places)


def test_listing_namespaces(any_storage: Storage) -> None:
    store = RragStore(any_storage)
    spaces = [("a", "b", "c"), ("a", "b", "d"), ("a", "x", "c"), ("ab", "c"), ("z",)]
    for space in spaces:
        store.put(space, "k", {})
        store.put(space, "l", {})
    assert store.list_namespaces() == sorted(spaces)
    assert store.list_namespaces(prefix=("a",)) == sorted(spaces[:3])
    assert store.list_namespaces(prefix=("a", "*", "c")) == [("a", "b", "c"), ("a", "x", "c")]
    assert store.list_namespaces(suffix=("c",)) == [("a", "b", "c"), ("a", "x", "c"), ("ab", "c")]
    assert store.list_namespaces(prefix=("a",), suffix=("b", "*")) == [("a", "b", "c"), ("a", "b", "d")]
    assert store.list_namespaces(max_depth=2) == [("a", "b"), ("a", "x"), ("ab", "c"), ("z",)]
    assert store.list_namespaces(limit=2, offset=1) == sorted(spaces)[1:3]
    store.delete(("z",), "k")
    store.delete(("z",), "l")
    assert ("z",) not in store.list_namespaces()


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, "abcde"),
        ({"kind": "cat"}, "ab"),
        ({"kind": {"$eq": "cat"}, "age": 3}, "a"),
        ({"kind": {"$ne": "cat"}}, "cde"),
        ({"age": {"$gt": 3}}, "bc"),
        ({"age": {"$gte": 3, "$lt": 7}}, "abd"),
        ({"age": {"$lte": "4"}}, "ad"),
        ({"kind": {"$gte": "dog"}}, "ce"),
        ({"owner": {"name": "Ada"}}, "ac"),
        ({"owner": {"name": {"$ne": "Ada"}, "age": {"$gt": 30}}}, "b"),
        ({"tags": ["x", {"$ne": "z"}]}, "a"),
        ({"owner": None}, "de"),
        ({"missing": None}, "abcde"),
    ],
)
async def test_filters(any_storage: Storage, wanted: dict[str, Any], found: str) -> None:
    store = RragStore(any_storage)
    values: dict[str, dict[str, Any]] = {
        "a": {"kind": "cat", "age": 3, "owner": {"name": "Ada", "age": 36}, "tags": ["x", "y"]},
        "b": {"kind": "cat", "age": 5.5, "owner": {"name": "Alan", "age": 41}, "tags": ["x", "z"]},
        "c": {"kind": "dog", "age": 7, "owner": {"name": "Ada"}, "tags": "x"},
        "d": {"kind": None, "age": 3},
        "e": {"kind": "fish", "age": None},
    }
    await store.abatch([PutOp(("pets",), key, value) for key, value in values.items()])
    assert "".join(keys(store.search(("pets",), filter=wanted))) == found
    assert "".join(keys(await store.asearch(("pets",), filter=wanted, limit=2, offset=1))) == found[1:3]


@pytest.mark.parametrize(
    "wanted", [{"age": {"$near": 3}}, {"age": {"$gt": 3, "name": 1}}, {"a": {"b": {"$regex": "x"}}}]
)
def test_filters_that_mean_nothing(any_storage: Storage, wanted: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"operator"):
        RragStore(any_storage).search(("pets",), filter=wanted)


async def test_a_batch_reads_before_it_writes(any_storage: Storage) -> None:
    store = RragStore(any_storage)
    store.put(("n",), "old", {"v": 0})
    results = await store.abatch(
        [
            PutOp(("n",), "new", {"v": 1}),
            GetOp(("n",), "new"),
            PutOp(("n",), "new", {"v": 2}),
            PutOp(("n",), "old", None),
            GetOp(("n",), "old"),
            SearchOp(("n",)),
            ListNamespacesOp(),
        ]
    )
    assert results[0] is results[1] is results[2] is results[3] is None
    assert results[4].value == {"v": 0}  # type: ignore[union-attr]
    assert keys(results[5]) == ["old"]  # type: ignore[arg-type]
    assert results[6] == [("n",)]
    assert keys(store.search(("n",))) == ["new"]
    assert store.get(("n",), "new").value == {"v": 2}  # type: ignore[union-attr]


def test_a_batch_is_written_whole_or_not_at_all(any_storage: Storage) -> None:
    store = RragStore(any_storage)
    store.put(("n",), "old", {"v": 0})
    writes = [
        PutOp(("n",), "a", {"v": 1}),
        PutOp(("n",), "b", {"v": 1}, ttl=5),
        PutOp(("n",), "old", None),
        PutOp(("n",), "bad", {"v": [object()]}),
    ]
    with pytest.raises(UnsupportedTypeError, match=r"object"):
        store.batch(writes)
    assert keys(store.search(("n",))) == ["old"]
    store.batch(writes[:3])
    assert keys(store.search(("n",))) == ["a", "b"]


def test_bad_operations(any_storage: Storage) -> None:
    store = RragStore(any_storage)
    for op in (GetOp(("a.b",), "k"), PutOp(("",), "k", {}), SearchOp(("a\0",))):
        with pytest.raises(InvalidNamespaceError):
            store.batch([op])
    with pytest.raises(ValueError, match="Unknown operation"):
        store.batch(["get"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="must be a mapping, not list"):
        store.put(("a",), "k", [1])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="ttl must be positive"):
        store.put(("a",), "k", {}, ttl=-1)
    assert any_storage.sync.count() == 0


def test_items_expire_and_reading_refreshes(any_storage: Storage, clock: ManualClock) -> None:
    store = RragStore(any_storage, index={"dims": 4, "embed": Letters()}, ttl={"default_ttl": 10})
    store.put(("n",), "default", {"t": "a"})
    store.put(("n",), "short", {"t": "b"}, ttl=1)
    store.put(("n",), "ever", {"t": "c"}, ttl=None)
    updated = store.get(("n",), "default", refresh_ttl=False).updated_at  # type: ignore[union-attr]
    clock.advance(61)
    assert keys(store.search(("n",), refresh_ttl=False)) == ["default", "ever"]
    clock.advance(9 * 60 - 2)  # one second before
    assert store.get(("n",), "default") is not None
    clock.advance(9 * 60)
    assert keys(store.search(("n",), query="a")) == ["default", "ever"]
    clock.advance(9 * 60)
    found = store.search(("n",), query="a", refresh_ttl=False)
    assert keys(found) == ["default", "ever"]
    assert [item.score for item in found] == pytest.approx([1, 0])
    assert found[0].updated_at == updated
    clock.advance(60)
    assert keys(store.search(("n",), query="a")) == ["ever"]
    assert any_storage.sync.count() == 2


def test_reading_refreshes_nothing_where_it_should_not(any_storage: Storage, clock: ManualClock) -> None:
    store = RragStore(any_storage, ttl={"default_ttl": 1, "refresh_on_read": False})
    store.put(("n",), "k", {})
    clock.advance(59)
    assert store.get(("n",), "k") is not None
    clock.advance(1)
    assert store.get(("n",), "k") is None


def test_a_refresh_leaves_what_was_written_meanwhile(any_storage: Storage, clock: ManualClock) -> None:
    store = RragStore(any_storage, index={"dims": 4, "embed": Letters()})
    store.batch([PutOp(("n",), key, {"t": "a"}, ttl=1) for key in ("ever", "longer")])
    seen = list(any_storage.namespace("langgraph_store").sync.entries(namespace="items"))
    store.put(("n",), "ever", {"t": "b"})
    store.put(("n",), "longer", {"t": "b"}, ttl=60)
    blocking(store._refresh(seen))
    ttls = {key: any_storage.sync.ttl(key) for key in any_storage.sync.keys()}  # noqa: SIM118
    assert {key.rpartition("::")[2]: ttl for key, ttl in ttls.items()} == {
        "ever": math.inf,
        "longer": pytest.approx(3600),
    }
    assert len(ttls) == 4


async def test_search_by_meaning_is_exact(any_storage: Storage) -> None:
    model = DeterministicFakeEmbedding(size=8)
    store = RragStore(any_storage, index={"dims": 8, "embed": model, "fields": ["text"]})
    texts = {f"{number:04}": f"text {number}" for number in range(1_500)}
    await store.abatch([PutOp(("docs", key[-1]), key, {"text": text}) for key, text in texts.items()])
    query = np.array(model.embed_query("q"))
    vectors = np.array([model.embed_query(text) for text in texts.values()])
    cosines = vectors @ query / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
    wanted = [f"{place:04}" for place in np.argsort(-cosines)]
    found = await store.asearch(("docs",), query="q", limit=40, offset=10)
    assert keys(found) == wanted[10:50]
    assert [item.score for item in found] == pytest.approx([cosines[int(item.key)] for item in found], abs=1e-6)
    assert keys(store.search(("docs", "7"), query="q", limit=5)) == [key for key in wanted if key[-1] == "7"][:5]
    stored: Any = await any_storage.get("langgraph_store::vectors::docs::7::%i::0007")
    assert (stored.dtype, stored.shape) == (np.float32, (1, 8))


def test_what_is_embedded(any_storage: Storage) -> None:
    model = Letters()
    store = RragStore(any_storage, index={"dims": 4, "embed": model, "fields": ["title", "parts[*].text"]})
    store.batch(
        [
            PutOp(("n",), "two", {"title": "aaa", "parts": [{"text": "b"}, {"text": "cc"}]}),
            PutOp(("n",), "same", {"title": "aaa"}),
            PutOp(("n",), "other", {"title": "aaa", "note": "d"}, index=["note"]),
            PutOp(("n",), "none", {"title": "aaa"}, index=False),
            PutOp(("n",), "empty", {"body": "a"}),
        ]
    )
    assert model.calls == [["aaa", "b", "cc", "d"]]
    assert keys(store.search(("n",), query="c"))[0] == "two"
    ranked = store.search(("n",), query="a")
    assert [(item.key, item.score) for item in ranked] == [
        ("same", pytest.approx(1)),
        ("two", pytest.approx(1)),
        ("other", pytest.approx(0)),
        ("empty", None),
        ("none", None),
    ]
    assert keys(store.search(("n",), query="a", limit=2, offset=2)) == ["other", "empty"]
    assert keys(store.search(("n",), query="a", filter={"note": "d"})) == ["other"]
    assert [item.score for item in store.search(("n",))] == [None] * 5
    store.put(("n",), "same", {"title": "aaa"}, index=False)
    assert [item.key for item in store.search(("n",), query="a") if item.score is not None] == ["two", "other"]


async def test_an_embedding_function_of_ones_own(any_storage: Storage) -> None:
    async def embed(texts: Sequence[str]) -> list[list[float]]:
        await asyncio.sleep(0)
        return [[float(len(text)), 1.0] for text in texts]

    store = RragStore(any_storage, index={"dims": 2, "embed": embed, "fields": ["text"]})
    await store.aput(("n",), "long", {"text": "x" * 50})
    await store.aput(("n",), "short", {"text": "x"})
    assert keys(await store.asearch(("n",), query="yy" * 20)) == ["long", "short"]


def test_a_changed_model_is_noticed(any_storage: Storage) -> None:
    RragStore(any_storage, index={"dims": 4, "embed": Letters()}).put(("n",), "k", {"t": "a"})
    other = RragStore(any_storage, index={"dims": 2, "embed": DeterministicFakeEmbedding(size=2)})
    with pytest.raises(ValueError, match="put the items again"):
        other.search(("n",), query="a")
    with pytest.raises(ValueError, match="the index has 3"):
        RragStore(any_storage, index={"dims": 3, "embed": Letters()}).put(("n",), "k", {"t": "a"})


def test_what_is_no_item_raises(any_storage: Storage) -> None:
    store = RragStore(any_storage)
    store.put(("n",), "k", {})
    any_storage.sync.set("langgraph_store::items::n::%i::k", None)
    with pytest.raises(CorruptedDataError, match="is no item"):
        store.get(("n",), "k")


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"ttl": 60}, TypeError, "must be a TTLConfig"),
        ({"ttl": {"default_ttl": 0}}, ValueError, "default_ttl"),
        ({"index": {"embed": Letters()}}, ValueError, "dims"),
        ({"index": {"dims": 4}}, ValueError, "embed"),
    ],
)
def test_bad_arguments(any_storage: Storage, options: dict[str, Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        RragStore(any_storage, **options)


async def test_many_tasks_at_once(any_storage: Storage) -> None:
    store = RragStore(any_storage)
    await asyncio.gather(*(store.aput(("n", str(number % 7)), str(number), {"v": number}) for number in range(200)))
    assert len(store.search(("n",), limit=500)) == 200  # blocking, while a loop runs


async def test_without_transactions(tmp_path: Path) -> None:
    async with ObjectStorage(f"file://{tmp_path}") as storage:
        store = RragStore(storage)
        await store.aput(("n",), "old", {})
        await store.abatch(
            [PutOp(("n",), "a", {"v": 1}), PutOp(("n",), "b", {"v": 1}, ttl=5), PutOp(("n",), "old", None)]
        )
        assert keys(await store.asearch(("n",))) == ["a", "b"]
        assert store.list_namespaces() == [("n",)]

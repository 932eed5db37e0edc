"""Haystack's document store: the framework's suites, blocking and awaited, and what they don't ask."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from haystack import Pipeline
from haystack.components.writers import DocumentWriter
from haystack.core.errors import DeserializationError
from haystack.core.serialization import allow_deserialization_module
from haystack.dataclasses import ByteStream, Document, SparseEmbedding
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.document_stores.types import DuplicatePolicy
from haystack.errors import FilterError
from haystack.testing import document_store as suites
from haystack.testing import document_store_async as async_suites
from rrag_storage import (
    CorruptedDataError,
    DatabaseStorage,
    InMemoryStorage,
    ObjectStorage,
    Storage,
    StorageClosedError,
    UnsupportedOperationError,
    UnsupportedTypeError,
)
from rrag_storage.integrations.haystack import RragDocumentStore

if TYPE_CHECKING:
    from pathlib import Path

FAIL, SKIP, OVERWRITE = DuplicatePolicy.FAIL, DuplicatePolicy.SKIP, DuplicatePolicy.OVERWRITE


@pytest.fixture
def document_store(any_storage: Storage) -> RragDocumentStore:
    return RragDocumentStore(any_storage)


class TestSuites(
    suites.DocumentStoreBaseExtendedTests,
    suites.CountDocumentsByFilterTest,
    suites.CountUniqueMetadataByFilterTest,
    suites.GetMetadataFieldsInfoTest,
    suites.GetMetadataFieldMinMaxTest,
    suites.GetMetadataFieldUniqueValuesTest,
    suites.FilterableDocsFixtureMixin,
):
    """What Haystack asks of the blocking calls."""

    # They ask for an index to build anew, which there is none.
    test_delete_all_documents_with_recreate_index: Any = None
    test_delete_all_documents_without_recreate_index: Any = None

    @pytest.fixture
    def document_store(self, any_storage: Storage) -> RragDocumentStore:
        return RragDocumentStore(any_storage)

    def test_write_documents(self, document_store: RragDocumentStore) -> None:  # type: ignore[override]
        documents = [Document(content="a"), Document(content="b")]
        assert document_store.write_documents(documents) == 2
        with pytest.raises(DuplicateDocumentError):
            document_store.write_documents(documents)
        assert document_store.filter_documents() == documents


class TestAsyncSuites(
    async_suites.CountDocumentsAsyncTest,
    async_suites.WriteDocumentsAsyncTest,
    async_suites.DeleteDocumentsAsyncTest,
    async_suites.FilterDocumentsAsyncTest,
    async_suites.DeleteAllAsyncTest,
    async_suites.DeleteByFilterAsyncTest,
    async_suites.UpdateByFilterAsyncTest,
    async_suites.CountDocumentsByFilterAsyncTest,
    async_suites.CountUniqueMetadataByFilterAsyncTest,
    async_suites.GetMetadataFieldsInfoAsyncTest,
    async_suites.GetMetadataFieldMinMaxAsyncTest,
    async_suites.GetMetadataFieldUniqueValuesAsyncTest,
):
    """What Haystack asks of the awaited calls."""

    test_delete_all_documents_with_recreate_index_async: Any = None
    test_delete_all_documents_without_recreate_index_async: Any = None

    @pytest.fixture
    def document_store(self, any_storage: Storage) -> RragDocumentStore:
        return RragDocumentStore(any_storage)

    async def test_write_documents_async(self, document_store: RragDocumentStore) -> None:
        documents = [Document(content="a"), Document(content="b")]
        assert await document_store.write_documents_async(documents) == 2
        with pytest.raises(DuplicateDocumentError):
            await document_store.write_documents_async(documents)
        assert await document_store.filter_documents_async() == documents


DOCUMENTS = [
    Document(id="", content="text"),
    Document(id="a::b", content="", meta={"deep": {"list": [1, 2.5, None, True]}, "content": "a field's name"}),
    Document(id="ä", blob=ByteStream(b"\0\xff" * 50, meta={"page": 1}, mime_type="image/png")),
    Document(id="%3A", content="x", embedding=[0.1, 1e-300, 2.0], score=0.5),
    Document(id="s", content="x", sparse_embedding=SparseEmbedding(indices=[1, 7], values=[0.25, 4.0])),
    Document(id="when", meta={"date": datetime(2024, 2, 29, 12, tzinfo=timezone.utc), "raw": b"\0", "pair": (1, 2)}),
]


def test_documents_come_back(document_store: RragDocumentStore) -> None:
    document_store.write_documents(DOCUMENTS)
    got = document_store.filter_documents()
    assert got == DOCUMENTS
    assert [type(document.embedding) for document in got] == [type(document.embedding) for document in DOCUMENTS]
    got[1].meta["deep"]["list"].append("changed")
    assert document_store.filter_documents() == DOCUMENTS
    document_store.delete_documents(["a::b", "ä", "nowhere"])
    assert [document.id for document in document_store.filter_documents()] == [
        document.id for document in DOCUMENTS if document.id not in ("a::b", "ä")
    ]


def test_they_stand_in_the_order_of_writing(document_store: RragDocumentStore) -> None:
    ids = ["c", "a", "b", "z", "y", "x"]
    document_store.write_documents([Document(id=i) for i in ids[:3]])
    for i in ids[3:]:
        document_store.write_documents([Document(id=i)])
    assert [document.id for document in document_store.filter_documents()] == ids
    document_store.write_documents([Document(id="a", content="anew")], OVERWRITE)
    assert [document.id for document in document_store.filter_documents()] == ["c", "b", "z", "y", "x", "a"]


VALUES = [
    None,
    0,
    2,
    -1.5,
    True,
    "",
    "text",
    "2024-02-29",
    "2024-02-29T12:00:00",
    "2024-02-29T12:00:00+02:00",
    [1, 2],
    {"deep": 2},
]
FILTERS: list[Any] = [
    {"field": field, "operator": operator, "value": value}
    for field in ("meta.value", "value", "meta.value.deep", "meta.missing", "content", "id")
    for operator in ("==", "!=", ">", ">=", "<", "<=", "in", "not in")
    for value in (None, 2, 0.5, "text", "2024-02-29T12:00:00", [2, "text", None], [])
]


@pytest.mark.parametrize("connective", ["AND", "OR", "NOT"])
def test_filters_mean_what_haystack_s_own_store_makes_of_them(connective: str) -> None:
    own, ours = InMemoryDocumentStore(), RragDocumentStore(InMemoryStorage())
    documents = [Document(id=f"{n}", content=f"{n}", meta={"value": value}) for n, value in enumerate(VALUES)]
    for store in (own, ours):
        store.write_documents(documents)

    def answer(store: Any, filters: Any, refused: Any = FilterError) -> Any:
        try:
            return [document.id for document in store.filter_documents(filters)]
        except refused:
            return "refused"

    pairs = zip(FILTERS, FILTERS[1:] + FILTERS[:1], strict=True)
    for filters in (*FILTERS, *({"operator": connective, "conditions": list(pair)} for pair in pairs)):
        assert answer(ours, filters) == answer(own, filters, (FilterError, TypeError)), filters


@pytest.mark.parametrize("filters", [{"field": "x", "value": 1}, {"conditions": []}, ["operator"], "operator"])
def test_malformed_filters_are_refused_though_there_is_nothing(document_store: RragDocumentStore, filters: Any) -> None:
    for call in (
        document_store.filter_documents,
        document_store.delete_by_filter,
        document_store.count_documents_by_filter,
        lambda filters: document_store.update_by_filter(filters, {}),
    ):
        with pytest.raises(FilterError, match="operator"):
            call(filters)


@pytest.mark.parametrize("awaited", [False, True])
async def test_a_failed_write_changes_nothing(document_store: RragDocumentStore, awaited: bool) -> None:
    async def write(documents: Any, policy: DuplicatePolicy = FAIL) -> int:
        if awaited:
            return await document_store.write_documents_async(documents, policy)
        return document_store.write_documents(documents, policy)

    await write([Document(id="old", content="1")])
    new = Document(id="new")
    with pytest.raises(DuplicateDocumentError, match="'old'"):
        await write([new, Document(id="old", content="2")])
    with pytest.raises(DuplicateDocumentError, match="'new'"):
        await write([new, new])
    with pytest.raises(ValueError, match=r"documents\[1\]"):
        await write([new, "no document"])
    for policy in (FAIL, SKIP, OVERWRITE):
        with pytest.raises(UnsupportedTypeError, match="odd"):
            await write([new, Document(id="b", meta={"odd": object()})], policy)
    assert document_store.filter_documents() == [Document(id="old", content="1")]
    assert await write([Document(id="old", content="2"), new, Document(id="new", content="second")], SKIP) == 1
    assert document_store.filter_documents() == [Document(id="old", content="1"), new]
    assert await write([Document(id="a"), Document(id="a", content="last")], OVERWRITE) == 2
    assert document_store.count_documents() == 3
    assert document_store.filter_documents()[-1].content == "last"


async def test_of_several_writers_one_succeeds(document_store: RragDocumentStore) -> None:
    def writer(number: int) -> Any:
        return document_store.write_documents_async([Document(id="a", content=str(number)), Document(id=f"b{number}")])

    results = await asyncio.gather(*map(writer, range(8)), return_exceptions=True)
    assert sorted(map(str, map(type, results))) == sorted(map(str, [int, *[DuplicateDocumentError] * 7]))
    assert await document_store.count_documents_async() == 2


async def test_updates_at_once_are_all_there(document_store: RragDocumentStore) -> None:
    document_store.write_documents([Document(id=str(n), meta={"kind": "a"}) for n in range(5)])
    everything = {"field": "meta.kind", "operator": "==", "value": "a"}
    updates = (document_store.update_by_filter_async(everything, {f"field{n}": n}) for n in range(6))
    assert await asyncio.gather(*updates) == [5] * 6
    for document in document_store.filter_documents():
        assert document.meta == {"kind": "a", **{f"field{n}": n for n in range(6)}}


def test_stores_never_meet(any_storage: Storage) -> None:
    stores = [RragDocumentStore(any_storage, namespace=name) for name in ("haystack", "haystack2", "app::haystack")]
    for number, store in enumerate(stores):
        store.write_documents([Document(id="a", content=str(number))])
    stores[0].delete_all_documents()
    assert [store.count_documents() for store in stores] == [0, 1, 1]


def test_what_is_no_document_is_told(document_store: RragDocumentStore, any_storage: Storage) -> None:
    any_storage.sync.set("haystack::a%3Ab", {"content": "secret"})
    with pytest.raises(CorruptedDataError, match="'a:b'") as caught:
        document_store.filter_documents()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("awaited", [False, True])
async def test_an_object_store_writes_one_after_the_other(tmp_path: Path, awaited: bool) -> None:
    (tmp_path / "bucket").mkdir()
    async with ObjectStorage(f"file://{tmp_path / 'bucket'}") as storage:
        document_store = RragDocumentStore(storage)
        write: Any = document_store.write_documents_async
        if not awaited:

            async def write(*arguments: Any) -> int:
                return document_store.write_documents(*arguments)

        assert await write([Document(id="a"), Document(id="b")]) == 2
        with pytest.raises(DuplicateDocumentError):
            await write([Document(id="c"), Document(id="a")])
        assert await write([Document(id="c"), Document(id="a")], SKIP) == 1
        assert await write([Document(id="d"), Document(id="a", content="anew")], OVERWRITE) == 2
        assert await document_store.count_documents_async() == 4
        with pytest.raises(UnsupportedOperationError):
            document_store.update_by_filter({"field": "id", "operator": "==", "value": "a"}, {"x": 1})


async def test_in_a_pipeline_s_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allow_deserialization_module("rrag_storage")
    url = f"sqlite:{tmp_path / 'pipeline.db'}"
    with DatabaseStorage(url).sync as storage:
        pipeline = Pipeline()
        store = RragDocumentStore(storage._storage, namespace="app::docs")
        pipeline.add_component("writer", DocumentWriter(document_store=store))
        pipeline.run({"writer": {"documents": DOCUMENTS[:2]}})
        text = pipeline.dumps()
    again: Any = Pipeline.loads(text).get_component("writer")
    assert again.document_store.filter_documents() == DOCUMENTS[:2]
    monkeypatch.setenv("STORAGE_URL", url)
    secret = {"type": "env_var", "env_vars": ["STORAGE_URL"], "strict": True}
    data = {**store.to_dict(), "init_parameters": {"storage": secret, "namespace": "app::docs"}}
    from_secret = RragDocumentStore.from_dict(data)
    assert from_secret.count_documents() == 2
    with pytest.raises(DeserializationError):
        RragDocumentStore.from_dict({**data, "type": "another.Store"})
    again.document_store.close()
    await from_secret.close_async()
    for closed in (again.document_store, from_secret):
        with pytest.raises(StorageClosedError):
            closed.count_documents()


async def test_a_given_storage_stays_open(document_store: RragDocumentStore, any_storage: Storage) -> None:
    document_store.close()
    await document_store.close_async()
    assert any_storage.closed is False


def test_no_password_is_written_down() -> None:
    store = RragDocumentStore(DatabaseStorage("postgres://ada:secret@localhost/db"))
    assert "secret" not in str(store.to_dict())
    with pytest.raises(ValueError, match="namespace"):
        RragDocumentStore(InMemoryStorage().namespace("view")).to_dict()


def test_metadata_of_other_types(document_store: RragDocumentStore) -> None:
    document_store.write_documents(
        [
            Document(id="1", meta={"tags": ["a"], "n": True}),
            Document(id="2", meta={"tags": ["a"], "n": 1}),
            Document(id="3", meta={"tags": {"a": [1]}, "n": None}),
            Document(id="4", meta={"tags": {"a": [True]}, "n": "1"}),
            Document(id="5", meta={"vector": np.arange(3)}),
        ]
    )
    assert document_store.count_unique_metadata_by_filter({}, ["meta.tags", "n"]) == {"tags": 3, "n": 3}
    assert document_store.get_metadata_field_min_max("n") == {"min": None, "max": None}
    assert document_store.get_metadata_fields_info()["vector"] == {"type": "keyword"}


@pytest.mark.parametrize("arguments", [{"storage": "memory://"}, {"namespace": ""}, {"namespace": 7}])
def test_arguments_are_checked(any_storage: Storage, arguments: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        RragDocumentStore(**{"storage": any_storage, **arguments})

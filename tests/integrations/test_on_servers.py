"""The adapters over the other backends: what depends on how a backend commits, lists and numbers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from haystack import Document
from haystack.document_stores.types import DuplicatePolicy
from llama_index.core.llms import ChatMessage
from rrag_storage import Storage, connect
from rrag_storage.integrations.haystack import RragDocumentStore
from rrag_storage.integrations.key_value import RragKeyValueStore
from rrag_storage.integrations.llama_index import RragChatStore, RragKVStore
from rrag_storage.integrations.openai_agents import RragSession

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["postgres", "mariadb", "redis", "redis_cluster", "s3"])
def storage(request: pytest.FixtureRequest) -> Iterator[Storage]:
    options = request.getfixturevalue(request.param).options()
    opened = connect(options.pop("url"), **options)
    yield opened
    opened.sync.clear()
    opened.sync.close()


async def test_chats(storage: Storage) -> None:
    chats, session = RragChatStore(storage), RragSession("ada", storage)
    await asyncio.gather(*(chats.async_add_message("chat", ChatMessage(str(n))) for n in range(120)))
    assert [message.content for message in await chats.aget_messages("chat")] == [str(n) for n in range(120)]
    items: list[Any] = [{"role": "user", "content": str(n)} for n in range(240)]
    await asyncio.gather(*(session.add_items(items[n : n + 2]) for n in range(0, 240, 2)))
    assert await session.get_items() == items
    assert await session.pop_item() == items[-1]
    await chats.aset_messages("chat", [ChatMessage("b")])
    await chats.async_add_message("chat", ChatMessage("a"), idx=0)
    assert await chats.aget_keys() == ["chat"]
    assert await chats.adelete_messages("chat") == [ChatMessage("a"), ChatMessage("b")]


async def test_documents(storage: Storage) -> None:
    store = RragDocumentStore(storage)
    documents = [Document(id="b"), Document(id="a", meta={"kind": "x"})]
    assert await store.write_documents_async(documents) == 2
    assert await store.write_documents_async([*documents, Document(id="c")], DuplicatePolicy.SKIP) == 1
    assert [document.id for document in await store.filter_documents_async()] == ["b", "a", "c"]
    if storage.backend_name != "object":
        filters = {"field": "meta.kind", "operator": "==", "value": "x"}
        assert await store.update_by_filter_async(filters, {"kind": "y"}) == 1
        assert await store.delete_by_filter_async(filters) == 0


async def test_keys_and_values(storage: Storage) -> None:
    kvstore, store = RragKVStore(storage), RragKeyValueStore(storage)
    await kvstore.aput_all([("a", {"n": 1}), ("::", {})], collection="a::b")
    assert await kvstore.aget_all(collection="a::b") == {"a": {"n": 1}, "::": {}}
    await store.put_many(["a", "b"], [{"n": 1}, {}], collection="a::b", ttl=100)
    value, left = await store.ttl("a", collection="a::b")
    assert value == {"n": 1}
    assert left is not None
    assert 50 < left <= 100
    assert await store.collections() == ["a::b"]
    assert await store.delete_many(["a", "b", "c"], collection="a::b") == 2

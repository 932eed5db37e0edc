"""The adapters for LangChain and LangGraph over the other backends: what depends on how a backend commits and lists."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.store.base import PutOp
from rrag_storage import Storage, connect
from rrag_storage.integrations.langchain import RragByteStore, RragChatMessageHistory
from rrag_storage.integrations.langgraph import RragNodeCache, RragSaver, RragStore
from test_langgraph_saver import config, delta_thread
from test_langgraph_store import Letters, keys

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator


@pytest.fixture(params=["postgres", "mariadb", "redis", "redis_cluster", "s3"])
def storage(request: pytest.FixtureRequest) -> Iterator[Storage]:
    options = request.getfixturevalue(request.param).options()
    opened = connect(options.pop("url"), **options)
    yield opened
    opened.sync.clear()
    opened.sync.close()


async def test_saver(storage: Storage) -> None:
    @checkpointer_test(name="RragSaver")
    async def saver() -> AsyncGenerator[RragSaver, None]:
        yield RragSaver(storage)

    report = await validate(saver)
    assert [failure for result in report.results.values() for failure in result.failures or ()] == []
    await storage.clear()
    own = RragSaver(storage)
    delta_thread(own)
    assert own.get_delta_channel_history(config=config(), channels=["d"])["d"]["seed"] == "at 2"
    own.prune(["t"])
    assert [found.checkpoint["id"] async for found in own.alist(config())] == ["0006", "0003", "0002"]


async def test_store(storage: Storage) -> None:
    store = RragStore(storage, index={"dims": 4, "embed": Letters(), "fields": ["t"]})
    await store.aput(("a", "b"), "old", {})
    await store.abatch(
        [
            PutOp(("a", "b"), "a", {"t": "a"}),
            PutOp(("a::b",), "b", {"t": "b"}, ttl=5),
            PutOp(("a", "b"), "old", None),
            PutOp(("ab",), "c", {"t": "ab", "n": 1}),
        ]
    )
    assert await store.alist_namespaces() == [("a", "b"), ("a::b",), ("ab",)]
    assert keys(await store.asearch(("a",))) == ["a"]
    assert keys(store.search((), query="b")) == ["b", "c", "a"]
    assert keys(store.search((), query="b", filter={"n": {"$gte": 1}})) == ["c"]


async def test_cache(storage: Storage) -> None:
    cache = RragNodeCache(storage)
    await cache.aset({(("a", "b"), "k"): ({"n": 1}, None), (("a::b",), "k"): (None, 100)})
    await cache.aclear([("a", "b")])
    assert cache.get([(("a", "b"), "k"), (("a::b",), "k")]) == {(("a::b",), "k"): None}


async def test_chats_and_bytes(storage: Storage) -> None:
    history = RragChatMessageHistory("a::b", storage)
    await asyncio.gather(*(history.aadd_messages([HumanMessage(str(number))]) for number in range(120)))
    assert [message.content for message in await history.aget_messages()] == [str(number) for number in range(120)]
    store = RragByteStore(storage)
    await store.amset([("a%", b"1"), ("a_", b"2"), ("a::b", b"")])
    assert [key async for key in store.ayield_keys(prefix="a_")] == ["a_"]

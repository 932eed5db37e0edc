"""LangChain's adapters: langchain-tests' suites, and what they don't ask."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from langchain_classic.embeddings import CacheBackedEmbeddings
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, Generation, GenerationChunk
from langchain_tests.integration_tests.base_store import BaseStoreAsyncTests, BaseStoreSyncTests
from langchain_tests.integration_tests.cache import AsyncCacheTestSuite, SyncCacheTestSuite
from rrag_storage import (
    CorruptedDataError,
    DatabaseStorage,
    InMemoryStorage,
    ManualClock,
    Storage,
    UnsupportedTypeError,
)
from rrag_storage.integrations import langchain
from rrag_storage.integrations.langchain import RragByteStore, RragCache, RragChatMessageHistory
from rrag_storage.testing import in_threads
from support import finish, start

if TYPE_CHECKING:
    from pathlib import Path


class TestByteStore(BaseStoreSyncTests[bytes]):
    @pytest.fixture
    def kv_store(self, any_storage: Storage) -> RragByteStore:
        return RragByteStore(any_storage)

    @pytest.fixture
    def three_values(self) -> tuple[bytes, bytes, bytes]:
        return b"", b"bar", b"\x00\xff"


class TestByteStoreAsync(BaseStoreAsyncTests[bytes]):
    @pytest.fixture
    def kv_store(self, any_storage: Storage) -> RragByteStore:
        return RragByteStore(any_storage)

    @pytest.fixture
    def three_values(self) -> tuple[bytes, bytes, bytes]:
        return b"", b"bar", b"\x00\xff"


class TestCache(SyncCacheTestSuite):
    @pytest.fixture
    def cache(self, any_storage: Storage) -> RragCache:
        return RragCache(any_storage)


class TestCacheAsync(AsyncCacheTestSuite):
    @pytest.fixture
    def cache(self, any_storage: Storage) -> RragCache:
        return RragCache(any_storage)


async def test_byte_store_keeps_to_its_namespace(any_storage: Storage) -> None:
    await any_storage.mset({"langchain2::k": b"other", "k": b"outside"})
    store = RragByteStore(any_storage)
    await store.amset([("k", b"1"), ("a::b", b"2"), ("a%_", b"3")])
    assert sorted(store.yield_keys()) == ["a%_", "a::b", "k"]
    assert [key async for key in store.ayield_keys(prefix="a%")] == ["a%_"]
    store.mdelete(["k", "missing"])
    assert await store.amget(["k", "a::b"]) == [None, b"2"]
    assert await any_storage.mget(["langchain2::k", "k"]) == [b"other", b"outside"]


async def test_byte_store_lists_many_pages(any_storage: Storage) -> None:
    store = RragByteStore(any_storage)
    keys = [f"{number:05}" for number in range(2_500)]
    await store.amset([(key, b"") for key in keys])
    assert list(store.yield_keys()) == keys
    assert [key async for key in store.ayield_keys(prefix="0")] == keys


def test_byte_store_takes_and_gives_bytes_alone(any_storage: Storage) -> None:
    store = RragByteStore(any_storage, namespace="app::bytes")
    with pytest.raises(TypeError, match="value of 'b' must be bytes, not str"):
        store.mset([("a", b"1"), ("b", "text")])  # type: ignore[list-item]
    assert store.mget(["a"]) == [None]
    any_storage.sync.set("app::bytes::c", None)
    with pytest.raises(TypeError, match="under 'c' stands a NoneType"):
        store.mget(["a", "c"])


def test_entries_expire(any_storage: Storage, clock: ManualClock) -> None:
    store = RragByteStore(any_storage, ttl=timedelta(seconds=10))
    cache = RragCache(any_storage, ttl=20)
    history = RragChatMessageHistory("s", any_storage, ttl=30.5)
    store.mset([("k", b"v")])
    cache.update("p", "l", [Generation(text="a")])
    history.add_user_message("hi")
    clock.advance(10)
    assert store.mget(["k"]) == [None]
    clock.advance(10)
    assert cache.lookup("p", "l") is None
    assert len(history.messages) == 1
    clock.advance(10.5)
    assert history.messages == []


def test_embeddings_are_computed_once(any_storage: Storage) -> None:
    class Counting(DeterministicFakeEmbedding):
        texts: ClassVar[list[str]] = []

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            self.texts.extend(texts)
            return super().embed_documents(texts)

    model = Counting(size=4)
    cached = CacheBackedEmbeddings.from_bytes_store(
        model, RragByteStore(any_storage), namespace="fake", key_encoder="sha256"
    )
    first = cached.embed_documents(["one", "two"])
    assert cached.embed_documents(["two", "three", "one"])[::2] == [first[1], first[0]]
    assert model.texts == ["one", "two", "three"]


MESSAGES: list[BaseMessage] = [
    HumanMessage("hello", id="1", name="ada"),
    HumanMessage(AIMessage("an answer handed on").text),
    HumanMessage([{"type": "text", "text": "look"}, {"type": "image", "url": "https://example.org/a.png"}]),
    AIMessage(
        "",
        tool_calls=[{"name": "search", "args": {"q": "x", "n": 3}, "id": "call-1", "type": "tool_call"}],
        invalid_tool_calls=[{"name": "s", "args": "{", "id": "2", "error": "e", "type": "invalid_tool_call"}],
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        response_metadata={"logprobs": None, "scores": [0.5, float("inf")]},
    ),
    AIMessageChunk(
        content="par",
        tool_call_chunks=[{"name": "f", "args": '{"a": 1}', "id": "9", "index": 0, "type": "tool_call_chunk"}],
    ),
    AIMessageChunk(content="end", chunk_position="last"),
    SystemMessage("be kind", additional_kwargs={"nested": {"tuple": (1, b"2")}}),
    ToolMessage("done", tool_call_id="call-1", artifact={"rows": [1, 2]}, status="error"),
    FunctionMessage(content="result", name="f"),
    ChatMessage(content="as a judge", role="judge"),
    HumanMessageChunk(content="hu"),
    RemoveMessage(id="1"),
    HumanMessage.model_validate({"content": "a field of its own", "priority": 7}),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_messages_come_back(any_storage: Storage, message: BaseMessage) -> None:
    RragChatMessageHistory("s", any_storage).add_message(message)
    (back,) = RragChatMessageHistory("s", any_storage).messages
    assert type(back) is type(message)
    assert back == message
    assert repr(back) == repr(message)


@pytest.mark.parametrize(
    "generation",
    [
        Generation(text="a", generation_info={"logprobs": [0.5]}),
        GenerationChunk(text=AIMessage("b").text),
        ChatGeneration(message=AIMessage("c", response_metadata={"model": "m"}), generation_info={"finish": "stop"}),
        ChatGenerationChunk(message=AIMessageChunk(content="d")),
        ChatGeneration(message=MESSAGES[3]),
    ],
    ids=lambda generation: type(generation).__name__,
)
async def test_generations_come_back(any_storage: Storage, generation: Generation) -> None:
    cache = RragCache(any_storage)
    await cache.aupdate("p", "l", [generation, generation])
    for back in [*(cache.lookup("p", "l") or []), *(await cache.alookup("p", "l") or [])]:
        assert type(back) is type(generation)
        assert back == generation
    assert cache.lookup("p", "l2") is None
    assert cache.lookup("pl", "") is None


def test_no_answers_are_not_a_miss(any_storage: Storage) -> None:
    cache = RragCache(any_storage)
    cache.update("p", "l", [])
    assert cache.lookup("p", "l") == []


class _Own(AIMessage):
    pass


class _OwnGeneration(Generation):
    pass


def test_what_would_come_back_changed_is_refused(any_storage: Storage) -> None:
    history = RragChatMessageHistory("s", any_storage)
    with pytest.raises(UnsupportedTypeError, match=r"_Own can't be stored"):
        history.add_messages([HumanMessage("fine"), _Own(content="not")])
    with pytest.raises(UnsupportedTypeError, match=r"artifact"):
        history.add_messages([HumanMessage("fine"), ToolMessage("x", tool_call_id="1", artifact=object())])
    assert history.messages == []
    cache = RragCache(any_storage)
    for answer in (_OwnGeneration(text="x"), ChatGeneration(message=_Own(content="x"))):
        with pytest.raises(UnsupportedTypeError, match="can't be stored"):
            cache.update("p", "l", [answer])
    assert cache.lookup("p", "l") is None
    with pytest.raises(TypeError, match="llm_string"):
        cache.clear(llm_string="l")


@pytest.mark.parametrize(
    "stored",
    [
        None,
        "text",
        {"class": "AIMessage"},
        {"class": "Popen", "fields": {"args": "true"}},
        {"class": "AIMessage", "fields": {"tool_calls": 3}},
    ],
)
async def test_what_cant_be_read_raises(any_storage: Storage, stored: Any) -> None:
    history = RragChatMessageHistory("s", any_storage)
    await history.aadd_messages([HumanMessage("hi")])
    (key,) = await any_storage.keys()
    await any_storage.set(key, stored)
    with pytest.raises(CorruptedDataError):
        await history.aget_messages()
    cache = RragCache(any_storage)
    await cache.aupdate("p", "l", [Generation(text="a")])
    (key,) = await any_storage.keys(namespace="llm_cache")
    await any_storage.set(key, stored)
    with pytest.raises(CorruptedDataError):
        await cache.alookup("p", "l")


def test_what_is_no_message_raises(any_storage: Storage) -> None:
    RragChatMessageHistory("inner", any_storage, namespace="chat_history::s").add_user_message("of another namespace")
    with pytest.raises(CorruptedDataError, match="inner"):
        _ = RragChatMessageHistory("s", any_storage).messages


def test_the_cache_under_a_model(any_storage: Storage) -> None:
    model = FakeListChatModel(responses=["first", "second"], cache=RragCache(any_storage))
    assert [model.invoke("hi").text for _ in range(3)] == ["first"] * 3
    assert model.invoke("other").text == "second"
    assert asyncio.run(model.ainvoke("hi")).text == "first"


async def test_conversations_are_apart(any_storage: Storage) -> None:
    names = ["a", "a::b", "", "a:", "%", "a%3A"]
    for name in names:
        await RragChatMessageHistory(name, any_storage).aadd_messages([HumanMessage(name), AIMessage("reply")])
    for name in names:
        history = RragChatMessageHistory(name, any_storage)
        assert [message.content for message in await history.aget_messages()] == [name, "reply"]
    await RragChatMessageHistory("a", any_storage).aclear()
    assert [len(RragChatMessageHistory(name, any_storage).messages) for name in names] == [0, 2, 2, 2, 2, 2]


async def test_the_latest_messages(any_storage: Storage) -> None:
    RragChatMessageHistory("s", any_storage).add_messages([HumanMessage(str(number)) for number in range(10)])
    history = RragChatMessageHistory("s", any_storage, history_size=3)
    assert [message.content for message in history.messages] == ["7", "8", "9"]
    assert [message.content for message in await history.aget_messages()] == ["7", "8", "9"]
    assert str(history) == "Human: 7\nHuman: 8\nHuman: 9"
    history.clear()
    assert await any_storage.count() == 0


async def test_120_tasks_append(any_storage: Storage) -> None:
    history = RragChatMessageHistory("s", any_storage)
    await asyncio.gather(*(history.aadd_messages([HumanMessage(str(number))]) for number in range(120)))
    assert [message.content for message in await history.aget_messages()] == [str(number) for number in range(120)]


def test_120_threads_append(any_storage: Storage) -> None:
    def append(number: int) -> None:
        history = RragChatMessageHistory("s", any_storage)
        for turn in range(3):
            history.add_messages([HumanMessage(f"{number} {turn}"), AIMessage(f"{number} {turn}")])

    in_threads(40, append)
    contents = [str(message.content) for message in RragChatMessageHistory("s", any_storage).messages]
    assert contents[::2] == contents[1::2]
    for number in range(40):
        own = [content for content in contents[::2] if content.split()[0] == str(number)]
        assert own == [f"{number} {turn}" for turn in range(3)]


APPENDS = """
    import asyncio, sys
    from langchain_core.messages import HumanMessage
    from rrag_storage import connect
    from rrag_storage.integrations.langchain import RragChatMessageHistory

    async def main(url, name):
        async with connect(url) as storage:
            history = RragChatMessageHistory("s", storage)
            await asyncio.gather(*(history.aadd_messages([HumanMessage(f"{name} {n}")]) for n in range(120)))

    asyncio.run(main(*sys.argv[1:]))
"""


def test_processes_append(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path / 'storage.db'}"
    workers = [start(APPENDS, url, name) for name in "abc"]
    for worker in workers:
        finish(worker)
    storage = DatabaseStorage(url)
    contents = [str(message.content) for message in RragChatMessageHistory("s", storage).messages]
    storage.sync.close()
    assert len(contents) == 360
    for name in "abc":
        own = [content for content in contents if content.startswith(name)]
        assert own == [f"{name} {number}" for number in range(120)]


def test_a_message_follows_what_was_read(any_storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = 4_000_000_000 * 10**9
    any_storage.namespace("chat_history").namespace("s").sync.set(
        f"{ahead:020}-00", {"class": "HumanMessage", "fields": {"content": "from a clock that is ahead"}}
    )
    monkeypatch.setattr(langchain, "_stamps", langchain._Stamps())
    history = RragChatMessageHistory("s", any_storage)
    assert len(history.messages) == 1
    history.add_ai_message("answer")
    assert [message.type for message in history.messages] == ["human", "ai"]


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"session_id": 7}, TypeError, "session_id must be a str, not int"),
        ({"storage": None}, TypeError, "storage must be a storage"),
        ({"ttl": 0}, ValueError, "ttl must be positive"),
        ({"history_size": 0}, ValueError, "history_size must be at least 1"),
        ({"history_size": True}, TypeError, "history_size must be an int"),
        ({"namespace": ""}, ValueError, "namespace must not be empty"),
    ],
)
def test_bad_arguments(options: dict[str, Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        RragChatMessageHistory(**{"session_id": "s", "storage": InMemoryStorage(), **options})

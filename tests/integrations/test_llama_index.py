"""LlamaIndex's adapters: under its own stores, cache, pipeline and memory, and what these don't ask."""

from __future__ import annotations

import asyncio
import pickle
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from llama_index.core.base.llms.types import AudioBlock, DocumentBlock, ImageBlock, TextBlock, ToolCallBlock
from llama_index.core.data_structs.data_structs import IndexDict, IndexGraph, KeywordTable
from llama_index.core.ingestion import IngestionCache, IngestionPipeline
from llama_index.core.ingestion.pipeline import DocstoreStrategy
from llama_index.core.llms import ChatMessage
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import (
    BaseNode,
    Document,
    ImageNode,
    IndexNode,
    NodeRelationship,
    TextNode,
    TransformComponent,
)
from llama_index.core.storage.docstore.keyval_docstore import KVDocumentStore
from llama_index.core.storage.index_store.keyval_index_store import KVIndexStore
from rrag_storage import CorruptedDataError, DatabaseStorage, ManualClock, Storage, UnsupportedTypeError
from rrag_storage.integrations.llama_index import RragChatStore, RragKVStore
from support import finish, start

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

AWKWARD = ["", "a", "::", "a::b", "a::", "%", "%3A", "%25", "ä", "a b", "A", "*", "a/b", "\0"]


@pytest.fixture
def kvstore(any_storage: Storage) -> RragKVStore:
    return RragKVStore(any_storage)


@pytest.fixture
def chats(any_storage: Storage) -> RragChatStore:
    return RragChatStore(any_storage)


class Kind(str, Enum):
    NOTE = "note"


def test_values_come_back(kvstore: RragKVStore) -> None:
    value = {"text": "ä", "list": [1, 2.5, None, {"deep": b"\0"}], "pair": (1, 2), "empty": {}}
    kvstore.put("key", value)
    got = kvstore.get("key")
    assert got == value
    assert got is not None
    got["list"].append("changed")
    assert kvstore.get("key") == value
    assert kvstore.get("key", collection="other") is None
    assert kvstore.delete("key")
    assert not kvstore.delete("key")
    assert kvstore.get("key") is None


async def test_the_awaitable_twins(kvstore: RragKVStore) -> None:
    await kvstore.aput("a", {"n": 1})
    await kvstore.aput_all([("b", {"n": 2}), ("c", {"n": 3})], batch_size=50)
    assert await kvstore.aget("b") == {"n": 2}
    assert await kvstore.aget_all() == kvstore.get_all() == {"a": {"n": 1}, "b": {"n": 2}, "c": {"n": 3}}
    assert [await kvstore.adelete("b"), await kvstore.adelete("b")] == [True, False]
    assert kvstore.get("a") == {"n": 1}  # a blocking call inside the running loop


def test_keys_and_collections_never_meet(kvstore: RragKVStore, any_storage: Storage) -> None:
    any_storage.sync.set("llama_index2::data::x", {"a": "neighbour"})
    for collection in AWKWARD:
        kvstore.put_all([(key, {"at": [collection, key]}) for key in AWKWARD], collection=collection)
    for collection in AWKWARD:
        assert kvstore.get_all(collection=collection) == {key: {"at": [collection, key]} for key in AWKWARD}
        assert all(kvstore.get(key, collection=collection) == {"at": [collection, key]} for key in AWKWARD)
    assert kvstore.get_all(collection="b") == {}


def test_members_of_an_enum_become_their_values(kvstore: RragKVStore) -> None:
    kvstore.put("key", {"kind": Kind.NOTE, "deep": [{"kind": Kind.NOTE}], Kind.NOTE: 1})
    got = kvstore.get("key")
    assert got == {"kind": "note", "deep": [{"kind": "note"}], "note": 1}
    assert type(got["kind"]) is str


@pytest.mark.parametrize("value", [{"a": object()}, {"a": {1: 2}}, [1], None, "text"])
def test_what_can_not_be_stored_changes_nothing(kvstore: RragKVStore, value: Any) -> None:
    with pytest.raises(TypeError):
        kvstore.put_all([("good", {}), ("bad", value)], batch_size=1)
    assert kvstore.get_all() == {}


def test_the_path_to_what_can_not_be_stored_is_told(kvstore: RragKVStore) -> None:
    with pytest.raises(UnsupportedTypeError, match=r'\["deep"\]\[1\]'):
        kvstore.put("key", {"deep": [1, object()]})


def test_what_is_no_dict_never_reads_as_missing(kvstore: RragKVStore, any_storage: Storage) -> None:
    any_storage.sync.set("llama_index::data::key", None)
    for read in (lambda: kvstore.get("key"), kvstore.get_all):
        with pytest.raises(CorruptedDataError, match="'key'"):
            read()


def test_values_expire(any_storage: Storage, clock: ManualClock) -> None:
    kvstore = RragKVStore(any_storage, ttl=60)
    kvstore.put("key", {"n": 1})
    clock.advance(61)
    assert kvstore.get("key") is None
    assert kvstore.get_all() == {}


def source(node: BaseNode, of: Document) -> BaseNode:
    node.relationships[NodeRelationship.SOURCE] = of.as_related_node_info()
    return node


def test_document_store(kvstore: RragKVStore) -> None:
    docstore = KVDocumentStore(kvstore, batch_size=10)
    document = Document(text="hello", id_="d", metadata={"tags": ["a"], "kind": Kind.NOTE.value})
    nodes = [
        source(TextNode(text="one", id_="1", embedding=[0.5, 1.0]), document),
        source(ImageNode(image="aGk=", id_="2"), document),
        IndexNode(text="three", id_="3", index_id="i"),
    ]
    docstore.add_documents([document, *nodes])
    assert docstore.docs == {"d": document, "1": nodes[0], "2": nodes[1], "3": nodes[2]}
    info = docstore.get_ref_doc_info("d")
    assert info is not None
    assert info.node_ids == ["1", "2"]
    assert docstore.get_all_document_hashes()[document.hash] == "d"
    docstore.delete_document("1")
    docstore.delete_ref_doc("d")
    assert docstore.docs == {"3": nodes[2]}
    assert docstore.get_all_ref_doc_info() == {}


async def test_document_store_awaited(kvstore: RragKVStore) -> None:
    docstore = KVDocumentStore(kvstore)
    document = Document(text="hello", id_="d")
    await docstore.async_add_documents([document, source(TextNode(text="one", id_="1"), document)])
    assert await docstore.aget_document("d") == document
    assert await docstore.adocument_exists("1")
    await docstore.adelete_ref_doc("d")
    assert docstore.docs == {}


def test_index_store(kvstore: RragKVStore) -> None:
    index_store = KVIndexStore(kvstore)
    structs = [IndexGraph(), IndexDict(nodes_dict={"a": "b"}), KeywordTable(table={"word": {"1", "2"}})]
    for struct in structs:
        index_store.add_index_struct(struct)
    assert [index_store.get_index_struct(struct.index_id) for struct in structs] == structs
    index_store.delete_index_struct(structs[0].index_id)
    assert len(index_store.index_structs()) == 2


class Shout(TransformComponent):
    """Counts its calls beside its fields, which the cache's keys are made of."""

    calls: ClassVar[list[str]] = []

    def __call__(self, nodes: Sequence[BaseNode], **kwargs: Any) -> Sequence[BaseNode]:
        self.calls.append(" ".join(node.get_content() for node in nodes))
        return [TextNode(text=node.get_content().upper(), id_=node.node_id) for node in nodes]


@pytest.mark.parametrize("awaited", [False, True])
async def test_ingestion_pipeline(any_storage: Storage, awaited: bool) -> None:
    Shout.calls.clear()

    async def ingest(*documents: Document, strategy: bool = True) -> Sequence[BaseNode]:
        pipeline = IngestionPipeline(
            transformations=[SentenceSplitter(chunk_size=100, chunk_overlap=0), Shout()],
            cache=IngestionCache(cache=RragKVStore(any_storage, namespace="cache"), collection="a::b"),
            docstore=KVDocumentStore(RragKVStore(any_storage)) if strategy else None,
            docstore_strategy=DocstoreStrategy.DUPLICATES_ONLY,
        )
        given = list(documents)
        return await pipeline.arun(documents=given) if awaited else pipeline.run(documents=given)

    first, second = Document(text="one", id_="1"), Document(text="two", id_="2")
    assert [node.get_content() for node in await ingest(first, second)] == ["ONE", "TWO"]
    assert await ingest(first, second) == []
    assert [node.get_content() for node in await ingest(Document(text="new", id_="1"))] == ["NEW"]
    assert [node.get_content() for node in await ingest(first, second, strategy=False)] == ["ONE", "TWO"]
    assert Shout.calls == ["one two", "", "new"]  # the rest came out of the cache
    cache = IngestionCache(cache=RragKVStore(any_storage, namespace="cache"), collection="a::b")
    cache.clear()
    assert any_storage.sync.count("cache") == 0


MESSAGES = [
    ChatMessage("hello"),
    ChatMessage(""),
    ChatMessage(role="system", content="ä\0"),
    ChatMessage(role="assistant", blocks=[TextBlock(text="see"), ImageBlock(image=b"\x89PNG\r\n\x1a\n\0\xff")]),
    ChatMessage(role="assistant", blocks=[ToolCallBlock(tool_call_id="1", tool_name="t", tool_kwargs={"a": [1]})]),
    ChatMessage(blocks=[DocumentBlock(data=b"%PDF-1.4", title="t"), AudioBlock(audio=b"RIFF", format="wav")]),
    ChatMessage(role="tool", content="42", additional_kwargs={"tool_call_id": "1", "deep": {"n": [1, None]}}),
]


def test_messages_come_back(chats: RragChatStore) -> None:
    chats.set_messages("chat", MESSAGES)
    for message in MESSAGES:
        chats.add_message("other", message)
    assert chats.get_messages("chat") == chats.get_messages("other") == MESSAGES


async def test_a_chat(chats: RragChatStore) -> None:
    one, two, three = MESSAGES[:3]
    await chats.aset_messages("chat", [one])
    await chats.async_add_message("chat", three)
    await chats.async_add_message("chat", two, idx=1)
    chats.add_message("chat", three, idx=0)
    assert await chats.aget_messages("chat") == chats.get_messages("chat") == [three, one, two, three]
    assert await chats.adelete_message("chat", 0) == three
    assert chats.delete_message("chat", -2) == two
    assert chats.delete_message("chat", 2) is await chats.adelete_message("chat", -3) is None
    assert await chats.adelete_last_message("chat") == three
    assert await chats.adelete_messages("chat") == [one]
    assert await chats.adelete_messages("chat") is chats.delete_messages("chat") is None
    assert chats.delete_last_message("chat") is None
    assert chats.get_messages("chat") == []
    assert await chats.aget_keys() == []


def test_chats_never_meet(chats: RragChatStore, any_storage: Storage) -> None:
    RragChatStore(any_storage, namespace="llama_index_chat2").add_message("a", ChatMessage("neighbour"))
    for key in AWKWARD:
        chats.add_message(key, ChatMessage(key))
    assert chats.get_keys() == sorted(AWKWARD)
    for key in AWKWARD:
        assert chats.delete_messages(key) == [ChatMessage(key)]
    assert chats.get_keys() == []


async def test_120_appends_at_once(chats: RragChatStore, any_storage: Storage) -> None:
    other = RragChatStore(any_storage)
    await asyncio.gather(
        *((chats, other)[n % 2].async_add_message("chat", ChatMessage(str(n))) for n in range(120)),
    )
    assert [message.content for message in chats.get_messages("chat")] == [str(n) for n in range(120)]


def test_120_appends_of_four_processes(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path / 'shared.db'}"
    for process in [start("integrations/append_worker.py", "chat_store", number, url) for number in range(4)]:
        finish(process)
    with DatabaseStorage(url).sync as storage:
        texts = [str(message.content) for message in RragChatStore(storage._storage).get_messages("chat")]
    assert len(texts) == 120
    for number in range(4):
        assert [text for text in texts if text.startswith(f"{number}:")] == [f"{number}:{n:02}" for n in range(30)]


def test_a_strange_entry_is_told(chats: RragChatStore, any_storage: Storage) -> None:
    chats.add_message("chat", ChatMessage("hello"))
    (key,) = any_storage.sync.keys()
    any_storage.sync.set(key, {"role": "secret"})
    with pytest.raises(CorruptedDataError, match="'chat'") as caught:
        chats.get_messages("chat")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("message", ["text", {"role": "user"}, None])
def test_only_messages_are_taken(chats: RragChatStore, message: Any) -> None:
    with pytest.raises(TypeError, match="ChatMessage"):
        chats.set_messages("chat", [ChatMessage("good"), message])
    with pytest.raises(TypeError, match="ChatMessage"):
        chats.add_message("chat", message)
    assert chats.get_keys() == []


def test_objects_of_a_model_come_back_as_their_data(chats: RragChatStore) -> None:
    chats.add_message("chat", ChatMessage("hello", additional_kwargs={"calls": [TextBlock(text="x"), Kind.NOTE]}))
    (message,) = chats.get_messages("chat")
    assert message.additional_kwargs == {"calls": [{"block_type": "text", "text": "x"}, "note"]}


def test_what_could_not_be_read_back_is_not_stored(chats: RragChatStore) -> None:
    unreadable = ChatMessage("hello").model_copy(update={"role": "nobody"})
    for bad in (ChatMessage("hello", additional_kwargs={"odd": object()}), unreadable):
        with pytest.raises(UnsupportedTypeError, match=r"object|role"):
            chats.add_message("chat", bad)
    assert chats.get_keys() == []


def test_messages_expire(any_storage: Storage, clock: ManualClock) -> None:
    chats = RragChatStore(any_storage, ttl=60)
    chats.set_messages("chat", MESSAGES)
    clock.advance(61)
    assert chats.get_messages("chat") == []
    assert chats.get_keys() == []


def test_under_a_memory(chats: RragChatStore, any_storage: Storage) -> None:
    memory = ChatMemoryBuffer.from_defaults(chat_history=MESSAGES[:2], chat_store=chats, chat_store_key="chat")
    memory.put(MESSAGES[2])
    again = ChatMemoryBuffer.from_defaults(chat_store=RragChatStore(any_storage), chat_store_key="chat")
    assert again.get_all() == MESSAGES[:3]
    again.set(MESSAGES[:1])
    assert memory.get_all() == MESSAGES[:1]
    memory.reset()
    assert again.get_all() == []


@pytest.mark.parametrize("adapter", [RragKVStore, RragChatStore])
def test_none_is_pickled(any_storage: Storage, adapter: Any) -> None:
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(adapter(any_storage))


@pytest.mark.parametrize("adapter", [RragKVStore, RragChatStore])
def test_arguments_are_checked(any_storage: Storage, adapter: Any) -> None:
    with pytest.raises(TypeError, match="storage"):
        adapter("sqlite::memory:")
    with pytest.raises(ValueError, match="ttl"):
        adapter(any_storage, ttl=0)

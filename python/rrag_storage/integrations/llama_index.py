"""LlamaIndex: `RragKVStore` under its document stores, index stores and ingestion caches, `RragChatStore` for chats.

Needs the extra: `pip install 'rrag-storage[llama-index]'`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from ..errors import CorruptedDataError, UnsupportedTypeError
from ._log import GONE, MessageLog
from ._steps import awaited, blocking
from ._support import checked_ttl, escape, needs, unescape, view

with needs("llama-index"):
    from llama_index.core.bridge.pydantic import PrivateAttr, ValidationError
    from llama_index.core.llms import ChatMessage
    from llama_index.core.storage.chat_store.base import BaseChatStore
    from llama_index.core.storage.kvstore.types import DEFAULT_BATCH_SIZE, DEFAULT_COLLECTION, BaseKVStore
    from pydantic_core import PydanticSerializationError

if TYPE_CHECKING:
    from .. import Storage
    from ._steps import Steps
    from ._support import Seconds

__all__ = ["RragChatStore", "RragKVStore"]


class RragKVStore(BaseKVStore):
    """LlamaIndex's key-value store in a storage: for `KVDocumentStore`, `KVIndexStore` and `IngestionCache`.

    A value is a dict of what the storage can hold; members of an `Enum`, which LlamaIndex puts there, come back as
    their plain values, as from JSON.

    Args:
        storage: any storage; it stays the caller's to close.
        namespace: under what the collections stand in it.
        ttl: after how long a value expires: seconds or a timedelta; None for never.

    Raises:
        TypeError, ValueError: an argument that can't be used.
    """

    def __init__(self, storage: Storage, *, namespace: str = "llama_index", ttl: Seconds | None = None) -> None:
        self._view = view(storage, namespace)
        self._ttl = checked_ttl(ttl)

    def _collection(self, collection: str) -> Storage:
        return self._view.namespace(escape(collection))

    def put(self, key: str, val: dict[str, Any], collection: str = DEFAULT_COLLECTION) -> None:
        """Stores `val` under `key`.

        Raises:
            TypeError: `val` is no dict, or holds what can't be stored (UnsupportedTypeError, which says where).
        """
        blocking(self._put([(key, val)], collection))

    async def aput(self, key: str, val: dict[str, Any], collection: str = DEFAULT_COLLECTION) -> None:
        """As `put`."""
        await awaited(self._put([(key, val)], collection))

    def put_all(
        self,
        kv_pairs: list[tuple[str, dict[str, Any]]],
        collection: str = DEFAULT_COLLECTION,
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> None:
        """Stores all pairs, or none: in one step, whatever `batch_size` says. Raises as `put`."""
        blocking(self._put(kv_pairs, collection))

    async def aput_all(
        self,
        kv_pairs: list[tuple[str, dict[str, Any]]],
        collection: str = DEFAULT_COLLECTION,
        batch_size: int = DEFAULT_BATCH_SIZE,
    ) -> None:
        """As `put_all`."""
        await awaited(self._put(kv_pairs, collection))

    def _put(self, pairs: list[tuple[str, dict[str, Any]]], collection: str) -> Steps[None]:
        records = [(escape(key), _record(key, val)) for key, val in pairs]
        yield self._collection(collection).mset(records, self._ttl)

    def get(self, key: str, collection: str = DEFAULT_COLLECTION) -> dict[str, Any] | None:
        """The dict under `key`, the caller's to change; None where there is none.

        Raises:
            CorruptedDataError: what is stored there is no dict.
        """
        return blocking(self._get(key, collection))

    async def aget(self, key: str, collection: str = DEFAULT_COLLECTION) -> dict[str, Any] | None:
        """As `get`."""
        return await awaited(self._get(key, collection))

    def _get(self, key: str, collection: str) -> Steps[dict[str, Any] | None]:
        found = yield self._collection(collection).get(escape(key), GONE)
        return None if found is GONE else _value(key, found)

    def get_all(self, collection: str = DEFAULT_COLLECTION) -> dict[str, dict[str, Any]]:
        """All values of the collection by their keys. Raises as `get`."""
        return {(name := unescape(key)): _value(name, val) for key, val in self._collection(collection).sync.items()}

    async def aget_all(self, collection: str = DEFAULT_COLLECTION) -> dict[str, dict[str, Any]]:
        """As `get_all`."""
        return {(name := unescape(key)): _value(name, val) async for key, val in self._collection(collection).items()}

    def delete(self, key: str, collection: str = DEFAULT_COLLECTION) -> bool:
        """Deletes what is under `key`; whether there was something."""
        return blocking(self._delete(key, collection))

    async def adelete(self, key: str, collection: str = DEFAULT_COLLECTION) -> bool:
        """As `delete`."""
        return await awaited(self._delete(key, collection))

    def _delete(self, key: str, collection: str) -> Steps[bool]:
        deleted: bool = yield self._collection(collection).delete(escape(key))
        return deleted


class RragChatStore(BaseChatStore):
    """LlamaIndex's chat store in a storage: each message an entry of its own, so that appends never get lost.

    Any number of processes may add to one chat at once; each one's messages stay in the order of its calls.

    Args:
        storage: any storage; it stays the caller's to close.
        namespace: under what the chats stand in it.
        ttl: after how long each message expires: seconds or a timedelta; None for never.

    Raises:
        TypeError, ValueError: an argument that can't be used.
    """

    _view: Any = PrivateAttr()
    _ttl: Any = PrivateAttr()

    def __init__(self, storage: Storage, *, namespace: str = "llama_index_chat", ttl: Seconds | None = None) -> None:
        super().__init__()
        self._view = view(storage, namespace)
        self._ttl = checked_ttl(ttl)

    @classmethod
    def class_name(cls) -> str:
        """What LlamaIndex calls the class by."""
        return "RragChatStore"

    def __getstate__(self) -> dict[str, Any]:
        # LlamaIndex's own leaves out what can't be pickled: a chat store without its storage.
        raise TypeError("a RragChatStore can't be pickled, for its storage can't: make one in each process")

    def _log(self, key: str) -> MessageLog:
        return MessageLog(self._view.namespace(escape(key)), self._ttl)

    def set_messages(self, key: str, messages: list[ChatMessage]) -> None:
        """Puts `messages` in the place of those that the chat `key` has.

        Raises:
            TypeError: one that is no ChatMessage, or could not be read back (UnsupportedTypeError).
        """
        blocking(self._log(key).replace(_dumped(messages)))

    async def aset_messages(self, key: str, messages: list[ChatMessage]) -> None:
        """As `set_messages`."""
        await awaited(self._log(key).replace(_dumped(messages)))

    def get_messages(self, key: str) -> list[ChatMessage]:
        """The messages of the chat `key`, the oldest first; none where there is no such chat.

        Raises:
            CorruptedDataError: what is stored is no message of LlamaIndex.
        """
        return _loaded(key, blocking(self._log(key).read()))

    async def aget_messages(self, key: str) -> list[ChatMessage]:
        """As `get_messages`."""
        return _loaded(key, await awaited(self._log(key).read()))

    def add_message(self, key: str, message: ChatMessage, idx: int | None = None) -> None:
        """Adds `message` at the end of the chat `key`, or before the one at `idx`. Raises as `set_messages`."""
        blocking(self._add(key, message, idx))

    async def async_add_message(self, key: str, message: ChatMessage, idx: int | None = None) -> None:
        """As `add_message`."""
        await awaited(self._add(key, message, idx))

    def _add(self, key: str, message: ChatMessage, idx: int | None) -> Steps[None]:
        dumped = _dumped([message])
        log = self._log(key)
        return log.append(dumped) if idx is None else log.insert(idx, dumped[0])

    def delete_messages(self, key: str) -> list[ChatMessage] | None:
        """Deletes the chat `key` and gives its messages; None where there is no such chat."""
        taken = blocking(self._log(key).take())
        return None if taken is None else _loaded(key, taken)

    async def adelete_messages(self, key: str) -> list[ChatMessage] | None:
        """As `delete_messages`."""
        taken = await awaited(self._log(key).take())
        return None if taken is None else _loaded(key, taken)

    def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Deletes the message at `idx` (negative from the end) and gives it; None where there is none."""
        return _taken(key, blocking(self._log(key).pop(idx)))

    async def adelete_message(self, key: str, idx: int) -> ChatMessage | None:
        """As `delete_message`."""
        return _taken(key, await awaited(self._log(key).pop(idx)))

    def delete_last_message(self, key: str) -> ChatMessage | None:
        """Deletes the newest message and gives it; None where there is none. Of several callers one gets it."""
        return _taken(key, blocking(self._log(key).pop(-1)))

    async def adelete_last_message(self, key: str) -> ChatMessage | None:
        """As `delete_last_message`."""
        return _taken(key, await awaited(self._log(key).pop(-1)))

    def get_keys(self) -> list[str]:
        """The keys of all chats, sorted."""
        return blocking(self._keys())

    async def aget_keys(self) -> list[str]:
        """As `get_keys`."""
        return await awaited(self._keys())

    def _keys(self) -> Steps[list[str]]:
        parts = yield self._view.namespaces(max_depth=1)
        return sorted(map(unescape, parts))


def _record(key: str, val: dict[str, Any]) -> Any:
    if not isinstance(val, dict):
        raise TypeError(f"the value for {key!r} must be a dict, not {type(val).__name__}")
    return _plain(val)


def _value(key: str, stored: Any) -> dict[str, Any]:
    if not isinstance(stored, dict):
        raise CorruptedDataError(f"what is stored under {key!r} is no dict, but of type {type(stored).__name__}")
    return stored


def _plain(value: Any) -> Any:
    """`value` with the plain values of the members of any Enum in it."""
    if isinstance(value, Enum):
        return _plain(value.value)
    if type(value) is dict:
        return {_plain(key): _plain(inner) for key, inner in value.items()}
    if type(value) is list:
        return [_plain(inner) for inner in value]
    return value


def _dumped(messages: list[ChatMessage]) -> list[dict[str, Any]]:
    return [_dump(message) for message in messages]


def _dump(message: ChatMessage) -> dict[str, Any]:
    if not isinstance(message, ChatMessage):
        raise TypeError(f"a message must be a ChatMessage, not {type(message).__name__}")
    try:
        dumped = message.model_dump(mode="json", warnings=False)
        ChatMessage.model_validate(dumped)  # what can't be read back would make its whole chat unreadable
    except PydanticSerializationError as error:
        raise UnsupportedTypeError(f"a message can't be stored: {error}") from error
    except ValidationError as error:
        wrong = ", ".join(".".join(map(str, detail["loc"])) for detail in error.errors(include_input=False))
        raise UnsupportedTypeError(f"a message can't be stored, it could not be read back: {wrong}") from None
    return dumped


def _loaded(key: str, stored: list[Any]) -> list[ChatMessage]:
    try:
        return [ChatMessage.model_validate(message) for message in stored]
    except ValidationError:
        # Its text would show what is stored.
        raise CorruptedDataError(f"the chat {key!r} holds an entry that is no message of LlamaIndex") from None


def _taken(key: str, message: Any) -> ChatMessage | None:
    return None if message is GONE else _loaded(key, [message])[0]

"""LangChain: a byte store, a cache of model answers, and chat histories in any storage."""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from typing import TYPE_CHECKING, Any

from .. import CorruptedDataError, SortOrder
from ._support import Seconds, checked_ttl, escape, key_pages, key_pages_sync, needs, view

with needs("langchain"):
    from langchain_core.caches import BaseCache
    from langchain_core.chat_history import BaseChatMessageHistory
    from langchain_core.stores import BaseStore

    from ._langchain_codec import decode_generation, decode_message, encode_generation, encode_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import Generation

    from .. import Storage

__all__ = ["RragByteStore", "RragCache", "RragChatMessageHistory"]


class RragByteStore(BaseStore[str, bytes]):
    """LangChain's store of bytes by key, as `CacheBackedEmbeddings` and document loaders use it.

    Args:
        storage: where it keeps them; closing it stays the caller's.
        namespace: the part of `storage` that it uses. Nothing outside is read, listed or deleted.
        ttl: how long an entry lives after it was written, seconds or a timedelta; None for ever.

    Raises:
        TypeError, ValueError: an argument that can't be used; the message names it.
    """

    def __init__(self, storage: Storage, *, namespace: str = "langchain", ttl: Seconds | None = None) -> None:
        self._view = view(storage, namespace)
        self._ttl = checked_ttl(ttl)

    def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values under `keys`, in their order, None for each that is missing.

        Raises:
            TypeError: under a key stands something else than bytes, so that another program wrote it.
        """
        return _all_bytes(keys, self._view.sync.mget(keys, _MISSING))

    async def amget(self, keys: Sequence[str]) -> list[bytes | None]:
        """As `mget`."""
        return _all_bytes(keys, await self._view.mget(keys, _MISSING))

    def mset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None:
        """Stores all pairs, or, where anything goes wrong, none; of a key named twice the last value counts.

        Raises:
            TypeError: a value is not bytes.
            InvalidKeyError: (a ValueError) a key is empty or too long.
        """
        self._view.sync.mset(_checked_pairs(key_value_pairs), self._ttl)

    async def amset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None:
        """As `mset`."""
        await self._view.mset(_checked_pairs(key_value_pairs), self._ttl)

    def mdelete(self, keys: Sequence[str]) -> None:
        """Deletes `keys`; those that are missing don't matter."""
        self._view.sync.mdelete(keys)

    async def amdelete(self, keys: Sequence[str]) -> None:
        """As `mdelete`."""
        await self._view.mdelete(keys)

    def yield_keys(self, *, prefix: str | None = None) -> Iterator[str]:
        """The keys that start with `prefix` (literally), in key order; all of them without one."""
        for page in key_pages_sync(self._view, prefix=prefix):
            yield from page

    async def ayield_keys(self, *, prefix: str | None = None) -> AsyncIterator[str]:
        """As `yield_keys`."""
        async for page in key_pages(self._view, prefix=prefix):
            for key in page:
                yield key


class RragCache(BaseCache):
    """A cache of what language models answered: `langchain_core.globals.set_llm_cache(RragCache(storage))`.

    Answers come back equal and of their class, whether `Generation` or one of langchain-core's subclasses.

    Args:
        storage: where it keeps them; closing it stays the caller's.
        namespace: the part of `storage` that it uses; `clear` deletes just that.
        ttl: how long an answer lives, seconds or a timedelta; None for ever.

    Raises:
        TypeError, ValueError: an argument that can't be used; the message names it.
    """

    def __init__(self, storage: Storage, *, namespace: str = "llm_cache", ttl: Seconds | None = None) -> None:
        self._view = view(storage, namespace)
        self._ttl = checked_ttl(ttl)

    def lookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """The answers to `prompt` from the model that `llm_string` describes; None where there are none.

        Raises:
            CorruptedDataError: what is stored is no list of answers.
        """
        return _answers(self._view.sync.get(_question(prompt, llm_string), _MISSING))

    async def alookup(self, prompt: str, llm_string: str) -> list[Generation] | None:
        """As `lookup`."""
        return _answers(await self._view.get(_question(prompt, llm_string), _MISSING))

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Keeps the answers `return_val`, in place of older ones.

        Raises:
            UnsupportedTypeError: (a TypeError) an answer that would not come back as it is; the message says why.
        """
        answers = [encode_generation(answer) for answer in return_val]
        self._view.sync.set(_question(prompt, llm_string), answers, self._ttl)

    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """As `update`."""
        answers = [encode_generation(answer) for answer in return_val]
        await self._view.set(_question(prompt, llm_string), answers, self._ttl)

    def clear(self, **kwargs: Any) -> None:
        """Forgets all answers. LangChain's interface allows keyword arguments; there are none here.

        Raises:
            TypeError: a keyword argument was given: it might have meant to clear less than everything.
        """
        _no_arguments(kwargs)
        self._view.sync.clear()

    async def aclear(self, **kwargs: Any) -> None:
        """As `clear`."""
        _no_arguments(kwargs)
        await self._view.clear()


class RragChatMessageHistory(BaseChatMessageHistory):
    """The messages of one conversation, as `RunnableWithMessageHistory` uses them, each an entry of its own.

    Any number of tasks, threads and processes may add to one conversation at once. Messages stand in the order in which
    this process added them, after all that it has read; between processes that add at the same time their clocks decide.

    Args:
        session_id: which conversation; any str.
        storage: where the messages are kept; closing it stays the caller's.
        namespace: the part of `storage` that all conversations share.
        ttl: how long a message lives after it was added, seconds or a timedelta; None for ever.
        history_size: how many messages reading gives at most, the latest ones; None for all. None is deleted.

    Raises:
        TypeError, ValueError: an argument that can't be used; the message names it.
    """

    def __init__(
        self,
        session_id: str,
        storage: Storage,
        *,
        namespace: str = "chat_history",
        ttl: Seconds | None = None,
        history_size: int | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(session_id, str):
            raise TypeError(f"session_id must be a str, not {type(session_id).__name__}")
        if history_size is not None and (isinstance(history_size, bool) or not isinstance(history_size, int)):
            raise TypeError(f"history_size must be an int, not {type(history_size).__name__}")
        if history_size is not None and history_size < 1:
            raise ValueError(f"history_size must be at least 1, not {history_size}")
        self.session_id = session_id
        self._view = view(storage, namespace).namespace(escape(session_id))
        self._ttl = checked_ttl(ttl)
        self._history_size = history_size

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]  # read anew each time, as the base says it may be
        """The messages, oldest first; with `history_size`, the latest so many.

        Raises:
            CorruptedDataError: what is stored is no message.
        """
        return _in_order(list(self._view.sync.items(**self._latest)))

    async def aget_messages(self) -> list[BaseMessage]:
        """As `messages`."""
        return _in_order([item async for item in self._view.items(**self._latest)])

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Adds `messages`: all of them, or, where one can't be stored, none.

        Raises:
            UnsupportedTypeError: (a TypeError) a message that would not come back as it is; the message says why.
        """
        self._view.sync.mset(_entries(messages), self._ttl)

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """As `add_messages`."""
        await self._view.mset(_entries(messages), self._ttl)

    def clear(self) -> None:
        """Deletes the messages of this conversation."""
        self._view.sync.clear()

    async def aclear(self) -> None:
        """As `clear`."""
        await self._view.clear()

    @property
    def _latest(self) -> dict[str, Any]:
        return {"sort_order": SortOrder.KEY_DESC, "limit": self._history_size}


_MISSING = object()


def _all_bytes(keys: Sequence[str], values: list[Any]) -> list[bytes | None]:
    for key, value in zip(keys, values, strict=True):
        if value is not _MISSING and not isinstance(value, bytes):
            raise TypeError(f"under {key!r} stands a {type(value).__name__}, not bytes: another program wrote it")
    return [None if value is _MISSING else value for value in values]


def _checked_pairs(pairs: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    checked = list(pairs)
    for key, value in checked:
        if not isinstance(value, bytes):
            raise TypeError(f"the value of {key!r} must be bytes, not {type(value).__name__}")
    return checked


def _question(prompt: str, llm_string: str) -> str:
    return hashlib.sha256(json.dumps([prompt, llm_string]).encode()).hexdigest()


def _answers(stored: Any) -> list[Generation] | None:
    if stored is _MISSING:
        return None
    return [decode_generation(answer) for answer in (stored if isinstance(stored, list) else [stored])]


def _no_arguments(given: dict[str, Any]) -> None:
    if given:
        raise TypeError(f"clear() deletes all answers and takes no arguments, not {', '.join(given)}")


class _Stamps:
    """Numbers for messages: nanoseconds of the clock, but each greater than those before and than all that were seen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self, count: int) -> range:
        """`count` numbers in a row."""
        with self._lock:
            first = max(time.time_ns(), self._last + 1)
            self._last = first + count - 1
            return range(first, first + count)

    def seen(self, stamp: int) -> None:
        """Whatever comes next is greater than `stamp`."""
        with self._lock:
            self._last = max(self._last, stamp)


_stamps = _Stamps()


def _entries(messages: Sequence[BaseMessage]) -> dict[str, Any]:
    encoded = [encode_message(message) for message in messages]
    # What is random keeps two processes apart whose clocks show the same.
    stamps = _stamps.next(len(encoded))
    return {f"{stamp:020}-{secrets.token_hex(8)}": message for stamp, message in zip(stamps, encoded, strict=True)}


def _in_order(latest_first: list[tuple[str, Any]]) -> list[BaseMessage]:
    if latest_first:
        key = latest_first[0][0]
        stamp, _, random = key.partition("-")
        if not (stamp.isdecimal() and random):
            raise CorruptedDataError(f"among the messages stands {key!r}, which is none: another program wrote it")
        _stamps.seen(int(stamp))
    return [decode_message(stored) for _, stored in reversed(latest_first)]

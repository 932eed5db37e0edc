"""The OpenAI Agents SDK: `RragSession` keeps a conversation's items.

Needs the extra: `pip install 'rrag-storage[openai-agents]'`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ..errors import CorruptedDataError
from ._log import GONE, MessageLog
from ._steps import awaited
from ._support import checked_ttl, escape, needs, view

with needs("openai-agents"):
    from agents.memory.session_settings import SessionSettings, coerce_session_settings

if TYPE_CHECKING:
    from agents import TResponseInputItem

    from .. import Storage
    from ._support import Seconds

__all__ = ["RragSession"]


class RragSession:
    """A session of the OpenAI Agents SDK in a storage: `Runner.run(agent, "Hello", session=RragSession("ada", storage))`.

    Each item is an entry of its own. Any number of processes may work on one session; what one of them adds in one
    call stays together, and its calls in their order.

    Args:
        session_id: which conversation.
        storage: any storage; it stays the caller's to close.
        namespace: under what the sessions stand in it.
        ttl: after how long each item expires: seconds or a timedelta; None for never.
        session_settings: `SessionSettings`, or a dict of them; its `limit` holds where `get_items` is told none.

    Raises:
        TypeError, ValueError: an argument that can't be used.
    """

    session_id: str
    session_settings: SessionSettings | None

    def __init__(
        self,
        session_id: str,
        storage: Storage,
        *,
        namespace: str = "agents_session",
        ttl: Seconds | None = None,
        session_settings: SessionSettings | dict[str, Any] | None = None,
    ) -> None:
        if not isinstance(session_id, str):
            raise TypeError(f"session_id must be a str, not {type(session_id).__name__}")
        if session_settings is None:
            session_settings = SessionSettings()
        elif isinstance(session_settings, dict):
            session_settings = coerce_session_settings(session_settings)
        self.session_id = session_id
        self.session_settings = session_settings
        self._log = MessageLog(view(storage, namespace).namespace(escape(session_id)), checked_ttl(ttl))

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """The items of the conversation, the oldest first.

        Args:
            limit: only so many of the newest; None for the settings' limit, and all where they have none.

        Raises:
            CorruptedDataError: what is stored is no item.
        """
        if limit is None and self.session_settings is not None:
            limit = self.session_settings.limit
        if limit is not None and limit <= 0:
            return []
        return [self._item(item) for item in await awaited(self._log.read(limit))]

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Adds the items at the end: all, or none.

        Raises:
            TypeError: an item that is no dict, or holds what can't be stored (UnsupportedTypeError, which says where).
        """
        for item in items:
            if not isinstance(item, dict):
                raise TypeError(f"an item must be a dict, not {type(item).__name__}")
        await awaited(self._log.append(items))

    async def pop_item(self) -> TResponseInputItem | None:
        """Takes out the newest item and gives it; None where there is none. Of several callers one gets it."""
        item = await awaited(self._log.pop(-1))
        return None if item is GONE else self._item(item)

    async def clear_session(self) -> None:
        """Deletes all items of the conversation."""
        await awaited(self._log.clear())

    def _item(self, stored: Any) -> TResponseInputItem:
        if not isinstance(stored, dict):
            raise CorruptedDataError(f"the session {self.session_id!r} holds an entry that is no item")
        return cast("TResponseInputItem", stored)

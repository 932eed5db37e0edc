"""What a process of the chat adapters' tests does: `append_worker.py ADAPTER NUMBER URL` adds 30 messages, all at once."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from rrag_storage import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from rrag_storage import Storage


def chat_store(storage: Storage) -> Callable[[str], Coroutine[None, None, None]]:
    """LlamaIndex's."""
    from llama_index.core.llms import ChatMessage
    from rrag_storage.integrations.llama_index import RragChatStore

    chats = RragChatStore(storage)
    return lambda text: chats.async_add_message("chat", ChatMessage(text))


def session(storage: Storage) -> Callable[[str], Coroutine[None, None, None]]:
    """The OpenAI Agents SDK's."""
    from rrag_storage.integrations.openai_agents import RragSession

    own = RragSession("chat", storage)
    return lambda text: own.add_items([{"role": "user", "content": text}])


async def main(adapter: str, process: str, url: str) -> None:
    """One process."""
    async with connect(url) as storage:
        add = {"chat_store": chat_store, "session": session}[adapter](storage)
        await asyncio.gather(*(add(f"{process}:{number:02}") for number in range(30)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

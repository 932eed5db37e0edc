"""What a process of test_message_log.py does: `append_worker.py NUMBER URL` adds 30 messages, all at once."""

from __future__ import annotations

import asyncio
import sys

from rrag_storage import connect
from rrag_storage.integrations._log import MessageLog
from rrag_storage.integrations._steps import awaited


async def main(process: int, url: str) -> None:
    """One process."""
    async with connect(url) as storage:
        log = MessageLog(storage.namespace("log"), None)
        await asyncio.gather(*(awaited(log.append([(process, number)])) for number in range(30)))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))

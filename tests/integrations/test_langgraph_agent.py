"""An agent whose process is killed in the middle of a step, and which another process takes up."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from agent_worker import CONFIG
from rrag_storage import DatabaseStorage
from rrag_storage.integrations.langgraph import RragSaver, RragStore
from rrag_storage.testing import eventually
from support import finish, start

if TYPE_CHECKING:
    from pathlib import Path

TOLD = ["How long is a snake?", "Snakes are long.", "", "remembered", "3 m", "The snake sleeps and is 3 m long."]


@pytest.mark.parametrize("way", ["sync", "async"])
def test_an_agent_is_killed_and_taken_up(tmp_path: Path, way: str) -> None:
    url, log = f"sqlite:{tmp_path / 'agent.db'}", tmp_path / "log"
    worker = "integrations/agent_worker.py"
    storage = DatabaseStorage(url)
    saver = RragSaver(storage)

    def half_done() -> bool:
        """`remember` has been stored, and `measure` runs."""
        found = saver.get_tuple(CONFIG)
        told = found is not None and any("remembered" in str(value) for _, _, value in found.pending_writes or ())
        return told and "measure" in log.read_text().split()

    first = start(worker, f"{way}-start", url, log)
    eventually(lambda: half_done() or first.poll() is not None, "the agent is in the middle of its tools")
    first.send_signal(signal.SIGKILL)
    _, errors = first.communicate(timeout=60)
    assert (first.returncode, errors.decode()) == (-signal.SIGKILL, "")
    assert log.read_text().split() in (
        ["facts", "model", "remember", "measure"],
        ["facts", "model", "measure", "remember"],
    )

    assert finish(start(worker, f"{way}-resume", url, log)).splitlines() == TOLD
    # What was done is not done again: one more try of the tool that hung, and the model's second turn.
    assert log.read_text().split()[4:] == ["measure", "model"]
    item = RragStore(storage).get(("facts", "agent::1"), "sleep")
    assert item is not None
    assert item.value == {"fact": "snakes sleep"}
    assert len(list(saver.list(CONFIG))) == 6

    # Another conversation finds the node's result and the model's first answer in the caches. The second prompt is a new
    # one, because LangChain notes in an answer from a cache that it cost nothing.
    assert finish(start(worker, f"{way}-again", url, log)).splitlines() == TOLD
    assert sorted(log.read_text().split()[6:8]) == ["measure", "remember"]
    assert log.read_text().split()[8:] == ["model"]
    storage.sync.close()

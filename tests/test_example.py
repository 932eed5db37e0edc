"""examples/ask_the_manual.py as its users run it: once, again, with another question, and after it was killed."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rrag_storage import DatabaseStorage, MemoryEntry

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "ask_the_manual.py"

# Kills itself, as a power cut would, while it embeds the twentieth of its topics.
KILLED_IN_THE_MIDDLE = f"""
import os, signal, sys
sys.path.insert(0, {str(EXAMPLE.parent)!r})
import ask_the_manual

embed, calls = ask_the_manual.embed, []

def embed_and_die(texts, weights):
    calls.append(texts)
    if len(calls) == 20:
        os.kill(os.getpid(), signal.SIGKILL)
    return embed(texts, weights)

ask_the_manual.embed = embed_and_die
ask_the_manual.main()
"""


def run(database: Path, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLE), "--database", str(database), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def ingested(output: str) -> tuple[int, int]:
    """How many chunks a run ingested, and how many were there."""
    found = re.search(r"^ingested (\d+) chunks(?: in [\d.]+ s)?(?: \((\d+) already there\))?", output, re.MULTILINE)
    assert found, output
    return int(found[1]), int(found[2] or 0)


def seconds_to_first_answer(output: str) -> float:
    found = re.search(r"^first answer after ([\d.]+) s$", output, re.MULTILINE)
    assert found, output
    return float(found[1])


def answers(output: str) -> list[str]:
    """Each question with its answer, without where it came from."""
    return re.findall(r"^>>> [^\n]+\n\n.*?(?=\n    topic )", output, re.MULTILINE | re.DOTALL)


def manual_in(database: Path) -> list[MemoryEntry]:
    with DatabaseStorage(f"sqlite:{database}").sync as storage:
        found = [
            entry
            for namespace in ("manual::chunks", "manual::vectors")
            for entry in storage.entries(namespace=namespace)
        ]
    assert found
    return found


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A database that one run has filled, and what that run printed."""
    database = tmp_path_factory.mktemp("example") / "manual.db"
    return database, run(database)


def test_the_second_run_ingests_nothing_and_answers_the_same_faster(first: tuple[Path, str]) -> None:
    database, output = first
    chunks, there = ingested(output)
    assert chunks > 400
    assert there == 0

    again = run(database)
    assert ingested(again) == (0, chunks)
    assert len(answers(output)) == 3
    assert answers(again) == answers(output)
    assert again.count("read from manual::answers::") == 3
    # Whatever else the machine does can only slow a run down.
    fastest = min(seconds_to_first_answer(text) for text in (again, run(database), run(database)))
    assert 5 * fastest <= seconds_to_first_answer(output)


def test_a_new_question_is_answered_from_what_is_stored(first: tuple[Path, str]) -> None:
    database, output = first
    other = run(database, "What does yield from do?")
    assert ingested(other) == (0, ingested(output)[0])
    assert "topic yield, " in other
    assert "read from manual::chunks::yield::" in other

    conversation = run(database, "What is a generator?")
    assert "questions so far, the last one: What does yield from do?\n" in conversation
    others = (other, conversation, run(database, "How do I catch an exception?"))
    assert all("read from manual::chunks::" in text for text in others)
    assert 5 * min(map(seconds_to_first_answer, others)) <= seconds_to_first_answer(output)


def test_an_interrupted_ingestion_is_continued(first: tuple[Path, str], tmp_path: Path) -> None:
    whole, output = first
    database = tmp_path / "manual.db"
    command = [sys.executable, "-c", KILLED_IN_THE_MIDDLE, "--database", str(database)]
    killed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    more, there = ingested(run(database))
    assert there > 0
    assert more > 0
    assert more + there == ingested(output)[0]

    continued, uninterrupted = manual_in(database), manual_in(whole)
    assert [entry.key for entry in continued] == [entry.key for entry in uninterrupted]
    for entry, other in zip(continued, uninterrupted, strict=True):
        if entry.kind == "array":
            assert entry.value.tobytes() == other.value.tobytes()
        else:
            assert entry.value == other.value


def test_fresh_forgets_the_manual_and_the_conversation(first: tuple[Path, str], tmp_path: Path) -> None:
    _, output = first
    database = tmp_path / "manual.db"
    with DatabaseStorage(f"sqlite:{database}").sync as storage:
        storage.set("mine", "stays")
    run(database)
    again = run(database, "--fresh")
    assert ingested(again) == (ingested(output)[0], 0)
    assert "3 questions asked" in again
    with DatabaseStorage(f"sqlite:{database}").sync as storage:
        assert storage.get("mine") == "stays"

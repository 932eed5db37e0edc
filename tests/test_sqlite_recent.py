"""What was read of late is given again only as long as nobody, in whatever process, has written since."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from rrag_storage import DatabaseStorage, ManualClock
from rrag_storage.testing import asynchronous, in_threads
from support import finish, start

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

# Does what it is told, line by line, and says when it is done.
OTHER = """
    import json, sqlite3, sys
    from rrag_storage import DatabaseStorage

    # Each opens the file when it is first used: one process uses one of them.
    storage = DatabaseStorage("sqlite:" + sys.argv[1], synchronous="normal").sync
    beside = sqlite3.connect(sys.argv[1], isolation_level=None)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        if name == "sql":
            beside.execute(*arguments).fetchall()
        else:
            getattr(storage, name)(*arguments)
        print("done", flush=True)
    beside.close()
    storage.close()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.db"


class Other:
    """Another process with a storage, and with SQLite's own hands, on the file."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def __call__(self, *call: Any) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(call).encode() + b"\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == b"done\n"


@contextlib.contextmanager
def another(path: Path) -> Iterator[Other]:
    process = start(OTHER, path)
    yield Other(process)
    finish(process)


@pytest.fixture
def other(path: Path) -> Iterator[Other]:
    """A process that uses a storage."""
    with another(path) as process:
        yield process


@pytest.fixture
def sql(path: Path) -> Iterator[Other]:
    """A process that uses SQLite."""
    with another(path) as process:
        yield process


def test_another_process_is_seen_at_once(path: Path, other: Other) -> None:
    with DatabaseStorage(f"sqlite:{path}").sync as storage:
        storage.mset({"key": -1, "still": "here"})
        for number in range(200):
            assert storage.get("still") == "here"
            assert storage.get("key") == storage.mget(["key", "still"])[0] == number - 1
            other("set", "key", number)
            assert storage.get("key") == number
            assert storage.mget(["still", "key"]) == ["here", number]


def test_whatever_others_do(path: Path, other: Other, sql: Other) -> None:
    with DatabaseStorage(f"sqlite:{path}").sync as storage:
        storage.mset({f"key-{number}": number for number in range(100)})

        def seen() -> list[Any]:
            singly = [storage.get(f"key-{number}") for number in range(4)]
            assert storage.mget([f"key-{number}" for number in range(4)]) == singly
            assert storage.count() == len(storage.keys())
            return singly

        assert seen() == seen() == [0, 1, 2, 3]
        other("delete", "key-1")
        assert seen() == [0, None, 2, 3]
        sql("sql", "PRAGMA wal_checkpoint(TRUNCATE)")
        assert seen() == [0, None, 2, 3]
        other("mset", {"key-1": "new", "key-2": "new"})
        assert seen() == [0, "new", "new", 3]
        sql("sql", "VACUUM")
        other("increment", "key-3")
        assert seen() == [0, "new", "new", 4]
        sql("sql", "PRAGMA wal_checkpoint(RESTART)")
        sql("sql", "DELETE FROM rrag_storage WHERE key = ?", ["key-0"])
        sql("sql", "UPDATE rrag_storage SET key = CAST('key-0' AS BLOB) WHERE key = CAST('key-3' AS BLOB)")
        assert seen()[1:] == ["new", "new", None]
        other("clear")
        assert seen() == [None] * 4


def test_where_the_other_goes_and_comes(path: Path) -> None:
    with DatabaseStorage(f"sqlite:{path}").sync as storage:
        storage.set("key", -1)
        for number in range(20):
            assert storage.get("key") == number - 1
            with DatabaseStorage(f"sqlite:{path}").sync as second:
                assert second.get("key") == number - 1
                second.set("key", number)
            assert storage.get("key") == number


@asynchronous
async def test_its_own_writes_are_seen_at_once(path: Path) -> None:
    async with DatabaseStorage(f"sqlite:{path}", synchronous="normal") as storage:
        await storage.set("key", 0)
        for number in range(300):
            assert await storage.get("key") == number
            assert await storage.increment("key") == number + 1
            entry = await storage.get_entry("key")
            assert entry is not None
            assert entry.value == number + 1
            assert not await storage.compare_and_set("key", "lost", entry.version + 1)
            assert await storage.compare_and_set("key", number + 1, entry.version)


@asynchronous
async def test_time_goes_on(path: Path) -> None:
    clock = ManualClock()
    async with DatabaseStorage(f"sqlite:{path}", clock=clock) as storage:
        await storage.mset({"key": 1, "other": 2}, ttl=10)
        for _ in range(2):
            assert (
                await storage.mget(["key", "other"]) == [await storage.get("key"), await storage.get("other")] == [1, 2]
            )
        clock.advance(10)
        assert await storage.mget(["key", "other"]) == [await storage.get("key"), await storage.get("other")]
        assert await storage.get("key") is None
        assert not await storage.exists("key")


def test_no_thread_sees_an_older_value_after_a_newer_one(path: Path) -> None:
    with DatabaseStorage(f"sqlite:{path}", synchronous="normal").sync as storage:
        storage.mset({"one": 0, "two": 0})

        def work(thread: int) -> None:
            last = 0
            for number in range(1, 1_500):
                if thread == 0:
                    storage.mset({"one": number, "two": number})
                else:
                    one, two = storage.mget(["one", "two"]) if number % 3 else [storage.get("one")] * 2
                    assert one == two
                    assert one >= last
                    last = one

        in_threads(4, work)
        assert storage.get("one") == 1_499


def test_what_is_read_beside_is_the_same(path: Path) -> None:
    """SQLite itself, in this process, may look at the file."""
    with DatabaseStorage(f"sqlite:{path}").sync as storage:
        for number in range(20):
            storage.set("key", number)
            assert storage.get("key") == storage.get("key") == number
            connection = sqlite3.connect(path)
            assert connection.execute("SELECT count(*) FROM rrag_storage").fetchone() == (1,)
            connection.close()
            assert storage.get("key") == number

"""The contract on a SQLite file, and what can become of a file: other hands, other programs, no room, no permission."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sqlite3
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rrag_storage import (
    BackendUnavailableError,
    ConfigurationError,
    DatabaseStorage,
    ManualClock,
    OperationTimeoutError,
    Storage,
    StorageError,
)
from rrag_storage.testing import StorageContract, assert_same, asynchronous, cases, eventually, in_threads
from support import finish, open_files, run_script, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCHEMA_TABLE = "rrag_storage_schema"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.db"


def at(path: Path, **options: Any) -> DatabaseStorage:
    """A storage on the file at `path`."""
    return DatabaseStorage(f"sqlite:{path}", **options)


def fill(path: Path, count: int = 1) -> None:
    """Makes a file with so many entries, and lets go of it."""
    with at(path).sync as storage:
        storage.mset({f"key-{number:04}": [number] for number in range(count)})


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """File permissions hold inside, even for a superuser."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


class TestSqlite(StorageContract):
    """The contract on a file, as durable as it comes."""

    @pytest.fixture
    def make_storage(self, clock: ManualClock, tmp_path: Path) -> Callable[[], Storage]:
        numbers = iter(range(1_000))
        return lambda: at(tmp_path / f"{next(numbers)}.db", clock=clock)


class TestSqliteNormal(StorageContract):
    """The contract on a file with `synchronous="normal"` and a table of another name."""

    @pytest.fixture
    def make_storage(self, clock: ManualClock, tmp_path: Path) -> Callable[[], Storage]:
        numbers = iter(range(1_000))
        return lambda: at(tmp_path / f"{next(numbers)}.db", clock=clock, synchronous="normal", table="Select")


class TestPersistence:
    """What was written is there for the next one who opens the file."""

    def test_every_value_survives(self, path: Path) -> None:
        values = {case.name: case.value for case in cases.VALUES}
        with at(path).sync as storage:
            storage.mset(values)
        with at(path).sync as storage:
            assert storage.count() == len(values)
            for name, value in values.items():
                assert_same(storage.get(name), value)

    def test_keys_times_and_versions_survive(self, path: Path) -> None:
        with at(path).sync as storage:
            storage.mset(dict.fromkeys(cases.KEYS, 1), ttl=3600)
            storage.persist("key")
            before = list(storage.entries())
        with at(path).sync as storage:
            assert list(storage.entries()) == before
            assert storage.compare_and_set("key", 2, {entry.key: entry.version for entry in before}["key"]) is True

    def test_an_expiry_goes_on_while_nobody_looks(self, path: Path) -> None:
        clock = ManualClock()
        with at(path, clock=clock).sync as storage:
            storage.set("short", 1, ttl=10)
            storage.set("long", 1, ttl=100)
        clock.advance(11)
        with at(path, clock=clock).sync as storage:
            assert storage.keys() == ["long"]
            assert storage.ttl("long") == pytest.approx(89, abs=0.002)

    def test_nothing_is_lost_without_close(self, path: Path) -> None:
        storage = at(path)
        storage.sync.set("key", 1)
        assert at(path).sync.get("key") == 1
        del storage
        assert at(path).sync.get("key") == 1

    @pytest.mark.parametrize("synchronous", ["full", "normal"])
    def test_both_modes(self, path: Path, synchronous: str) -> None:
        with at(path, synchronous=synchronous).sync as storage:
            storage.mset({str(number): number for number in range(100)})
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("SELECT count(*) FROM rrag_storage").fetchone() == (100,)
        connection.close()

    def test_200_megabytes(self, path: Path) -> None:
        value = bytes(200_000_000)
        with at(path, synchronous="normal").sync as storage:
            storage.set("key", value)
            assert storage.get("key") == value


class TestExpiry:
    """Rows go without anyone calling anything."""

    # Looked at by another process: a handle of Python's SQLite in this one would drop ours' locks when it is closed.
    WATCH = """
        import sqlite3, sys, time

        end = time.monotonic() + 30
        while True:
            connection = sqlite3.connect(sys.argv[1])
            (rows,) = connection.execute("SELECT count(*) FROM rrag_storage").fetchone()
            connection.close()
            if rows == int(sys.argv[2]):
                break
            assert time.monotonic() < end, f"{rows} rows are still there"
            time.sleep(0.02)
    """

    def test_expired_rows_are_purged(self, path: Path) -> None:
        storage = at(path)
        storage.sync.mset({f"short-{number}": "x" * 100 for number in range(2_000)}, ttl=0.3)
        storage.sync.set("long", 1, ttl=3600)
        storage.sync.set("ever", 1)
        run_script(self.WATCH, path, 2)
        assert storage.sync.keys() == ["ever", "long"]
        storage.sync.close()

    def test_rows_that_expired_while_closed_are_purged(self, path: Path) -> None:
        with at(path).sync as storage:
            storage.mset({f"short-{number}": 1 for number in range(100)}, ttl=0.001)
        storage = at(path)
        storage.sync.set("other", 1)
        run_script(self.WATCH, path, 1)
        storage.sync.close()


class TestOpening:
    """Lazily or at once; what can't be opened says why and stays as it is."""

    def test_nothing_is_touched_before_the_first_operation(self, path: Path) -> None:
        storage = at(path)
        storage.namespace("view")
        assert not path.exists()
        storage.sync.count()
        assert path.exists()
        storage.sync.close()

    @asynchronous
    async def test_connect_opens_at_once(self, path: Path) -> None:
        storage = await DatabaseStorage.connect(f"sqlite:{path}", table="other")
        assert path.exists()
        await storage.set("key", 1)
        await storage.close()
        with pytest.raises(StorageError):
            await DatabaseStorage.connect(f"sqlite:{path.parent / 'missing' / 'memory.db'}")

    @asynchronous
    async def test_every_way_to_open_a_bad_place_fails(self, tmp_path: Path) -> None:
        url = f"sqlite:{tmp_path / 'missing' / 'memory.db'}"
        with pytest.raises(BackendUnavailableError, match="missing"):
            await DatabaseStorage(url)
        with pytest.raises(BackendUnavailableError, match="missing"):
            async with DatabaseStorage(url):
                pass
        with pytest.raises(BackendUnavailableError, match="missing"), DatabaseStorage(url).sync:
            pass
        storage = DatabaseStorage(url)
        for operation in (storage.get("key"), storage.set("key", 1), storage.keys(), storage.stats()):
            with pytest.raises(BackendUnavailableError, match="missing"):
                await operation
        assert await storage.health_check() is False
        await storage.close()
        assert list(tmp_path.iterdir()) == []

    def refused(self, path: Path, *words: str, **options: Any) -> None:
        """Fails unless the file at `path` is refused and left as it is."""
        before = path.read_bytes() if path.is_file() else None
        for _ in range(2):
            storage = at(path, **options)
            with pytest.raises(StorageError) as error:
                storage.sync.set("key", 1)
            assert str(path) in str(error.value)
            assert any(word in str(error.value).lower() for word in words), str(error.value)
            with pytest.raises(StorageError):
                storage.sync.get("key")
            assert storage.sync.health_check() is False
            storage.sync.close()
        if before is not None:
            assert path.read_bytes() == before
            left = {each.name: each.stat().st_size for each in path.parent.iterdir() if each.name.endswith("-wal")}
            assert not any(left.values()), left

    def test_a_file_that_is_no_database(self, path: Path) -> None:
        path.write_bytes(b"These are not the records that you are looking for.\n" * 200)
        self.refused(path, "not a sqlite database", "not a database")

    def test_a_short_file_that_is_no_database(self, path: Path) -> None:
        path.write_bytes(b"xy")
        self.refused(path, "not a sqlite database", "not a database")

    def test_a_directory(self, path: Path) -> None:
        path.mkdir()
        self.refused(path, "directory", "open")
        assert list(path.iterdir()) == []

    def test_another_programs_database(self, path: Path) -> None:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE notes (text)")
        connection.execute("INSERT INTO notes VALUES ('mine')")
        connection.commit()
        connection.close()
        self.refused(path, "another program")

    def test_another_programs_table_of_our_name(self, path: Path) -> None:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE rrag_storage (key TEXT, value TEXT)")
        connection.commit()
        connection.close()
        self.refused(path, "another program")

    def test_a_newer_schema(self, path: Path) -> None:
        fill(path)
        connection = sqlite3.connect(path)
        connection.execute(f"UPDATE {SCHEMA_TABLE} SET version = 999")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        self.refused(path, "999")

    def test_an_empty_file_is_taken(self, path: Path) -> None:
        path.touch()
        with at(path).sync as storage:
            storage.set("key", 1)
            assert storage.get("key") == 1

    def test_a_truncated_file(self, path: Path) -> None:
        fill(path, 2_000)
        whole = path.read_bytes()
        for size in (10, 100, 4_000, 4_096, 20_000, len(whole) // 2):
            path.write_bytes(whole[:size])
            self.check_damaged(path)

    def test_a_file_cut_by_less_than_a_page(self, path: Path) -> None:
        """SQLite reads what is missing of the last page as zeros: without a check of our own that is a wrong value."""
        fill(path, 2_000)
        whole = path.read_bytes()
        for size in (len(whole) - 1, len(whole) - 2_000):
            path.write_bytes(whole[:size])
            self.check_damaged(path)

    def test_damaged_pages(self, path: Path) -> None:
        fill(path, 2_000)
        whole = path.read_bytes()
        pages = len(whole) // 4_096
        for page in range(0, pages, max(1, pages // 12)):
            for damage in (bytes(4_096), b"\xa5" * 4_096):
                path.write_bytes(whole[: page * 4_096] + damage + whole[(page + 1) * 4_096 :])
                self.check_damaged(path)

    def check_damaged(self, path: Path) -> None:
        """Fails where a damaged file gives a wrong answer or anything but a StorageError."""
        with contextlib.ExitStack() as stack:
            storage = at(path).sync
            stack.callback(storage.close)
            for number in range(0, 2_000, 37):
                try:
                    assert storage.get(f"key-{number:04}") in ([number], None)
                except StorageError:
                    continue
            with contextlib.suppress(StorageError):
                assert all(value == [int(key[4:])] for key, value in storage.items())
            with contextlib.suppress(StorageError):
                storage.count()
            with contextlib.suppress(StorageError):
                storage.set("key-0001", [1])
        for side in ("-wal", "-shm"):
            Path(f"{path}{side}").unlink(missing_ok=True)

    def test_bytes_that_are_no_record(self, path: Path) -> None:
        fill(path, 3)
        for body in (b"", b"\0", b"\xff" * 50, b"pickled\x80\x04.", b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff"):
            connection = sqlite3.connect(path)
            (whole,) = connection.execute("SELECT body FROM rrag_storage WHERE key = ?", (b"key-0000",)).fetchone()
            for changed in (body, whole[:1] + body, whole[:-1], whole + b"\0"):
                connection.execute("UPDATE rrag_storage SET body = ? WHERE key = ?", (changed, b"key-0001"))
                connection.commit()
                with at(path).sync as storage:
                    with pytest.raises(StorageError) as error:
                        storage.get("key-0001")
                    assert error.value.key in (None, "key-0001")
                    with pytest.raises(StorageError):
                        dict(storage.items())
                    assert storage.get("key-0002") == [2]
                    assert storage.keys() == ["key-0000", "key-0001", "key-0002"]
            connection.close()


class TestPermissions:
    """Who may read and write the file."""

    def test_the_files_are_the_owners_alone(self, path: Path) -> None:
        mask = os.umask(0)
        try:
            with at(path).sync as storage:
                storage.set("key", 1)
                files = [path, Path(f"{path}-wal"), Path(f"{path}-shm")]
                assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600] * 3
        finally:
            os.umask(mask)

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """A folder that others can reach."""
        for parent in [tmp_path, *tmp_path.parents]:
            if parent.stat().st_uid == os.geteuid() and not parent.stat().st_mode & stat.S_IXOTH:
                parent.chmod(parent.stat().st_mode | 0o055)
        folder = tmp_path / "folder"
        folder.mkdir()
        return folder

    def test_a_read_only_file(self, folder: Path) -> None:
        path = folder / "memory.db"
        fill(path)
        path.chmod(0o444)
        folder.chmod(0o777)
        whole = path.read_bytes()
        with unprivileged():
            storage = at(path).sync
            with pytest.raises(StorageError, match=r"(?i)permission|writ|read-?only|open"):
                storage.set("key", 1)
            storage.close()
        assert path.read_bytes() == whole

    def test_a_read_only_directory(self, folder: Path) -> None:
        path = folder / "memory.db"
        folder.chmod(0o555)
        with unprivileged():
            storage = at(path).sync
            with pytest.raises(StorageError, match=r"(?i)permission|writ|read-?only|open"):
                storage.set("key", 1)
            assert storage.health_check() is False
            storage.close()
        assert list(folder.iterdir()) == []

    def test_a_file_of_someone_else(self, folder: Path) -> None:
        path = folder / "memory.db"
        fill(path)
        path.chmod(0o000)
        folder.chmod(0o777)
        with unprivileged():
            storage = at(path).sync
            with pytest.raises(StorageError, match=r"(?i)permission|writ|read-?only|open"):
                storage.get("key-0000")
            storage.close()


class TestLosingTheFile:
    """A file that is deleted or replaced while it is open."""

    @pytest.mark.parametrize("side_files", [False, True])
    def test_a_deleted_file_is_noticed(self, path: Path, side_files: bool) -> None:
        storage = at(path).sync
        storage.set("key", 1)
        path.unlink()
        if side_files:
            Path(f"{path}-wal").unlink()
            Path(f"{path}-shm").unlink()
        for _ in range(3):
            with pytest.raises(StorageError, match=r"delet|replac|moved|gone"):
                storage.set("key", 2)
        storage.close()

    def test_a_replaced_file_is_noticed(self, path: Path) -> None:
        other = path.with_name("other.db")
        fill(other, 3)
        storage = at(path).sync
        storage.set("key", 1)
        os.replace(other, path)
        with pytest.raises(StorageError, match=r"delet|replac|moved|gone"):
            storage.set("key", 2)
        storage.close()

    def test_a_deleted_file_can_be_made_anew(self, path: Path) -> None:
        storage = at(path).sync
        storage.set("key", 1)
        shutil.rmtree(path.parent)
        with pytest.raises(StorageError):
            storage.set("key", 2)
        storage.close()
        path.parent.mkdir()
        with at(path).sync as storage:
            assert storage.count() == 0
            storage.set("key", 3)


class TestTwoStorages:
    """Several storages on one file, in one process or in two."""

    def test_each_sees_the_others_writes(self, path: Path) -> None:
        one, other = at(path).sync, at(path).sync
        for number in range(20):
            one.set("key", number)
            assert other.get("key") == number
            assert other.increment("count") == 2 * number + 1
            assert one.increment("count") == 2 * number + 2
        assert one.keys() == other.keys() == ["count", "key"]
        one.close()
        assert other.get("key") == 19
        other.close()

    def test_both_write_at_once(self, path: Path) -> None:
        storages = [at(path) for _ in range(4)]

        def work(thread: int) -> None:
            async def main() -> None:
                await asyncio.gather(*(storages[thread].increment("count") for _ in range(100)))
                await storages[thread].set(f"key-{thread}", thread)

            asyncio.run(main())

        in_threads(4, work)
        assert storages[0].sync.get("count") == 400
        for storage in storages:
            storage.sync.close()

    def test_a_conflict_between_two(self, path: Path) -> None:
        one, other = at(path).sync, at(path).sync
        with pytest.raises(StorageError, match="key"), one.transaction() as tx:
            assert tx.get("key") is None
            other.set("key", 1)
            tx.set("other", 1)
        assert one.exists("other") is False
        one.close()
        other.close()

    def test_tables_are_apart(self, path: Path) -> None:
        with at(path).sync as one, at(path, table="other").sync as other:
            one.set("key", 1)
            other.set("key", 2)
            assert (one.get("key"), other.get("key")) == (1, 2)
            assert one.clear() == 1
            assert other.count() == 1
        with at(path, table="other").sync as other:
            assert other.get("key") == 2

    @pytest.mark.parametrize(
        "table", ["", "a b", 'a"b', "a; DROP TABLE rrag_storage", "1a", "sqlite_master", "é", "a" * 100, SCHEMA_TABLE]
    )
    def test_a_wrong_table_name(self, path: Path, table: str) -> None:
        with pytest.raises(ConfigurationError, match="table"):
            at(path, table=table)
        assert not path.exists()


class TestLocks:
    """Another program that holds the file."""

    @contextlib.contextmanager
    def held(self, path: Path) -> Iterator[None]:
        """Nobody else can write inside: another process has begun to."""
        process = start(
            """
            import sqlite3, sys

            connection = sqlite3.connect(sys.argv[1], isolation_level=None)
            connection.execute("BEGIN IMMEDIATE")
            print("held", flush=True)
            sys.stdin.read()
            """,
            path,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            finish(process)

    @asynchronous
    async def test_a_write_waits_up_to_the_timeout(self, path: Path) -> None:
        async with at(path, connection_timeout=1.0) as storage:
            await storage.set("key", 1)
            with self.held(path):
                began = time.monotonic()
                with pytest.raises(OperationTimeoutError) as late:
                    await storage.set("key", 2)
                assert time.monotonic() - began >= 0.9
                assert isinstance(late.value, TimeoutError)
                assert late.value.retryable is True
                assert "locked" not in str(late.value)
                assert "connection_timeout" in str(late.value)
                assert await storage.get("key") == 1
                assert await storage.keys() == ["key"]
            await storage.set("key", 3)
            assert await storage.get("key") == 3

    @asynchronous
    async def test_a_write_goes_on_once_the_lock_is_gone(self, path: Path) -> None:
        async with at(path) as storage:
            await storage.set("key", 1)
            with self.held(path):
                writes = [asyncio.create_task(storage.increment("key")) for _ in range(20)]
                await asyncio.sleep(0)
                assert await storage.get("key") == 1
                assert not any(write.done() for write in writes)
            assert sorted(await asyncio.gather(*writes)) == list(range(2, 22))

    @asynchronous
    async def test_a_cancelled_wait_ends_at_once(self, path: Path) -> None:
        async with at(path) as storage:
            await storage.set("key", 1)
            with self.held(path):
                for _ in range(3):
                    with pytest.raises(asyncio.TimeoutError):
                        await asyncio.wait_for(storage.mset({"a": 1, "b": 1}), 0.05)
                    assert await storage.get("key") == 1
            await storage.set("key", 2)
            assert await storage.mget(["a", "b"]) in ([1, 1], [None, None])

    @asynchronous
    async def test_a_blocking_call_beside_waiting_ones(self, path: Path) -> None:
        async with at(path) as storage:
            await storage.set("key", 1)
            with self.held(path):
                write = asyncio.create_task(storage.set("key", 2))
                await asyncio.sleep(0)
                assert storage.sync.get("key") == 1
            await write
            assert storage.sync.get("key") == 2

    def test_ctrl_c_interrupts_a_blocking_call(self, path: Path) -> None:
        process = start(
            """
            import sys
            from rrag_storage import DatabaseStorage

            storage = DatabaseStorage(f"sqlite:{sys.argv[1]}").sync
            storage.set("key", 1)
            print("ready", flush=True)
            sys.stdin.readline()
            try:
                print("waiting", flush=True)
                storage.set("key", 2)
            except KeyboardInterrupt:
                print("interrupted", flush=True)
            """,
            path,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        with self.held(path):
            process.stdin.write(b"go\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"waiting\n"
            asleep = Path(f"/proc/{process.pid}/task/{process.pid}/stat")
            eventually(lambda: asleep.read_text().rpartition(")")[2].split()[0] == "S", "the call waits")
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == b"interrupted\n"
        finish(process)


class TestRoom:
    """A full disk, played by a limit on the size of files."""

    def test_a_full_disk(self, path: Path) -> None:
        run_script(
            """
            import resource, sys
            from rrag_storage import DatabaseStorage, StorageError

            storage = DatabaseStorage(f"sqlite:{sys.argv[1]}").sync
            acked = {}
            storage.mset({f"key-{number}": "x" * 1_000 for number in range(100)})
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
            error = None
            for number in range(5_000):
                try:
                    storage.mset({f"a-{number}": "x" * 1_000, f"b-{number}": "x" * 1_000})
                except StorageError as refused:
                    error = refused
                    break
                acked[number] = True
            assert error is not None
            assert "malformed" not in str(error) and "damaged" not in str(error), error
            for _ in range(5):
                try:
                    storage.set("large", "x" * 3_000_000)
                except StorageError:
                    continue
                raise AssertionError("there is no room for this")
            assert storage.get("key-7") == "x" * 1_000
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            storage.set("again", 1)
            storage.set("large", "x" * 3_000_000)
            for number in acked:
                assert storage.exists(f"a-{number}") and storage.exists(f"b-{number}"), number
            assert storage.count(prefix="a-") == storage.count(prefix="b-")
            storage.close()
            """,
            path,
        )
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()


class TestHandles:
    """Files and locks are let go of."""

    def test_close_lets_go_of_the_files(self, path: Path) -> None:
        storage = at(path)
        storage.sync.mset({str(number): number for number in range(100)})
        in_threads(4, lambda thread: storage.sync.get(str(thread)))
        assert open_files(path.parent) > 0
        storage.sync.close()
        assert open_files(path.parent) == 0
        assert [file.name for file in path.parent.iterdir()] == [path.name]

    def test_max_connections_bounds_the_handles(self, path: Path) -> None:
        storage = at(path, max_connections=2)
        storage.sync.mset({str(number): number for number in range(100)})

        async def reads() -> None:
            assert await asyncio.gather(*(storage.get(str(number)) for number in range(100))) == list(range(100))

        in_threads(8, lambda _: asyncio.run(reads()))
        # A connection holds the file and its -wal; the -shm is shared, and one reader or writer more may look after it.
        assert open_files(path.parent) <= 4 * 3
        storage.sync.close()

    def test_the_file_can_be_copied_while_it_is_open(self, path: Path, tmp_path: Path) -> None:
        with at(path).sync as storage:
            storage.set("key", 1)
            source, target = sqlite3.connect(path), sqlite3.connect(tmp_path / "copy.db")
            source.backup(target)
            source.close()
            target.close()
            with at(tmp_path / "copy.db").sync as copy:
                assert copy.get("key") == 1


def test_any_sqlite_can_read_it(path: Path) -> None:
    fill(path, 3)
    connection = sqlite3.connect(path)
    keys = [bytes(key) for (key,) in connection.execute("SELECT key FROM rrag_storage ORDER BY key")]
    connection.close()
    assert keys == [b"key-0000", b"key-0001", b"key-0002"]


class TestSqliteBeside:
    """Python's own `sqlite3` on the same file, in the same process: a second copy of SQLite, blind to the first's locks."""

    OTHERS = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(*c.execute(sys.argv[2]).fetchone())"

    def look(self, path: Path) -> None:
        beside = sqlite3.connect(path)
        assert beside.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        beside.close()

    def test_what_is_acknowledged_afterwards_is_stored(self, path: Path) -> None:
        """Its close took this process for gone and removed the log: later commits went into a file without a name."""
        with at(path).sync as storage:
            for part in range(5):
                storage.mset({f"{part}-{number}": number for number in range(50)})
                self.look(path)
            assert storage.count() == 250
            counted = run_script(self.OTHERS, str(path), "SELECT count(*) FROM rrag_storage")
            assert counted.split() == ["250"]
        with at(path).sync as storage:
            assert storage.count() == 250

    def test_another_process_does_not_take_us_for_gone(self, path: Path) -> None:
        """Its close let go of our locks: the next process would have started the log's index anew under us."""
        with at(path).sync as storage:
            storage.set("before", 1)
            self.look(path)
            run_script(self.OTHERS, str(path), "PRAGMA integrity_check")
            storage.set("after", 2)
            assert storage.mget(["before", "after"]) == [1, 2]
            counted = run_script(self.OTHERS, str(path), "SELECT count(*) FROM rrag_storage")
            assert counted.split() == ["2"]

    def test_the_last_close_still_removes_the_log(self, path: Path) -> None:
        first, second = at(path).sync, at(path).sync
        first.set("one", 1)
        second.set("two", 2)
        self.look(path)
        first.close()
        self.look(path)
        assert second.mget(["one", "two"]) == [1, 2]
        second.set("three", 3)
        second.close()
        assert [name.name for name in path.parent.iterdir()] == [path.name]
        self.look(path)

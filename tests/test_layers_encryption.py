"""Encryption at rest: the right key reads, and nothing that was moved, changed or planted is believed."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from layered import ENCRYPTED, HIDDEN, KEY, OTHER_KEY, all_three, at
from rrag_storage import ConflictError, DecryptionError, InMemoryStorage, Key, StorageError, UnsupportedOperationError
from rrag_storage.testing import assert_same, asynchronous, cases
from support import run_script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NEW_KEY = Key(b"n" * 32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.db"


@contextlib.contextmanager
def underneath(path: Path) -> Iterator[sqlite3.Connection]:
    """Another program's hands on a file that nobody has open."""
    connection = sqlite3.connect(path)
    with connection:
        yield connection
    connection.close()


def body(path: Path, key: str) -> bytes:
    """What is stored under `key`."""
    with underneath(path) as connection:
        found: bytes = connection.execute("SELECT body FROM rrag_storage WHERE key = ?", (key.encode(),)).fetchone()[0]
    return found


def change(path: Path, key: str, sql: str, *values: Any) -> None:
    """Changes the row of `key`."""
    with underneath(path) as connection:
        done = connection.execute(f"UPDATE rrag_storage SET {sql} WHERE key = ?", (*values, key.encode()))
        assert done.rowcount == 1


CALLS: dict[str, Callable[[Any], Any]] = {
    "get": lambda storage: storage.get("key"),
    "get-refresh": lambda storage: storage.get("key", refresh_ttl=60),
    "get_value": lambda storage: storage.get_value("key"),
    "get_entry": lambda storage: storage.get_entry("key"),
    "mget": lambda storage: storage.mget(["other", "key"]),
    "get_entries": lambda storage: storage.get_entries(["key"]),
    "items": lambda storage: list(storage.items()),
    "entries": lambda storage: list(storage.entries()),
    "pop": lambda storage: storage.pop("key"),
    "increment": lambda storage: storage.increment("key"),
    "expire": lambda storage: storage.expire("key", 60),
    "persist": lambda storage: storage.persist("key"),
    "rotate": lambda storage: storage.rotate(),
}


def refused(storage: Any, key_id: str, call: Callable[[Any], Any] = CALLS["get"]) -> str:
    """`call` is refused, naming the key and the key's id."""
    with pytest.raises(DecryptionError) as error:
        call(storage)
    assert isinstance(error.value, StorageError)
    assert error.value.key == "key"
    assert error.value.retryable is False
    assert f'"{key_id}"' in str(error.value)
    assert "'key'" in str(error.value) or '"key"' in str(error.value)
    return str(error.value)


class TestKeys:
    """Which key reads what."""

    def test_every_value_and_every_key(self, path: Path) -> None:
        with at(path, **ENCRYPTED).sync as storage:
            storage.mset(dict.fromkeys(cases.KEYS, "here"))
            storage.namespace("values").mset({case.name: case.value for case in cases.VALUES})
        with at(path, encryption_key=bytes(range(32))).sync as storage:
            for case in cases.VALUES:
                assert_same(storage.get(f"values::{case.name}"), case.value)
            assert set(storage.mget(list(cases.KEYS))) == {"here"}

    @pytest.mark.parametrize("call", [call for call in CALLS if call != "rotate"])
    @pytest.mark.parametrize(
        "options",
        [
            pytest.param({}, id="none"),
            pytest.param({"encryption_key": OTHER_KEY}, id="wrong"),
            pytest.param({"encryption_key": OTHER_KEY, "require_encryption": False}, id="wrong-and-lenient"),
            pytest.param({"encryption_key": {"a": OTHER_KEY, "b": NEW_KEY}, "active_key": "a"}, id="others"),
        ],
    )
    def test_without_the_key_it_says_so(self, path: Path, options: dict[str, Any], call: str) -> None:
        with at(path, **ENCRYPTED).sync as storage:
            storage.set("key", 1)
        with at(path, **options).sync as storage:
            refused(storage, KEY.fingerprint, CALLS[call])
        with at(path, **ENCRYPTED).sync as storage:
            assert storage.get("key") == 1
            assert storage.ttl("key") == float("inf")

    def test_the_wrong_key_under_the_right_id(self, path: Path) -> None:
        with at(path, encryption_key={"2026": KEY}).sync as storage:
            storage.set("key", 1)
        with at(path, encryption_key={"2026": OTHER_KEY}).sync as storage:
            refused(storage, "2026")

    def test_without_the_key_much_goes_on(self, path: Path) -> None:
        with at(path, **ENCRYPTED).sync as storage:
            storage.mset({"key": 1, "a::b": 2}, ttl=60)
        with at(path).sync as storage:
            assert storage.keys() == ["a::b", "key"]
            assert (storage.count(), storage.exists("key"), storage.namespaces()) == (2, True, ["a"])
            assert 0 < storage.ttl("key") <= 60
            storage.set("new", 3)
            assert storage.delete("a::b") is True
        with at(path, encryption_key=KEY, require_encryption=False).sync as storage:
            assert storage.mget(["key", "new"]) == [1, 3]

    def test_a_key_under_any_name(self, path: Path) -> None:
        with at(path, encryption_key=KEY).sync as storage:
            storage.set("key", 1)
        with at(path, encryption_key={"first": KEY, "second": OTHER_KEY}, active_key="second").sync as storage:
            assert storage.get("key") == 1
            storage.set("key", 2)
        with at(path, encryption_key=KEY).sync as storage:
            refused(storage, "second")

    def test_a_transaction(self, path: Path) -> None:
        with at(path, **ENCRYPTED).sync as storage:
            storage.set("key", 1)
        with at(path, encryption_key=OTHER_KEY).sync as storage:
            with pytest.raises(DecryptionError), storage.transaction() as tx:
                tx.set("new", 1)
                tx.get("key")
            assert storage.keys() == ["key"]

    def test_equal_values_look_different(self, path: Path) -> None:
        with at(path, **ENCRYPTED).sync as storage:
            storage.mset({"a": "the same", "b": "the same"})
            storage.close()
        one, other = body(path, "a"), body(path, "b")
        assert len(one) == len(other)
        assert one[len(one) - 20 :] != other[len(other) - 20 :]


class TestRequireEncryption:
    """Plain records in an encrypted storage."""

    @pytest.mark.parametrize("call", CALLS)
    def test_a_planted_one_is_refused(self, path: Path, call: str) -> None:
        with at(path, **ENCRYPTED).sync as storage:
            storage.set("other", 1)
        with at(path).sync as storage:
            storage.set("key", 666)
        with at(path, **ENCRYPTED).sync as storage:
            assert "require_encryption=False" in refused(storage, "", CALLS[call])
            assert storage.get("other") == 1
            storage.set("key", 1)
            assert storage.get("key") == 1

    @pytest.mark.parametrize("options", [{"compression": "zstd", "compression_threshold": 1}, {"compression": "lz4"}])
    def test_a_compressed_one_too(self, path: Path, options: dict[str, Any]) -> None:
        with at(path, **options).sync as storage:
            storage.set("key", "long " * 1000)
        with at(path, **ENCRYPTED).sync as storage:
            refused(storage, "")

    def test_an_offloaded_one_too(self, path: Path) -> None:
        store = InMemoryStorage()
        with at(path, large_values=store, large_value_threshold=10).sync as storage:
            storage.set("key", "long " * 1000)
        with at(path, large_values=store, **ENCRYPTED).sync as storage:
            refused(storage, "")

    def test_lenient(self, path: Path) -> None:
        with at(path).sync as storage:
            storage.mset({"key": 1, "popped": 2})
        with at(path, require_encryption=False, **ENCRYPTED).sync as storage:
            assert storage.get("key") == 1
            assert storage.pop("popped") == 2
            assert storage.increment("key") == 2
            with storage.transaction() as tx:
                assert tx.increment("key") == 3
            assert storage.rotate().rewritten == 0
        with at(path, **ENCRYPTED).sync as storage:
            assert storage.get("key") == 3

    def test_rotate_seals_only_where_plain_ones_are_believed(self, path: Path) -> None:
        with at(path).sync as storage:
            storage.set("key", 666)
        with at(path, **ENCRYPTED).sync as storage:
            refused(storage, "", CALLS["rotate"])
            refused(storage, "")
        with at(path, require_encryption=False, **ENCRYPTED).sync as storage:
            assert storage.rotate().rewritten == 1
        with at(path, **ENCRYPTED).sync as storage:
            assert storage.get("key") == 666

    def test_a_sealed_pointer_to_a_planted_payload(self, path: Path) -> None:
        store = InMemoryStorage()
        options = {"large_values": store, "large_value_threshold": 10, "require_encryption": False, **ENCRYPTED}
        with at(path, **options).sync as storage:
            storage.set("key", "long " * 1000)
            name = store.sync.keys()[0]
            store.sync.set(name, bytes([1, 5, 0, 0, 0x65]) + b"other")
            refused(storage, "")


MOVES: dict[str, tuple[str, Any]] = {
    "version": ("version = version + 1", ()),
    "updated": ("updated_at = updated_at - 1", ()),
    "expiry-removed": ("expires_at = NULL", ()),
    "expiry-prolonged": ("expires_at = expires_at + 1000", ()),
}


class TestTampering:
    """Rows changed by another program."""

    @pytest.mark.parametrize("move", MOVES)
    def test_a_changed_header(self, path: Path, move: str) -> None:
        with at(path, **ENCRYPTED).sync as storage:
            storage.set("key", 1, ttl=3600)
        change(path, "key", MOVES[move][0])
        with at(path, **ENCRYPTED).sync as storage:
            refused(storage, KEY.fingerprint)

    def test_an_expiry_that_was_not_there(self, path: Path) -> None:
        with at(path, **ENCRYPTED).sync as storage:
            storage.set("key", 1)
        change(path, "key", "expires_at = 9000000000000")
        with at(path, **ENCRYPTED).sync as storage:
            refused(storage, KEY.fingerprint)

    @pytest.mark.parametrize("flags", [0x00, 0x01, 0x02, 0x03, 0x11, 0x30])
    def test_changed_flags(self, path: Path, flags: int) -> None:
        with at(path, **ENCRYPTED).sync as storage:
            storage.set("key", 1)
        stored = bytearray(body(path, "key"))
        assert stored[2] == 0x10
        stored[2] = flags
        change(path, "key", "body = ?", bytes(stored))
        with at(path, **ENCRYPTED).sync as storage, pytest.raises(StorageError) as error:
            storage.get("key")
        assert error.value.key == "key"

    def test_moved_to_another_key(self, path: Path) -> None:
        with at(path, **ENCRYPTED).sync as storage:
            storage.mset({"other": "rich", "key": "poor"})
        with underneath(path) as connection:
            connection.execute("DELETE FROM rrag_storage WHERE key = ?", (b"key",))
            connection.execute("UPDATE rrag_storage SET key = ? WHERE key = ?", (b"key", b"other"))
        with at(path, **ENCRYPTED).sync as storage:
            refused(storage, KEY.fingerprint)

    @pytest.mark.parametrize("whole", [True, False])
    def test_swapped(self, path: Path, whole: bool) -> None:
        with at(path, **ENCRYPTED).sync as storage:
            storage.mset({"other": "rich", "key": "poor"})
        columns = "(version, created_at, updated_at, expires_at, body)" if whole else "body"
        what = columns.strip("()")
        with underneath(path) as connection:
            connection.execute(
                f"UPDATE rrag_storage SET {columns} = (SELECT {what} FROM rrag_storage WHERE key = ?) WHERE key = ?",
                (b"other", b"key"),
            )
        with at(path, **ENCRYPTED).sync as storage:
            refused(storage, KEY.fingerprint)
            assert storage.get("other") == "rich"

    def test_an_older_value_under_the_present_header(self, path: Path) -> None:
        with at(path, **ENCRYPTED).sync as storage:
            storage.set("key", "old")
        old = body(path, "key")
        with at(path, **ENCRYPTED).sync as storage:
            storage.set("key", "new")
        change(path, "key", "body = ?", old)
        with at(path, **ENCRYPTED).sync as storage:
            refused(storage, KEY.fingerprint)

    def test_moved_between_tables(self, path: Path) -> None:
        with at(path, **ENCRYPTED).sync as storage, at(path, table="second", **ENCRYPTED).sync as second:
            storage.set("key", "first")
            second.set("key", "second")
        with underneath(path) as connection:
            connection.execute("DELETE FROM rrag_storage")
            connection.execute("INSERT INTO rrag_storage SELECT * FROM second")
        with at(path, **ENCRYPTED).sync as storage, at(path, table="second", **ENCRYPTED).sync as second:
            refused(storage, KEY.fingerprint)
            assert second.get("key") == "second"

    def test_moved_between_files(self, path: Path, tmp_path: Path) -> None:
        other = tmp_path / "other.db"
        for file in (path, other):
            with at(file, **ENCRYPTED).sync as storage:
                storage.set("key", str(file))
        with underneath(path) as connection:
            connection.execute("ATTACH ? AS other", (str(other),))
            connection.execute("DELETE FROM rrag_storage")
            connection.execute("INSERT INTO rrag_storage SELECT * FROM other.rrag_storage")
        with at(path, **ENCRYPTED).sync as storage:
            refused(storage, KEY.fingerprint)

    def test_a_copy_of_the_file_is_read(self, path: Path, tmp_path: Path) -> None:
        with at(path, **ENCRYPTED).sync as storage:
            storage.set("key", 1)
        copy = tmp_path / "copy.db"
        copy.write_bytes(path.read_bytes())
        with at(copy, **ENCRYPTED).sync as storage:
            assert storage.get("key") == 1

    def test_a_payload_moved_to_another_key(self, path: Path) -> None:
        store = InMemoryStorage()
        with at(path, **all_three(store)).sync as storage:
            storage.set("other", list(range(1000)))
            first = store.sync.keys()
            storage.set("key", list(range(1, 1001)))
            (second,) = set(store.sync.keys()) - set(first)
            store.sync.set(second, store.sync.get(first[0]))
            refused(storage, KEY.fingerprint)
            assert storage.get("other") == list(range(1000))

    def test_an_older_payload(self, path: Path) -> None:
        store = InMemoryStorage()
        with at(path, **all_three(store)).sync as storage:
            storage.set("key", list(range(1000)))
            old = store.sync.get(store.sync.keys()[0])
            storage.set("key", list(range(1, 1001)))
            store.sync.set(store.sync.keys()[0], old)
            refused(storage, KEY.fingerprint)

    def test_a_dictionary_that_was_changed(self, path: Path) -> None:
        from rrag_storage import Compression

        samples = [f"a text that says much about document number {number}" for number in range(1_000)]
        options = {"compression": Compression.train(samples), "compression_threshold": 1}
        with at(path, **options, **ENCRYPTED).sync as storage:
            storage.set("key", samples[0])
        with underneath(path) as connection:
            name, stored = connection.execute(
                """SELECT name, value FROM "rrag_storage:attributes" WHERE name LIKE 'zstd%'"""
            ).fetchone()
            assert b"document" not in stored
            changed = stored[:-1] + bytes([stored[-1] ^ 1])
            connection.execute('UPDATE "rrag_storage:attributes" SET value = ? WHERE name = ?', (changed, name))
        with at(path, **ENCRYPTED).sync as storage:
            refused(storage, KEY.fingerprint)


class TestHiddenKeys:
    """`hide_keys=True`."""

    def test_the_file_holds_no_key(self, path: Path) -> None:
        with at(path, **HIDDEN).sync as storage:
            storage.mset({"users::ada-lovelace": 1, "users::alan-turing": 2})
        stored = path.read_bytes()
        assert b"lovelace" not in stored
        assert b"users" not in stored
        with underneath(path) as connection:
            names = [bytes(row[0]) for row in connection.execute("SELECT key FROM rrag_storage")]
        assert [len(name) for name in names] == [64, 64]

    def test_two_storages_hide_a_key_differently(self, path: Path, tmp_path: Path) -> None:
        names = []
        for file in (path, tmp_path / "other.db"):
            with at(file, **HIDDEN).sync as storage:
                storage.set("key", 1)
            with underneath(file) as connection:
                names += [row[0] for row in connection.execute("SELECT key FROM rrag_storage")]
        assert names[0] != names[1]

    def test_the_wrong_key(self, path: Path) -> None:
        with at(path, **HIDDEN).sync as storage:
            storage.set("key", 1)
        storage = at(path, encryption_key=OTHER_KEY, hide_keys=True).sync
        for call in (storage.open, lambda: storage.get("key"), lambda: storage.set("key", 2)):
            with pytest.raises(DecryptionError, match=KEY.fingerprint):
                call()
        storage.close()

    def test_keys_come_and_go(self, path: Path) -> None:
        """Names stay while the active key changes, and old keys are let go."""
        rings: list[dict[str, Any]] = [
            {"encryption_key": KEY},
            {"encryption_key": {"a": KEY, "b": OTHER_KEY}, "active_key": "b"},
            {"encryption_key": {"b": OTHER_KEY}},
            {"encryption_key": {"b": OTHER_KEY, "c": NEW_KEY}, "active_key": "c"},
            {"encryption_key": {"c": NEW_KEY}},
        ]
        for number, ring in enumerate(rings):
            with at(path, hide_keys=True, **ring).sync as storage:
                storage.set(f"key-{number}", number)
                assert storage.rotate().seen == number + 1
                assert storage.mget([f"key-{each}" for each in range(number + 1)]) == list(range(number + 1))
                assert storage.rotate().rewritten == 0

    def test_a_key_that_gets_a_name_later(self, path: Path) -> None:
        with at(path, hide_keys=True, encryption_key=KEY).sync as storage:
            storage.set("key", 1)
        ring = {KEY.fingerprint: KEY, OTHER_KEY.fingerprint: OTHER_KEY}
        with at(path, hide_keys=True, encryption_key=ring, active_key=OTHER_KEY.fingerprint).sync as storage:
            storage.rotate()
        with at(path, hide_keys=True, encryption_key={"2027": OTHER_KEY}).sync as storage:
            assert storage.get("key") == 1

    @asynchronous
    async def test_errors_name_the_key_that_was_asked_for(self, path: Path) -> None:
        async with at(path, **HIDDEN) as storage:
            await storage.set("key", "text")
            with pytest.raises(TypeError, match="key"):
                await storage.increment("key")
            with pytest.raises(ConflictError) as conflict:
                async with storage.transaction() as tx:
                    await tx.get("key")
                    await storage.set("key", 2)
                    await tx.set("key", 3)
            assert conflict.value.key == "key"
            with pytest.raises(UnsupportedOperationError, match="hide_keys"):
                await storage.keys()

    def test_large_values_under_hidden_keys(self, path: Path) -> None:
        store = InMemoryStorage()
        with at(path, hide_keys=True, **all_three(store)).sync as storage:
            storage.set("key", list(range(1000)))
            assert storage.pop("key") == list(range(1000))
            storage.set("key", list(range(1000)))
            assert storage.expire("key", 60) is True
            assert storage.collect_garbage(older_than=0.001) == 0
            assert storage.get("key") == list(range(1000))
            assert storage.rotate().rewritten == 0
            assert storage.clear() == 1
            assert store.sync.count() == 0


@pytest.mark.parametrize("path_options", [{}, {"hide_keys": True}])
def test_two_who_open_a_new_file_at_once(path: Path, path_options: dict[str, Any]) -> None:
    from rrag_storage.testing import in_threads

    def work(number: int) -> None:
        with at(path, **ENCRYPTED, **path_options).sync as storage:
            storage.set(f"key-{number}", number)

    in_threads(8, work)
    with at(path, **ENCRYPTED, **path_options).sync as storage:
        assert storage.mget([f"key-{number}" for number in range(8)]) == list(range(8))


def test_no_nonce_is_used_twice_across_forks(path: Path) -> None:
    run_script(
        """
        import asyncio, os, sys, warnings
        from rrag_storage import DatabaseStorage, Key

        # Python warns of a fork beside threads from 3.12 on; that it works is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        storage = DatabaseStorage(f"sqlite:{sys.argv[1]}", encryption_key=Key(b"k" * 32))

        async def write(name):
            await asyncio.gather(*(storage.set(f"{name}{number}", number) for number in range(100)))

        storage.sync.set("before", 1)
        asyncio.run(write("before"))
        pids = []
        for name in "abc":
            pid = os.fork()
            if pid == 0:
                asyncio.run(write(name))
                storage.sync.close()
                os._exit(0)
            pids.append(pid)
        asyncio.run(write("parent"))
        for pid in pids:
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        storage.sync.close()
        """,
        path,
    )
    with underneath(path) as connection:
        bodies = [body for (body,) in connection.execute("SELECT body FROM rrag_storage")]
    assert len(bodies) == 501
    # Header, the length of the key's id, the id; then the nonce.
    assert len({body[4 + body[3] :][:12] for body in bodies}) == 501

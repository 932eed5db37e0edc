"""`check`: what is damaged, missing or left over is found; what is well is not complained of."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from conftest import place_on
from rrag_storage import DatabaseStorage, Key, ObjectStorage

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Command, Where
    from servers import Postgres

LARGE = b"x" * 5_000


def checks(text: str) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in json.loads(text)["checks"]}


def test_all_is_well(cli: Command, where: Where) -> None:
    with where.storage().sync as storage:
        storage.mset({f"docs::{number}": [number] for number in range(1_200)})
        storage.set("soon gone", 1, ttl=1_000)
    done = cli("check", *where.arguments)
    assert all(line.startswith("ok ") for line in done.stdout.splitlines())
    found = checks(cli("check", *where.arguments, "--json").stdout)
    assert found["entries"]["readable"] == 1_201
    assert {each["status"] for each in found.values()} == {"ok"}
    assert ("file" in found) == where.url.startswith("sqlite:")


def test_entries_that_can_not_be_read(cli: Command, sqlite: Where, tmp_path: Path) -> None:
    with sqlite.storage().sync as storage:
        storage.mset({f"key-{number:04}": number for number in range(1_100)})
    with sqlite.storage(encryption_key=Key.generate()).sync as storage:
        storage.set("sealed", 1)
    with sqlite3.connect(tmp_path / "storage.db") as database:
        database.execute("UPDATE rrag_storage SET body = x'01' WHERE key = CAST('key-0700' AS BLOB)")
        assert database.total_changes == 1
    database.close()
    done = cli("check", *sqlite.arguments, code=1)
    assert "failed   entries       2 of 1101 can't be read" in done.stdout
    assert "key-0700: " in done.stdout
    found = checks(cli("check", *sqlite.arguments, "--json", code=1).stdout)
    assert found["entries"]["errors"].keys() == {"key-0700", "sealed"}
    assert (found["entries"]["readable"], found["entries"]["unreadable"]) == (1_099, 2)
    assert found["counts"]["status"] == "ok"


def test_a_damaged_file(cli: Command, sqlite: Where, tmp_path: Path) -> None:
    with sqlite.storage().sync as storage:
        storage.mset({f"key-{number:04}": "text " * 50 for number in range(2_000)})
    file = tmp_path / "storage.db"
    data = bytearray(file.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 2048] = bytes(2048)
    file.write_bytes(data)
    done = cli("check", *sqlite.arguments, code=1)
    assert "failed   file          SQLite finds damage" in done.stdout


def test_counts_that_lie(cli: Command, postgres: Postgres) -> None:
    where = place_on(postgres)
    with where.storage().sync as storage:
        storage.mset({"docs::1": 1, "docs::2": 2})
    postgres.query(f"UPDATE rrag_storage_counts SET n = n + 5 WHERE name = '{where.options['table']}'")
    assert "failed   counts" in cli("check", *where.arguments, code=1).stdout


def test_hidden_keys(cli: Command, sqlite: Where, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHECK_KEY", Key.generate().export())
    options = (*sqlite.arguments, "--encryption-key-env", "CHECK_KEY", "--hide-keys")
    cli("set", *options, "key", "value")
    assert cli("get", *options, "key").stdout == "value\n"
    assert "skipped  entries" in cli("check", *options).stdout
    assert "hide_keys" in cli("ls", *options, code=2).stderr


class TestLargeValues:
    """Values that live in an object store."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "objects").mkdir()
        return tmp_path / "objects"

    @pytest.fixture(params=["plain", "sealed"])
    def options(
        self, request: pytest.FixtureRequest, sqlite: Where, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> tuple[str, ...]:
        key: tuple[str, ...] = ()
        if request.param == "sealed":
            monkeypatch.setenv("CHECK_KEY", Key.generate().export())
            key = ("--encryption-key-env", "CHECK_KEY")
        return (*sqlite.arguments, *key, "--large-values", f"file://{folder}", "--large-value-threshold", "1000")

    def test_orphans_are_found_and_deleted(self, cli: Command, folder: Path, options: tuple[str, ...]) -> None:
        for name in ("a", "b", "c"):
            cli("set", *options, name, "--file", "-", stdin=LARGE)
        cli("set", *options, "timed", "--file", "-", "--ttl", 1_000, stdin=LARGE)
        with ObjectStorage(f"file://{folder}").sync as objects:
            names = objects.keys()
            assert len(names) == 4
            live = next(name for name in names if objects.get_entry(name).expires_at is None)
            orphan = f"{live.rpartition('::')[0]}::{'0' * 32}"
            objects.mset({orphan: LARGE, f"{names[0].partition('::')[0]}::{'1' * 32}::{'0' * 32}": LARGE})
            objects.set(f"{'f' * 32}::{'1' * 32}::{'0' * 32}", b"of another storage")
        # They are too young to be sure of.
        found = checks(cli("check", *options, "--json").stdout)["large values"]
        assert (found["objects"], found["orphans"], found["younger"]) == (7, 0, 2)
        found = checks(cli("check", *options, "--json", "--grace", 0, code=1).stdout)["large values"]
        assert (found["orphans"], found["younger"], found["status"]) == (2, 0, "failed")
        assert orphan in found["names"]
        assert found["orphan_bytes"] >= 2 * len(LARGE)
        # Nothing was deleted so far, and what is deleted is the orphans.
        with ObjectStorage(f"file://{folder}").sync as objects:
            assert objects.count() == 7
        assert "0 orphans deleted" in cli("check", *options, "--delete-orphans").stdout
        assert "2 orphans deleted" in cli("check", *options, "--delete-orphans", "--grace", 0).stdout
        with ObjectStorage(f"file://{folder}").sync as objects:
            assert sorted(objects.keys()) == sorted([*names, f"{'f' * 32}::{'1' * 32}::{'0' * 32}"])
        assert cli("get", *options, "b").stdout_bytes == LARGE

    def test_missing_ones_are_found(self, cli: Command, folder: Path, options: tuple[str, ...]) -> None:
        for name in ("a", "b"):
            cli("set", *options, name, "--file", "-", stdin=LARGE)
        with ObjectStorage(f"file://{folder}").sync as objects:
            objects.delete(objects.keys()[0])
        found = checks(cli("check", *options, "--json", code=1).stdout)["entries"]
        assert (found["readable"], found["missing_large_values"]) == (1, 1)
        assert "missing in the object store" in cli("check", *options, code=1).stdout

    def test_what_an_expired_entry_leaves_frees_itself(self, cli: Command, sqlite: Where, folder: Path) -> None:
        objects = ObjectStorage(f"file://{folder}")
        storage = DatabaseStorage(sqlite.url, large_values=objects, large_value_threshold=1000)
        storage.sync.set("timed", LARGE, ttl=0.05)
        storage.sync.set("here", LARGE)
        while storage.sync.exists("timed"):
            pass
        storage.sync.close()
        objects.sync.close()
        found = checks(cli("check", sqlite.url, "--large-values", f"file://{folder}", "--json", "--grace", 0).stdout)[
            "large values"
        ]
        assert (found["objects"], found["orphans"], found["expiring"]) == (2, 0, 1)

    def test_an_object_store_is_needed(self, cli: Command, sqlite: Where, folder: Path) -> None:
        options = ("--large-values", f"file://{folder}", "--large-value-threshold", "1000")
        cli("set", sqlite.url, "a", "--file", "-", *options, stdin=LARGE)
        assert "--large-values" in cli("check", sqlite.url, "--delete-orphans", code=2).stderr
        assert "large_values" in cli("get", sqlite.url, "a", code=2).stderr
        assert checks(cli("check", sqlite.url, "--json", code=1).stdout)["entries"]["unreadable"] == 1

"""`ls`, `get`, `set` and `delete`."""

from __future__ import annotations

import json
import re
import uuid
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from rrag_storage.testing import assert_same

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Command, Where


def lines(text: str) -> list[str]:
    return text.splitlines()


def test_a_value_goes_in_and_comes_out(cli: Command, where: Where) -> None:
    assert cli("set", *where.arguments, "users::ada", "Ada Lovelace").stdout == ""
    assert cli("get", *where.arguments, "users::ada").stdout == "Ada Lovelace\n"
    cli("set", *where.arguments, "users::ada", '{"born": 1815}', "--json", "--ttl", 1000)
    assert cli("get", *where.arguments, "users::ada").stdout == '{"born":1815}\n'
    with where.storage().sync as storage:
        assert storage.get("users::ada") == {"born": 1815}
        assert 900 < storage.ttl("users::ada") <= 1000
        storage.mset({"users::ada::notes": "x", "docs::1": 1, "docs::2": 2, "plain": 3})
    assert lines(cli("ls", *where.arguments).stdout) == [
        "docs::1",
        "docs::2",
        "plain",
        "users::ada",
        "users::ada::notes",
    ]
    assert lines(cli("ls", *where.arguments, "--namespace", "users").stdout) == ["users::ada", "users::ada::notes"]
    assert lines(cli("ls", *where.arguments, "--prefix", "d", "--limit", 1).stdout) == ["docs::1"]
    assert lines(cli("ls", *where.arguments, "--pattern", "*::?").stdout) == ["docs::1", "docs::2"]
    assert lines(cli("ls", *where.arguments, "--after", "plain", "--limit", 1).stdout) == ["users::ada"]
    assert cli("ls", *where.arguments, "--limit", 0).stdout == ""
    long = cli("ls", *where.arguments, "--long", "--prefix", "users::ada::").stdout
    assert long.split()[0] == "string"
    assert long.split()[-1] == "users::ada::notes"
    assert cli("delete", *where.arguments, "docs::1", "docs::1", "plain").stdout == "2 deleted\n"
    assert json.loads(cli("delete", *where.arguments, "docs::1", "docs::2", "--json", code=1).stdout) == {"deleted": 1}
    assert cli("delete", *where.arguments, "--namespace", "users", "--yes").stdout == "2 deleted\n"
    assert cli("ls", *where.arguments).stdout == ""


def test_entries_as_json(cli: Command, where: Where) -> None:
    with where.storage().sync as storage:
        storage.set("a\n", (1, b"\x00"), ttl=500)
        entry = storage.get_entry("a\n")
    assert [json.loads(line) for line in lines(cli("ls", *where.arguments, "--json").stdout)] == [{"key": "a\n"}]
    assert cli("ls", *where.arguments).stdout == "a\\n\n"
    known = {
        "key": "a\n",
        "kind": "tuple",
        "size_bytes": entry.size_bytes,
        "created_at": entry.created_at.isoformat(timespec="microseconds"),
        "updated_at": entry.updated_at.isoformat(timespec="microseconds"),
        "expires_at": entry.expires_at.isoformat(timespec="microseconds"),
        "version": str(entry.version),
    }
    assert json.loads(cli("ls", *where.arguments, "--long", "--json").stdout) == known
    got = json.loads(cli("get", *where.arguments, "a\n", "--json").stdout)
    assert got == {**known, "value": {"$tuple": [1, {"$bytes": "AA=="}]}}


def test_more_keys_than_a_page(cli: Command, sqlite: Where) -> None:
    with sqlite.storage().sync as storage:
        storage.mset({f"key-{number:05}": number for number in range(2_500)})
    keys = lines(cli("ls", *sqlite.arguments).stdout)
    assert keys == [f"key-{number:05}" for number in range(2_500)]
    assert lines(cli("ls", *sqlite.arguments, "--limit", 1_700).stdout) == keys[:1_700]


@pytest.mark.parametrize(
    ("options", "text", "value"),
    [
        ([], "-0.0", "-0.0"),
        (["--type", "str"], "", ""),
        (["--type", "int"], "-12345678901234567890123", -12345678901234567890123),
        (["--type", "float"], "-0.0", -0.0),
        (["--type", "float"], "nan", float("nan")),
        (["--type", "bool"], "True", True),
        (["--type", "bool"], "false", False),
        (["--type", "null"], "null", None),
        (["--type", "bytes"], "é", "é".encode()),
        (["--type", "datetime"], "2026-01-02T03:04:05+05:45", None),
        (["--type", "date"], "2026-01-02", date(2026, 1, 2)),
        (["--type", "time"], "03:04", time(3, 4)),
        (["--type", "decimal"], "1.50", Decimal("1.50")),
        (["--type", "uuid"], "12345678-1234-5678-9abc-def012345678", uuid.UUID("12345678-1234-5678-9abc-def012345678")),
        (["--type", "notation"], '{"$set": [1, {"$tuple": []}]}', {1, ()}),
        (["--json"], '{"$set": [1, 2.0, null]}', {"$set": [1, 2.0, None]}),
        (["--json"], "12345678901234567890123", 12345678901234567890123),
    ],
)
def test_types(cli: Command, sqlite: Where, options: list[str], text: str, value: Any) -> None:
    if "datetime" in options:
        value = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    cli("set", *sqlite.arguments, "key", *options, "--", text)
    with sqlite.storage().sync as storage:
        assert_same(storage.get("key"), value)


def test_a_json_document_keeps_its_kind(cli: Command, sqlite: Where) -> None:
    cli("set", *sqlite.arguments, "key", '{"a": [1]}', "--type", "json")
    with sqlite.storage().sync as storage:
        assert storage.get_value("key").kind == "json"
    assert cli("get", *sqlite.arguments, "key").stdout == '{"$json":{"a":[1]}}\n'


def test_bytes_of_files_and_pipes(cli: Command, sqlite: Where, tmp_path: Path) -> None:
    data = bytes(range(256)) * 3
    (tmp_path / "in").write_bytes(data)
    cli("set", *sqlite.arguments, "file", "--file", tmp_path / "in")
    cli("set", *sqlite.arguments, "pipe", "--file", "-", stdin=data)
    cli("set", *sqlite.arguments, "text", "--file", "-", "--type", "str", stdin="größer\n")
    with sqlite.storage().sync as storage:
        assert storage.mget(["file", "pipe", "text"]) == [data, data, "größer\n"]
    assert cli("get", *sqlite.arguments, "pipe").stdout_bytes == data
    cli("get", *sqlite.arguments, "file", "--file", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data
    cli("get", *sqlite.arguments, "text", "--file", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == "größer\n".encode()


def test_keys_that_begin_with_a_dash(cli: Command, sqlite: Where) -> None:
    cli("set", sqlite.url, "--", "--yes", "-v")
    assert cli("get", sqlite.url, "--", "--yes").stdout == "-v\n"
    assert cli("delete", sqlite.url, "--", "--yes").stdout == "1 deleted\n"


def test_what_is_not_there(cli: Command, sqlite: Where) -> None:
    for command in (["ls"], ["get", "key"], ["delete", "key"], ["stats"], ["check"], ["rotate"], ["watch"]):
        done = cli(command[0], sqlite.url, *command[1:], code=3)
        assert "there is no file" in done.stderr
        assert done.stdout == ""
    cli("set", sqlite.url, "key", "value")
    done = cli("get", sqlite.url, "Key", code=1)
    assert (done.stdout, done.stderr) == ("", "rrag-storage: there is no key 'Key'\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["set", "key"], "either VALUE or --file"),
        (["set", "key", "x", "--file", "y"], "either VALUE or --file"),
        (["set", "key", "x", "--json", "--type", "int"], "--json and --type"),
        (["set", "key", "x", "--json"], "the value can't be read"),
        (["set", "key", "x", "--type", "int"], "no int"),
        (["set", "key", "x", "--type", "decimal"], "no decimal"),
        (["set", "key", "maybe", "--type", "bool"], "no bool"),
        (["set", "key", "x", "--type", "complex"], "complex"),
        (["set", "key", '{"$set": 3}', "--type", "notation"], "can't be read"),
        (["set", "key", "[NaN]", "--type", "json"], "can't be read"),
        (["set", "key", "x", "--ttl", "0"], "positive"),
        (["set", "", "x"], "empty"),
        (["set", "k" * 2049, "x"], "2,?048"),
        (["get", "key", "--json", "--file", "x"], "--json and --file"),
        (["delete"], "either keys"),
        (["delete", "key", "--prefix", "x"], "either keys"),
        (["delete", "--prefix", ""], "empty"),
        (["delete", "--prefix", "k"], "1 entries would go; say --yes"),
        (["ls", "--limit", "-1"], "--limit"),
        (["ls", "--key-prefix", "x"], "--key-prefix is no option of DatabaseStorage"),
        (["ls", "--timeout", "0"], "connection_timeout"),
        (["ls", "--compression", "zip"], "compression"),
        (["ls", "--no-such-option"], "no-such-option"),
    ],
)
def test_what_is_refused_changes_nothing(cli: Command, sqlite: Where, arguments: list[str], says: str) -> None:
    cli("set", sqlite.url, "key", "before")
    command, *rest = arguments
    done = cli(command, sqlite.url, *rest, code=2)
    assert done.stdout == ""
    assert re.search(says, done.stderr), done.stderr
    assert cli("get", sqlite.url, "key").stdout == "before\n"
    assert cli("ls", sqlite.url).stdout == "key\n"

"""`stats`, `rotate` and `watch`: what is about a whole storage."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from rrag_storage import DecryptionError, Key

if TYPE_CHECKING:
    from conftest import Command, Where


def test_stats(cli: Command, where: Where) -> None:
    with where.storage().sync as storage:
        storage.mset({f"docs::{number}": number for number in range(10)})
        storage.mset({f"users::{number}": number for number in range(5)})
        storage.mset({"[red]::1": 1, "plain": 2})
        name = storage.backend_name
    text = cli("stats", *where.arguments).stdout
    assert re.search(rf"^backend +{name}", text, re.MULTILINE)
    assert re.search(r"^entries +17", text, re.MULTILINE)
    rows = {line.split()[0]: line.split()[1:] for line in text.partition("namespace ")[2].splitlines()[1:]}
    assert list(rows) == ["docs", "users", "[red]"]
    assert [row[0] for row in rows.values()] == ["10", "5", "1"]
    # The longest bar is the fullest namespace's, the others are in proportion.
    assert [round(len(row[1]) / len(rows["docs"][1]), 1) for row in rows.values()] == [1.0, 0.5, 0.1]
    assert "\x1b" not in text
    document = json.loads(cli("stats", *where.arguments, "--json", "--namespaces", 1).stdout)
    assert document["backend"] == name
    assert (document["total_keys"], document["namespace_count"], document["namespaces"]) == (17, 3, {"docs": 10})
    assert "and 2 more" in cli("stats", *where.arguments, "--namespaces", 1).stdout
    assert document["memory_bytes"] > 0


def test_stats_of_nothing(cli: Command, sqlite: Where) -> None:
    with sqlite.storage().sync:
        pass
    assert "namespace " not in cli("stats", sqlite.url).stdout
    assert json.loads(cli("stats", sqlite.url, "--json").stdout)["namespaces"] == {}


def test_rotate_to_another_key(cli: Command, where: Where, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = Key.generate(), Key.generate()
    monkeypatch.setenv("OLD_KEY", old.export())
    monkeypatch.setenv("NEW_KEY", new.export())
    with where.storage().sync as storage:
        storage.mset({f"key-{number}": number for number in range(20)})
    first = ("--encryption-key-env", "2025=OLD_KEY")
    assert "not encrypted" in cli("rotate", *where.arguments, *first, code=4).stderr
    done = json.loads(cli("rotate", *where.arguments, *first, "--allow-unencrypted", "--json").stdout)
    assert done == {"seen": 20, "rewritten": 20}
    both = ("--encryption-key-env", "2026=NEW_KEY", *first)
    # It was cut off after some pages.
    with where.storage(encryption_key={"2025": old, "2026": new}, active_key="2026").sync as storage:
        storage.mset({f"key-{number}": number for number in range(5)})
    assert cli("rotate", *where.arguments, *both, "--page-size", 7).stdout == "15 of 20 records rewritten\n"
    assert cli("rotate", *where.arguments, *both).stdout == "0 of 20 records rewritten\n"
    assert cli("get", *where.arguments, "key-7", "--encryption-key-env", "2026=NEW_KEY").stdout == "7\n"
    assert '"2026"' in cli("get", *where.arguments, "key-7", *first, code=4).stderr
    with where.storage(encryption_key={"2025": old}).sync as storage, pytest.raises(DecryptionError):
        storage.get("key-7")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["NO_SUCH_KEY"], "NO_SUCH_KEY"),
        (["BAD_KEY"], "BAD_KEY"),
        (["a=OLD_KEY", "a=OLD_KEY"], "two encryption keys have the id a"),
        (["OLD_KEY", "OLD_KEY"], "two encryption keys have the id"),
        (["=OLD_KEY"], "id"),
    ],
)
def test_keys_that_can_not_be_used(
    cli: Command, sqlite: Where, monkeypatch: pytest.MonkeyPatch, given: list[str], says: str
) -> None:
    key = Key.generate().export()
    monkeypatch.setenv("OLD_KEY", key)
    monkeypatch.setenv("BAD_KEY", key[:-4])
    options = [word for name in given for word in ("--encryption-key-env", name)]
    done = cli("set", sqlite.url, "key", "value", *options, code=2)
    assert says in done.stderr
    assert key[:-4] not in done.stderr
    assert cli("ls", sqlite.url, code=3).stdout == ""


def test_watch(cli: Command, where: Where) -> None:
    with where.storage().sync as storage:
        storage.mset({"docs::1": 1, "docs::2": 2, "plain": 3})
    text = cli("watch", *where.arguments, "--count", 3, "--interval", 0.001).stdout
    assert re.fullmatch(r"(\S+T\S+\+00:00 3 \+0\n){3}", text)
    lines = cli("watch", *where.arguments, "--namespace", "docs", "--count", 1, "--json").stdout.splitlines()
    (reading,) = map(json.loads, lines)
    assert (reading["count"], reading["change"]) == (2, 0)

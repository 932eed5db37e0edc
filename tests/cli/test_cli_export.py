"""`export` and `import`: nothing is lost, and what can't be read is named."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import Where, place_on
from hypothesis import given, settings
from hypothesis import strategies as st
from rrag_storage import InMemoryStorage, MemoryValue, Storage
from rrag_storage.cli.importing import Importer
from rrag_storage.cli.json_lines import JsonLinesWriter, read_json_lines
from rrag_storage.cli.parquet import GROUP_ROWS, ParquetWriter, read_parquet
from rrag_storage.testing import asynchronous, cases, same, strategies

if TYPE_CHECKING:
    from conftest import Command
    from servers import RedisCluster

FORMATS = ["jsonl", "parquet"]


def held(storage: Storage) -> dict[str, tuple[Any, str, Any]]:
    return {entry.key: (entry.value, entry.kind, entry.expires_at) for entry in storage.sync.entries()}


def assert_alike(one: Storage, other: Storage) -> None:
    """Every value, kind and expiry is the same, to the millisecond."""
    here, there = held(one), held(other)
    assert here.keys() == there.keys()
    for key, (value, kind, expires_at) in here.items():
        assert same(value, there[key][0]), key
        assert (kind, expires_at) == there[key][1:], key


def fill(storage: Storage) -> None:
    """Every value and every key that is easy to get wrong, expiries among them."""
    for number, case in enumerate(cases.VALUES):
        storage.sync.set(f"values::{case.name}", case.value, ttl=5_000.123 + number if number % 3 == 0 else None)
    storage.sync.mset({key: number for number, key in enumerate(cases.KEYS)})
    for name, document, _ in cases.DOCUMENTS:
        storage.sync.set(f"documents::{name}", MemoryValue.json(document), ttl=timedelta(days=90))


@pytest.mark.parametrize("format_", FORMATS)
def test_everything_comes_back(cli: Command, where: Where, sqlite: Where, tmp_path: Path, format_: str) -> None:
    file, back = tmp_path / f"export.{format_}", Where(f"sqlite:{tmp_path}/back.db")
    with where.storage().sync, back.storage().sync:
        pass
    source, target = where.storage(), back.storage()
    fill(source)
    done = json.loads(cli("export", *where.arguments, file, "--json").stdout)
    assert done == {"exported": source.sync.count()}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    done = json.loads(cli("import", *back.arguments, file, "--json").stdout)
    assert done == {"imported": source.sync.count(), "expired": 0, "bad": 0}
    assert_alike(source, target)
    # And the other way, over what is there.
    source.sync.clear()
    source.sync.set("values::none", "before", ttl=1_000)
    cli("import", *where.arguments, file)
    assert_alike(target, source)
    source.sync.close()
    target.sync.close()


def test_through_a_pipe(cli: Command, where: Where, tmp_path: Path) -> None:
    with where.storage().sync as storage:
        storage.mset({"docs::1": b"\x00", "docs::2": 2, "users::ada": 3})
    text = cli("export", *where.arguments, "-", "--namespace", "docs").stdout
    assert text.splitlines() == [
        '{"rrag-storage":1}',
        '{"key":"docs::1","value":{"$bytes":"AA=="}}',
        '{"key":"docs::2","value":2}',
        '{"entries":2}',
    ]
    url = f"sqlite:{tmp_path}/b.db"
    assert cli("import", url, "-", stdin=text).stdout == "2 entries imported, 0 had expired, 0 were bad\n"
    assert cli("ls", url).stdout.split() == ["docs::1", "docs::2"]
    # Exports after one another, and lines of entries alone.
    cli("import", url, "-", stdin=text + text + '\n{"key": "more", "value": [1]}')
    assert cli("get", url, "more").stdout == "[1]\n"


@settings(max_examples=15)
@given(st.dictionaries(strategies.keys(), st.tuples(strategies.values(), st.booleans()), max_size=10))
@pytest.mark.parametrize("format_", FORMATS)
def test_anything_comes_back(format_: str, entries: dict[str, tuple[Any, bool]]) -> None:
    writers, readers = (
        {"jsonl": JsonLinesWriter, "parquet": ParquetWriter},
        {"jsonl": read_json_lines, "parquet": read_parquet},
    )

    @asynchronous
    async def run() -> None:
        source, target = InMemoryStorage(), InMemoryStorage()
        for key, (value, expires) in entries.items():
            await source.set(key, value, 1_000 if expires else None)
        with tempfile.TemporaryFile() as stream:
            writer: Any = writers[format_](stream)
            async for entry in source.entries():
                writer.write(entry)
            writer.finish()
            stream.seek(0)
            read: Any = readers[format_]
            await Importer(target, bad=None).run(read(stream), lambda: None)
        assert_alike(source, target)

    run()


def test_a_cluster_takes_batches_of_all_namespaces(cli: Command, redis_cluster: RedisCluster, tmp_path: Path) -> None:
    where, file = place_on(redis_cluster), tmp_path / "export.jsonl"
    source = InMemoryStorage()
    source.sync.mset({f"space-{number % 7}::{number}": number for number in range(700)} | {"plain": 1})
    source.sync.set("space-1::timed", "x", ttl=500)
    with file.open("wb") as stream:
        writer = JsonLinesWriter(stream)
        for entry in source.sync.entries():
            writer.write(entry)
        writer.finish()
    cli("import", *where.arguments, file)
    target = where.storage()
    assert_alike(source, target)
    target.sync.close()


def test_what_has_expired_is_left(cli: Command, sqlite: Where) -> None:
    lines = [
        '{"key": "old", "value": 1, "expires_at": "2020-01-02T03:04:05+00:00"}',
        '{"key": "new", "value": 1, "expires_at": "2999-01-02T03:04:05.678+05:45"}',
    ]
    done = cli("import", sqlite.url, "-", "--json", stdin="\n".join(lines))
    assert json.loads(done.stdout) == {"imported": 1, "expired": 1, "bad": 0}
    with sqlite.storage().sync as storage:
        assert storage.keys() == ["new"]
        assert storage.get_entry("new").expires_at.isoformat() == "2999-01-01T21:19:05.678000+00:00"


def test_of_a_key_that_comes_twice_the_last_counts(cli: Command, sqlite: Where) -> None:
    lines = [
        '{"key": "a", "value": 1, "expires_at": "2999-01-02T03:04:05+00:00"}',
        '{"key": "b", "value": 1}',
        '{"key": "a", "value": 2}',
        '{"key": "b", "value": 2, "expires_at": "2999-01-02T03:04:05+00:00"}',
    ]
    cli("import", sqlite.url, "-", stdin="\n".join(lines))
    with sqlite.storage().sync as storage:
        assert storage.mget(["a", "b"]) == [2, 2]
        assert storage.get_entry("a").expires_at is None
        assert storage.get_entry("b").expires_at is not None


BAD_LINES = [
    ("{", "no JSON"),
    ("[]", '"key", "value"'),
    ('{"key": "x"}', '"key", "value"'),
    ('{"key": "x", "value": 1, "ttl": 5}', '"key", "value"'),
    ('{"key": 1, "value": 1}', '"key" is no text'),
    ('{"key": "", "value": 1}', "empty"),
    ('{"key": "' + "k" * 2049 + '", "value": 1}', "2,?048"),
    ('{"key": "\\ud800", "value": 1}', "surrogate"),
    ('{"key": "x", "value": "\\ud800"}', "surrogate"),
    ('{"key": "x", "value": {"$what": 1}}', r"\$what"),
    ('{"key": "x", "value": 1, "expires_at": "soon"}', "ISO 8601"),
    ('{"key": "x", "value": 1, "expires_at": "2026-01-02"}', "offset"),
    ('{"key": "x", "value": ' + "[" * 200 + "]" * 200 + "}", "128"),
]


@pytest.mark.parametrize(("line", "says"), BAD_LINES)
def test_a_bad_line_is_named(cli: Command, sqlite: Where, line: str, says: str) -> None:
    text = (
        f'{{"rrag-storage": 1}}\n{{"key": "a", "value": 1}}\n\n{line}\n{{"key": "z", "value": 2}}\n{{"entries": 3}}\n'
    )
    done = cli("import", sqlite.url, "-", stdin=text, code=4)
    assert "line 4: " in done.stderr
    assert "nothing from there on was imported" in done.stderr
    assert cli("ls", sqlite.url).stdout == "a\n"
    done = cli("import", sqlite.url, "-", "--skip-bad", "--json", stdin=text, code=4)
    assert json.loads(done.stdout) == {"imported": 2, "expired": 0, "bad": 1}
    assert done.stderr.count("line 4: ") == 1
    assert cli("ls", sqlite.url).stdout == "a\nz\n"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (['{"rrag-storage": 1}', '{"key": "a", "value": 1}'], "cut off after line 2"),
        (['{"rrag-storage": 1}', '{"key": "a", "value": 1}', '{"key": "b", "val'], "line 3"),
        (['{"rrag-storage": 1}', '{"key": "a", "value": 1}', '{"entries": 2}'], "counts 2"),
        (['{"key": "a", "value": 1}', '{"entries": 1}'], "counts 1"),
        (['{"rrag-storage": 1}', '{"key": "a", "value": 1}', '{"rrag-storage": 1}'], "line 3"),
        (['{"key": "a", "value": 1}', '{"rrag-storage": 2}', '{"key": "b", "value": 1}'], "format 2"),
    ],
)
def test_an_export_that_is_not_whole(cli: Command, sqlite: Where, lines: list[str], says: str) -> None:
    done = cli("import", sqlite.url, "-", stdin="\n".join(lines), code=4)
    assert says in done.stderr
    assert cli("ls", sqlite.url).stdout == "a\n"


def test_a_batch_that_is_refused_for_one_entry(cli: Command, where: Where) -> None:
    """Bad lines are found in a batch, and all others of it are stored."""
    entries = [{"key": f"key-{number:04}", "value": number} for number in range(1_200)]
    entries[700] = {"key": "k" * 5_000, "value": "too long"}
    text = "\n".join(map(json.dumps, entries))
    assert "line 701: " in cli("import", *where.arguments, "-", stdin=text, code=4).stderr
    with where.storage().sync as storage:
        assert storage.keys() == [f"key-{number:04}" for number in range(700)]
    assert "line 701: " in cli("import", *where.arguments, "-", "--skip-bad", stdin=text, code=4).stderr
    with where.storage().sync as storage:
        assert storage.count() == 1_199


def test_row_groups_are_bounded(cli: Command, sqlite: Where, tmp_path: Path) -> None:
    parquet: Any = pytest.importorskip("pyarrow.parquet")
    with sqlite.storage().sync as storage:
        storage.mset({f"{number:06}": number for number in range(GROUP_ROWS * 2 + 1)})
    cli("export", sqlite.url, tmp_path / "a.parquet")
    metadata = parquet.ParquetFile(tmp_path / "a.parquet").metadata
    assert [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)] == [
        GROUP_ROWS,
        GROUP_ROWS,
        1,
    ]
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table.column("kind")[0].as_py() == "integer"
    assert table.column("created_at")[0].as_py().tzinfo is not None


def test_damaged_parquet(cli: Command, sqlite: Where, tmp_path: Path) -> None:
    arrow: Any = pytest.importorskip("pyarrow")
    parquet: Any = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "a.parquet"
    cli("set", sqlite.url, "key", "value")
    cli("export", sqlite.url, file)
    file.write_bytes(file.read_bytes()[:-10])
    assert "can't be read" in cli("import", sqlite.url, file, code=4).stderr
    parquet.write_table(arrow.table({"key": ["a"], "other": [1]}), file)
    assert "no column 'expires_at'" in cli("import", sqlite.url, file, code=4).stderr
    parquet.write_table(arrow.table({"key": ["a", "b", "c"], "value": ["1", "{", "3"], "expires_at": [None] * 3}), file)
    assert "row 2: it is no JSON" in cli("import", sqlite.url, file, code=4).stderr
    assert cli("ls", sqlite.url).stdout == "a\nkey\n"
    assert "stdin" in cli("import", sqlite.url, "-", "--format", "parquet", code=2).stderr


def test_without_pyarrow(cli: Command, sqlite: Where, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    cli("set", sqlite.url, "key", "value")
    assert "pip install 'rrag-storage[parquet]'" in cli("export", sqlite.url, tmp_path / "a.parquet", code=2).stderr
    assert list(tmp_path.glob("*.parquet*")) == []


def test_a_file_appears_when_it_is_whole(cli: Command, sqlite: Where, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    cli("set", sqlite.url, "key", "value")
    file.write_text("precious")
    assert "--force" in cli("export", sqlite.url, file, code=2).stderr
    assert file.read_text() == "precious"
    cli("export", sqlite.url, file, "--force")
    assert '"key":"key"' in file.read_text()
    assert "can't be written" in cli("export", sqlite.url, tmp_path / "no" / "a.jsonl", code=2).stderr
    before = sorted(tmp_path.iterdir())
    with sqlite.storage(encryption_key=bytes(32)).sync as storage:
        storage.set("sealed", 1)
    cli("export", sqlite.url, tmp_path / "b.jsonl", code=4)
    assert [path for path in sorted(tmp_path.iterdir()) if path not in before] == []
    with contextlib.suppress(FileNotFoundError):
        os.mkfifo(tmp_path / "pipe")
    assert "can't be read" in cli("import", sqlite.url, tmp_path / "missing.jsonl", code=2).stderr


def test_a_limit_names_the_line(cli: Command) -> None:
    text = "\n".join(json.dumps({"key": f"{number:06}", "value": 1}) for number in range(100_001))
    done = cli("import", "memory://", "-", "--json", stdin=text, code=4)
    assert "line 100001: max_keys" in done.stderr
    assert json.loads(done.stdout)["imported"] == 100_000

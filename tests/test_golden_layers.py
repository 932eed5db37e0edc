"""A stored record for each combination of layers, in a SQLite file: what a version has written, every later one reads."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from layered import at
from rrag_storage import DecryptionError, InMemoryStorage, Key

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden" / "layers.json").read_text(encoding="utf-8"))
KEY = Key(bytes([7]) * 32)
META = (0x0123_4567_89AB_CDEF, 1_700_000_000_000_000_000, 1_700_000_001_000_000_000, 4_102_444_800_000)


def written(path: Path, golden: dict[str, Any], store: InMemoryStorage) -> None:
    """A file that holds the record, and a store that holds its payload."""
    with at(path, encryption_key=KEY).sync as storage:
        storage.count()
    connection = sqlite3.connect(path)
    with connection:
        connection.execute('DELETE FROM "rrag_storage:attributes"')
        attributes = [(name, bytes.fromhex(value)) for name, value in golden["attributes"].items()]
        connection.executemany('INSERT INTO "rrag_storage:attributes" (name, value) VALUES (?, ?)', attributes)
        connection.execute(
            """INSERT INTO rrag_storage (key, version, created_at, updated_at, expires_at, body)
               VALUES (?, ?, ?, ?, ?, ?)""",
            (golden["key"].encode(), *META, bytes.fromhex(golden["body"])),
        )
    connection.close()
    store.sync.mset({name: bytes.fromhex(payload) for name, payload in golden["payloads"].items()})


@pytest.mark.parametrize("combination", GOLDEN)
def test_every_combination_is_read(tmp_path: Path, combination: str) -> None:
    store = InMemoryStorage()
    path = tmp_path / "memory.db"
    written(path, GOLDEN[combination], store)
    options: dict[str, Any] = {"large_values": store}
    if "encrypted" in combination:
        options |= {"encryption_key": {"2026": KEY}, "hide_keys": "hidden keys" in combination}
    with at(path, **options).sync as storage:
        entry = storage.get_entry("users::ada")
        assert entry is not None
        assert entry.value == "a golden text that shrinks, " * 8
        assert (entry.version, entry.created_at.timestamp()) == (META[0], 1_700_000_000)
        assert (entry.updated_at.timestamp(), entry.expires_at.timestamp()) == (1_700_000_001, 4_102_444_800)
        # Rewritten into what the options of this storage are, it is the same.
        assert storage.rotate().seen == 1
        assert storage.pop("users::ada") == entry.value
        assert store.sync.count() == 0
    if "encrypted" in combination and "hidden keys" not in combination:
        store.sync.clear()
        path.unlink()
        written(path, GOLDEN[combination], store)
        with at(path, large_values=store).sync as storage, pytest.raises(DecryptionError, match='"2026"'):
            storage.get("users::ada")

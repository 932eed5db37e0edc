"""A trained dictionary in an encrypted storage: made of pieces of values, it is kept as they are."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from rrag_storage import Compression, CorruptedDataError, DatabaseStorage, DecryptionError, Key

SECRET = "the formula of the seventh syrup"
SAMPLES = [{"id": number, "note": f"{SECRET}, batch {number % 7}", "language": "en"} for number in range(1000)]
OLD, NEW = Key(bytes(32)), Key(bytes(range(32)))


@pytest.fixture(scope="module")
def trained() -> Compression:
    return Compression.train(SAMPLES)


def files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


def storage(folder: Path, **layers: Any) -> DatabaseStorage:
    return DatabaseStorage(f"sqlite:{folder}/a.db", **layers)


def test_it_is_sealed_where_values_are(tmp_path: Path, trained: Compression) -> None:
    assert trained.dictionary is not None
    assert SECRET.encode() in trained.dictionary
    with storage(tmp_path, compression=trained, compression_threshold=16, encryption_key=NEW).sync as s:
        s.set("k", SAMPLES[3])
        assert s.get("k") == SAMPLES[3]
        assert SECRET.encode() not in files(tmp_path)
    assert SECRET.encode() not in files(tmp_path)
    with storage(tmp_path, encryption_key=NEW).sync as s:
        assert s.get("k") == SAMPLES[3]


def test_it_goes_along_to_the_next_key(tmp_path: Path, trained: Compression) -> None:
    options: dict[str, Any] = {"compression": trained, "compression_threshold": 16}
    with storage(tmp_path, encryption_key=OLD, **options).sync as s:
        s.set("k", SAMPLES[3])
    # The same key under a name of its own: it is found by its fingerprint.
    keys = {"2025": OLD, "2026": NEW}
    with storage(tmp_path, encryption_key=keys, active_key="2026").sync as s:
        assert s.get("k") == SAMPLES[3]
    with storage(tmp_path, encryption_key=keys, active_key="2026", **options).sync as s:
        assert s.rotate().rewritten == 1
    with storage(tmp_path, encryption_key={"2026": NEW}).sync as s:
        assert s.get("k") == SAMPLES[3]


def test_another_one_in_its_place_is_refused(tmp_path: Path, trained: Compression) -> None:
    others = [{"id": number, "note": f"nothing to see here, {number % 5}", "color": "blue"} for number in range(1000)]
    other = Compression.train(others)
    options: dict[str, Any] = {"compression_threshold": 16, "encryption_key": NEW}
    for compression, key, value in ((trained, "k", SAMPLES[3]), (other, "other", others[3])):
        with storage(tmp_path, compression=compression, **options).sync as s:
            s.set(key, value)
    connection = sqlite3.connect(tmp_path / "a.db")
    table = '"rrag_storage:attributes"'
    rows = connection.execute(f"SELECT name, value FROM {table} WHERE name LIKE 'zstd-%' ORDER BY name").fetchall()
    assert len(rows) == 2
    swapped = [(rows[0][0], rows[1][1]), (rows[1][0], rows[0][1])]
    plain = [(name, trained.dictionary) for name, _ in rows]
    for changed in (swapped, plain):
        connection.executemany(f"UPDATE {table} SET value = ?2 WHERE name = ?1", changed)
        connection.commit()
        with storage(tmp_path, encryption_key=NEW).sync as s:
            for key in ("k", "other"):
                with pytest.raises((DecryptionError, CorruptedDataError), match=key):
                    s.get(key)
    connection.close()


def test_a_plain_one_is_believed_where_plain_records_are(tmp_path: Path, trained: Compression) -> None:
    with storage(tmp_path, compression=trained, compression_threshold=16).sync as s:
        s.set("k", SAMPLES[3])
    with storage(tmp_path).sync as s:
        assert s.get("k") == SAMPLES[3]
    with storage(tmp_path, encryption_key=NEW, require_encryption=False).sync as s:
        assert s.get("k") == SAMPLES[3]

"""A record that is not encrypted, in a storage that demands encryption: nothing makes it trusted."""

from __future__ import annotations

from pathlib import Path

import pytest
from rrag_storage import DatabaseStorage, DecryptionError, InMemoryStorage, Key, RotateProgress

KEY = Key(bytes(range(32)))


def plant(url: str, value: object) -> None:
    """Writes as somebody does who can write to the file and has no key."""
    with DatabaseStorage(url, encryption_key=KEY).sync as storage:
        storage.set("mine", "sealed")
    with DatabaseStorage(url).sync as storage:
        storage.set("planted", value)


def test_it_is_refused_by_every_call_that_reads(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/a.db"
    plant(url, 1)
    with DatabaseStorage(url, encryption_key=KEY).sync as storage:
        for call in (
            lambda: storage.get("planted"),
            lambda: storage.get("planted", refresh_ttl=60),
            lambda: storage.get_value("planted"),
            lambda: storage.get_entry("planted"),
            lambda: storage.mget(["mine", "planted"]),
            lambda: storage.pop("planted"),
            lambda: storage.increment("planted"),
            lambda: storage.expire("planted", 60),
            lambda: storage.persist("planted"),
            lambda: list(storage.items()),
            lambda: storage.transact(lambda tx: tx.get("planted")),
            storage.rotate,
        ):
            with pytest.raises(DecryptionError, match="not encrypted"):
                call()
        assert storage.get("mine") == "sealed"


def test_rotation_seals_it_only_where_that_is_asked_for(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/a.db"
    plant(url, ["plain"])
    with DatabaseStorage(url, encryption_key=KEY, require_encryption=False).sync as storage:
        assert storage.get("planted") == ["plain"]
        assert storage.rotate() == RotateProgress(seen=2, rewritten=1)
    with DatabaseStorage(url, encryption_key=KEY).sync as storage:
        assert storage.get("planted") == ["plain"]


def test_nor_does_a_pointer_to_a_payload_that_is_not_encrypted(tmp_path: Path) -> None:
    url, objects = f"sqlite:{tmp_path}/a.db", InMemoryStorage()
    with DatabaseStorage(url, large_values=objects, large_value_threshold=100).sync as storage:
        storage.set("planted", "x" * 1000)
    with DatabaseStorage(url, large_values=objects, large_value_threshold=100, encryption_key=KEY).sync as storage:
        for call in (lambda: storage.get("planted"), storage.rotate):
            with pytest.raises(DecryptionError, match="not encrypted"):
                call()

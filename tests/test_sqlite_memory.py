"""The contract on `sqlite::memory:`, a database that is gone with its storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from rrag_storage import DatabaseStorage, ManualClock, Storage, connect
from rrag_storage.testing import StorageContract, asynchronous

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class TestSqliteMemory(StorageContract):
    """The contract."""

    @pytest.fixture
    def make_storage(self, clock: ManualClock) -> Callable[[], Storage]:
        return lambda: DatabaseStorage("sqlite::memory:", clock=clock)


@asynchronous
async def test_every_storage_is_a_database_of_its_own() -> None:
    one, other = connect("sqlite::memory:"), connect("sqlite::memory:")
    await one.set("key", 1)
    assert await other.exists("key") is False
    await one.close()
    await other.close()


def test_no_file_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with DatabaseStorage("sqlite::memory:").sync as storage:
        storage.mset({str(number): "x" * 1_000 for number in range(1_000)})
        assert storage.count() == 1_000
    assert list(tmp_path.iterdir()) == []

"""What the adapters' tests share: a storage of each kind that needs no server, and a loop for tests that are coroutines."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rrag_storage import DatabaseStorage, InMemoryStorage, ManualClock, Storage

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The frameworks' own suites, which tests here inherit, hold coroutines that leave their mark to the runner."""
    for item in items:
        if FOLDER in item.path.parents and inspect.iscoroutinefunction(getattr(item, "obj", None)):
            item.add_marker("asyncio")


@pytest.fixture
def clock() -> ManualClock:
    """The clock that `any_storage` follows."""
    return ManualClock()


@pytest.fixture(params=["memory", "sqlite"])
def any_storage(request: pytest.FixtureRequest, clock: ManualClock, tmp_path: Path) -> Iterator[Storage]:
    """An empty storage, of each kind in turn."""
    storage: Storage
    if request.param == "memory":
        storage = InMemoryStorage(clock=clock)
    else:
        storage = DatabaseStorage(f"sqlite:{tmp_path / 'storage.db'}", clock=clock)
    yield storage
    storage.sync.close()

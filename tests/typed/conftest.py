"""What the tests of typed views share: a storage of each kind, on a clock that the test moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rrag_storage import DatabaseStorage, InMemoryStorage, ManualClock, Storage


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", "sqlite", "view"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Any:
    storage: Storage
    if request.param == "sqlite":
        storage = DatabaseStorage(f"sqlite:{tmp_path}/typed.db", clock=clock)
    else:
        storage = InMemoryStorage(clock=clock)
    with storage.sync:
        yield storage.namespace("outer") if request.param == "view" else storage

"""What the adapters' tests share: a storage of each kind that needs no server, and a loop for tests that are coroutines."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest
from rrag_storage import DatabaseStorage, InMemoryStorage, ManualClock, Storage
from rrag_storage.testing import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a coroutine that has no mark: the frameworks' own suites, which tests here inherit, leave that to the runner."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj) or pyfuncitem.get_closest_marker("asyncio"):
        return None
    wanted = pyfuncitem._fixtureinfo.argnames
    run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted}))
    return True


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

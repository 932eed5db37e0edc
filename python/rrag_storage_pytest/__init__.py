"""The pytest plugin of rrag_storage: storages as fixtures, each test with its own, which leaves nothing behind.

A package of its own, because pytest imports plugins of everything that is installed: `rrag_storage` itself is imported
when the first test asks for one of these fixtures, and not before. docs/pytest.md shows their use.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rrag_storage import DatabaseStorage, InMemoryStorage, ManualClock, Storage

__all__ = ["memory_storage", "sqlite_storage", "storage", "storage_clock"]

_DEFAULT_URLS = ("memory", "sqlite")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--rrag-url`."""
    parser.getgroup("rrag-storage").addoption(
        "--rrag-url",
        action="append",
        metavar="URL",
        help="run each test of the fixture `storage` on this storage too: a url that rrag_storage.connect takes, "
        "`memory` or `sqlite` for a new one each test; may be repeated; default: memory and sqlite",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs a test of the fixture `storage` once for each `--rrag-url`."""
    if "_rrag_place" in metafunc.fixturenames:
        places = [_Place(url) for url in metafunc.config.getoption("--rrag-url") or _DEFAULT_URLS]
        metafunc.parametrize("_rrag_place", places, ids=[place.name for place in places])


class _Place:
    """Where the storage of a test is made. No password is in its repr, which pytest shows where a test fails."""

    def __init__(self, url: str) -> None:
        self._url = url
        if url in _DEFAULT_URLS:
            self.name = url
            return
        from rrag_storage import ConfigurationError, connect

        try:
            self.name = connect(url).backend_name.removeprefix("in_")
        except ConfigurationError as error:
            raise pytest.UsageError(f"--rrag-url: {error}") from None

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def make(self, folder: Path, clock: ManualClock | None) -> tuple[Storage, bool]:
        """A storage that is not open yet, and whether it is a new one, which nobody else has."""
        from rrag_storage import connect

        if self._url == "sqlite":
            return connect(f"sqlite:{folder / 'storage.db'}", clock=clock), True
        url = "memory://" if self._url == "memory" else self._url
        return connect(url, clock=clock), url.startswith("memory:")


@pytest.fixture
def storage_clock() -> ManualClock:
    """A clock that the storages of this test follow: it stands still until the test calls `advance`."""
    from rrag_storage import ManualClock

    return ManualClock()


@pytest.fixture
def _rrag_clock(request: pytest.FixtureRequest) -> ManualClock | None:
    """The clock of a test that asks for one; the system's, which is None, for the others."""
    clock: ManualClock | None = None
    if "storage_clock" in request.fixturenames:
        clock = request.getfixturevalue("storage_clock")
    return clock


@pytest.fixture
def memory_storage(_rrag_clock: ManualClock | None) -> Iterator[InMemoryStorage]:
    """A new, empty `InMemoryStorage`, closed after the test."""
    from rrag_storage import InMemoryStorage

    storage = InMemoryStorage(clock=_rrag_clock)
    yield storage
    storage.sync.close()


@pytest.fixture
def sqlite_storage(tmp_path: Path, _rrag_clock: ManualClock | None) -> Iterator[DatabaseStorage]:
    """A `DatabaseStorage` in a new SQLite file, `sqlite_storage.db` in the test's `tmp_path`; closed after the test."""
    from rrag_storage import DatabaseStorage

    storage = DatabaseStorage(f"sqlite:{tmp_path / 'sqlite_storage.db'}", clock=_rrag_clock)
    yield storage
    storage.sync.close()


@pytest.fixture
def storage(_rrag_place: _Place, _rrag_clock: ManualClock | None, tmp_path: Path) -> Iterator[Storage]:
    """An empty storage, one test for each `--rrag-url`; what it holds is deleted after the test.

    Of a url it is a view of a namespace with a random name, so that tests at the same time, and what else is stored there,
    don't meet.
    """
    whole, new = _rrag_place.make(tmp_path, _rrag_clock)
    if new:
        yield whole
        whole.sync.close()
        return
    name = f"test-{uuid.uuid4().hex}"
    try:
        yield whole.namespace(name)
        whole.sync.clear(name)
    finally:
        whole.sync.close()

"""What the tests of the command line share: the command, and storages of three kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cli_support import TERMINAL, Command, Where, place_on
from servers import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """The command; whatever it prints in a test holds no password."""
    for name in TERMINAL:
        monkeypatch.delenv(name, raising=False)
    command = Command()
    yield command
    for text in command.printed:
        assert PASSWORD not in text


@pytest.fixture
def sqlite(tmp_path: Path) -> Where:
    """A file that does not exist yet."""
    return Where(f"sqlite:{tmp_path}/storage.db")


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def where(request: pytest.FixtureRequest) -> Iterator[Where]:
    """An empty place of each kind in turn."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite")
        return
    place = place_on(request.getfixturevalue(request.param))
    yield place
    with place.storage().sync as storage:
        storage.clear()

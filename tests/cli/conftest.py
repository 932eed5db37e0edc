"""What the tests of the command line share: the command in this process, and storages of three kinds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from rrag_storage import Storage, connect
from rrag_storage.cli.app import app
from servers import PASSWORD
from typer.testing import CliRunner, Result

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TERMINAL = ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS")


@dataclass
class Command:
    """Runs `rrag-storage` in this process and keeps all that it printed."""

    printed: list[str] = field(default_factory=list)

    def __call__(
        self,
        *arguments: object,
        code: int | None = 0,
        stdin: str | bytes | None = None,
        env: dict[str, str] | None = None,
    ) -> Result:
        done = CliRunner().invoke(app, [str(each) for each in arguments], input=stdin, env=env)
        self.printed += [done.stdout, done.stderr]
        assert code in (done.exit_code, None), (done.exit_code, done.stdout, done.stderr)
        return done


@dataclass
class Where:
    """A place for a storage: as a command is told of it, and as `connect` is."""

    url: str
    option: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The url and what goes with it."""
        return (self.url, *self.option)

    @property
    def as_target(self) -> tuple[str, ...]:
        """The same for the second storage of a command."""
        return (self.url, *(word.replace("--", "--target-") for word in self.option))

    def storage(self, **options: Any) -> Storage:
        """The storage there, not opened yet."""
        return connect(self.url, **self.options, **options)


def place_on(server: Any) -> Where:
    """A new place on a server of the tests."""
    options = server.options()
    url = options.pop("url")
    ((name, value),) = options.items()
    return Where(url, (f"--{name.replace('_', '-')}", value), options)


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

"""Helpers of these tests: the command in this process, and places for storages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

from rrag_storage import Storage, connect
from rrag_storage.cli.app import app
from typer.testing import CliRunner, Result

T = TypeVar("T")

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


def existing(value: T | None) -> T:
    """What must be there."""
    assert value is not None
    return value

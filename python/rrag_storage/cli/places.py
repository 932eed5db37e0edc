"""Where a command finds its storage: the url and the options that every command has, as one `Place`."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import re
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from .. import Key, connect
from .exits import CommandError, Exit
from .masking import PASSWORD, TARGET_PASSWORD, with_password

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from .. import Storage

_PANEL = "Storage"
_OBJECT_STORES = ("s3", "gs", "az", "file")

# Every parameter of a place: its annotation and default. The url apart, None and False are left to the storage.
_OPTIONS: dict[str, tuple[Any, str, str]] = {
    "table": (str, "TEXT", "Name of the table (SQL)."),
    "key_prefix": (str, "TEXT", "What every name on the server starts with (Redis)."),
    "timeout": (float, "SECONDS", "The longest that an operation may take."),
    "root_certificate": (str, "FILE", "PEM file of certificates to trust."),
    "allow_http": (bool, "", "Let an object store be reached without TLS."),
    "encryption_key_env": (
        list[str],
        "[ID=]NAME",
        "Environment variable that holds an encryption key; the first is the active one.",
    ),
    "allow_unencrypted": (bool, "", "Read, beside a key, what was never encrypted."),
    "hide_keys": (bool, "", "The storage hides its keys."),
    "compression": (str, "zstd|lz4", "Compress what is written."),
    "large_values": (str, "URL", "Where large values live: s3://…, gs://…, az://…, file:///…"),
    "large_value_threshold": (int, "BYTES", "Values from this size on are large."),
}
_NAMES = {"timeout": "connection_timeout"}


@dataclass(frozen=True)
class Place:
    """A storage as the command line names it. `open` connects to it.

    Attributes:
        url: the url, with its password: show `Storage.url` instead.
        options: of `connect`, those that were given.
        large_values: the url of the storage for large values.
    """

    url: str = field(repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)
    large_values: str | None = field(default=None, repr=False)

    @asynccontextmanager
    async def open(self, *, create: bool = False, **layers: Any) -> AsyncIterator[Storage]:
        """The storage, opened, and closed at the end.

        Args:
            create: whether a SQLite file that does not exist is made.
            layers: options of `connect` that go before those of the command line.

        Raises:
            CommandError: there is no such file, or the url's storage has no such option.
            StorageError: what opening raises.
        """
        _must_exist(self.url, create=create)
        options = {**self.options, **layers}
        if not _is_object_store(self.url) and self.large_values is not None:
            options.pop("allow_http", None)  # meant for the other
        async with AsyncExitStack() as stack:
            if self.large_values is not None and "large_values" not in options:
                options["large_values"] = await stack.enter_async_context(self.open_large_values())
            yield await stack.enter_async_context(_connected(self.url, options))

    @asynccontextmanager
    async def open_large_values(self) -> AsyncIterator[Storage]:
        """The storage for large values, opened, and closed at the end."""
        url = self.large_values or ""
        _must_exist(url, create=False)
        shared = ["connection_timeout", "root_certificate", *(["allow_http"] if _is_object_store(url) else [])]
        async with _connected(url, {name: self.options[name] for name in shared if name in self.options}) as storage:
            yield storage


def _is_object_store(url: str) -> bool:
    return url.partition(":")[0].lower() in _OBJECT_STORES


def _connected(url: str, options: Mapping[str, Any]) -> Storage:
    try:
        return connect(url, **options)
    except TypeError as error:
        unknown = re.search(r"(\w+) got an unexpected keyword argument '(\w+)'", str(error))
        if unknown is None:
            raise CommandError(str(error)) from None
        option = next((flag for flag, name in _NAMES.items() if name == unknown[2]), unknown[2]).replace("_", "-")
        raise CommandError(f"--{option} is no option of {unknown[1]}") from None


def _must_exist(url: str, *, create: bool) -> None:
    scheme, _, path = url.partition(":")
    if create or scheme.lower() != "sqlite" or not path:
        return
    path = path.removeprefix("//")
    if path != ":memory:" and not Path(path).exists():
        raise CommandError(f"there is no file {path}", Exit.UNAVAILABLE)


def _keys(names: list[str]) -> dict[str, Any]:
    """The keys that environment variables hold, by id; the first is the active one."""
    keys: dict[str, Key] = {}
    for given in names:
        name, equals, variable = given.rpartition("=")
        key = Key.from_env(variable)
        if (name if equals else key.fingerprint) in keys:
            raise CommandError(f"two encryption keys have the id {name or key.fingerprint}")
        keys[name if equals else key.fingerprint] = key
    return {"encryption_key": keys, "active_key": next(iter(keys))} if keys else {}


def _place(given: dict[str, Any], password: str) -> Place:
    # What was not given is None, or False where it is a flag, or empty where it may be given twice. A 0 was given.
    options = {
        _NAMES.get(name, name): value
        for name, value in given.items()
        if value is not None and value is not False and value != []
    }
    url = with_password(options.pop("url"), os.environ.get(password))
    large_values = options.pop("large_values", None)
    keys = _keys(options.pop("encryption_key_env", []))
    if options.pop("allow_unencrypted", False):
        keys["require_encryption"] = False
    return Place(url, {**options, **keys}, large_values)


def with_places(command: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A command for typer of a coroutine function: each parameter that is a `Place` becomes a url and its options.

    The options of the second place are named after it: `--target-table`.
    """
    hints = get_type_hints(command, include_extras=True)
    places = [name for name, hint in hints.items() if hint is Place]
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name in places:
            parameters += _parameters(parameter.name, first=parameter.name == places[0])
        else:
            kind = inspect.Parameter.KEYWORD_ONLY
            parameters.append(parameter.replace(annotation=hints[parameter.name], kind=kind))

    @functools.wraps(command)
    def run(**given: Any) -> None:
        for name in places:
            own = {part: given.pop(f"{name}_{part}") for part in ("url", *_OPTIONS)}
            given[name] = _place(own, PASSWORD if name == places[0] else TARGET_PASSWORD)
        try:
            asyncio.run(command(**given))  # type: ignore[arg-type]  # a coroutine function gives a coroutine
        except KeyboardInterrupt:
            raise CommandError("interrupted", Exit.INTERRUPTED) from None
        except BrokenPipeError:
            # What is still in the buffer has nowhere to go.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(Exit.BROKEN_PIPE) from None

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _parameters(name: str, *, first: bool) -> list[inspect.Parameter]:
    """The url and the options of one place."""
    variable = PASSWORD if first else TARGET_PASSWORD
    says = f"Where the storage is; its password may stand in {variable}."
    url = Annotated[str, typer.Argument(metavar="URL" if name == "place" else name.upper(), help=says)]
    made = [inspect.Parameter(f"{name}_url", inspect.Parameter.KEYWORD_ONLY, annotation=url)]
    for option, (kind, metavar, help_) in _OPTIONS.items():
        flag = f"--{option}" if first else f"--{name}-{option}"
        says = typer.Option(
            flag.replace("_", "-"),
            metavar=metavar or None,
            help=help_,
            rich_help_panel=_PANEL if first else f"{_PANEL}: {name}",
        )
        annotation: Any = Annotated[bool, says] if kind is bool else Annotated[kind | None, says]
        default = False if kind is bool else None
        made.append(
            inspect.Parameter(
                f"{name}_{option}", inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
            )
        )
    return made

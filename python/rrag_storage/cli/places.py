"""Where a command finds its storage."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import connect
from .exits import CommandError, Exit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from .. import Storage

_OBJECT_STORES = ("s3", "gs", "az", "file")


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
        option = unknown[2].removeprefix("connection_").replace("_", "-")
        raise CommandError(f"--{option} is no option of {unknown[1]}") from None


def _must_exist(url: str, *, create: bool) -> None:
    scheme, _, path = url.partition(":")
    if create or scheme.lower() != "sqlite" or not path:
        return
    path = path.removeprefix("//")
    if path != ":memory:" and not Path(path).exists():
        raise CommandError(f"there is no file {path}", Exit.UNAVAILABLE)

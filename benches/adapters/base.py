"""What a contender looks like to the workloads, and how a value looks in a store that takes JSON objects only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy
from servers.base import Server
from servers.s3 import ObjectStore

# Isolation: whether a caller that changes its own object, or one it was handed, changes what is stored.
SHARING = "sharing"
ISOLATING = "isolating"

# Durability classes, weakest first.
NO_DURABILITY = "none"
OS_BUFFER = "os-buffer"
WAL_NORMAL = "WAL NORMAL"
FSYNC = "fsync"
DURABILITY = (NO_DURABILITY, OS_BUFFER, WAL_NORMAL, FSYNC)

# Which calls do their work, and wait for the disk, in the event loop's thread.
NEVER = "no"
ALWAYS = "yes"
SHORT_GETS = "short gets"


class Adapter:
    """One contender.

    `open` assigns the calls, each returning an awaitable, exactly as a user of that library would write them: no layer
    stands between the timed loop and the library but what the library itself makes necessary. A call that stays None
    is one that the contender cannot do.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    suite: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()
    isolation: ClassVar[str] = ISOLATING
    durability: ClassVar[str] = NO_DURABILITY
    blocks_loop: ClassVar[str] = NEVER
    concurrent: ClassVar[bool] = True
    """Whether it takes a call while another is under way."""
    one_loop: ClassVar[str] = ""
    """Why threads with a loop each can't share one open store in memory; empty where they can."""
    ours: ClassVar[bool] = False
    floor: ClassVar[str] = ""
    """The contender that this one's ratios are taken to."""

    get: Callable[[str], Awaitable[Any]]
    set: Callable[[str, Any], Awaitable[Any]]
    mget: Callable[[list[str]], Awaitable[list[Any]]]
    mset: Callable[[dict[str, Any]], Awaitable[Any]]
    keys: Callable[[str], Awaitable[list[str]]] | None = None
    count: Callable[[str], Awaitable[int]] | None = None
    prefix: Callable[[str], Awaitable[list[str]]] | None = None

    server: Server | None = None
    """The suite's server, for those that have one."""

    def place(self) -> str:
        """The url of an empty place on the server."""
        assert self.server is not None
        return self.server.fresh(self.name)

    def endpoint(self) -> str:
        """The address of an object store."""
        assert isinstance(self.server, ObjectStore)
        return self.server.endpoint

    async def open(self, directory: Path, kind: str) -> None:
        """Open an empty store, in `directory` where it needs one, for values of `kind`."""
        raise NotImplementedError

    async def close(self) -> None:
        """Release what `open` took."""

    async def held(self) -> int | None:
        """The bytes that it holds; None where the files in its directory are what counts."""
        return None

    async def fill(self, namespace: str, items: dict[str, Any]) -> None:
        """Store `items` in a namespace, for `keys` and `count`."""
        await self.mset({f"{namespace}::{name}": value for name, value in items.items()})

    def names(self, namespace: str, listed: list[str]) -> list[str]:
        """What `keys` answered, without the namespace."""
        return [key.removeprefix(f"{namespace}::") for key in listed]


def _same(value: Any) -> Any:
    return value


def wrap(value: Any) -> dict[str, Any]:
    """A value as the one field of a dict."""
    return {"v": value}


def unwrap(stored: dict[str, Any]) -> Any:
    """The inverse of `wrap`."""
    return stored["v"]


def _vector_to_json(vector: Any) -> dict[str, Any]:
    return {"v": vector.tolist()}


def _vector_from_json(stored: dict[str, Any]) -> Any:
    return numpy.array(stored["v"], dtype=numpy.float32)


Form = tuple[Callable[[Any], Any], Callable[[Any], Any]]

# Into and out of a store of dicts with any values, and into and out of a store of JSON objects.
DICT_FORM: dict[str, Form] = {
    "str": (wrap, unwrap),
    "dict": (_same, _same),
    "chunk": (_same, _same),
    "vector": (wrap, unwrap),
    "text": (wrap, unwrap),
}
JSON_FORM: dict[str, Form] = {**DICT_FORM, "vector": (_vector_to_json, _vector_from_json)}

"""Where histories run: each backend's storage, with its server where it has one."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from servers import KINDS, Places
from servers.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

PROCESSES = 3

TIMEOUTS = (20.0, 0.5)
"""Connection timeouts of the clients' storages in turn, in seconds: one outlasts every fault, one does not."""

BACKENDS = ["memory", "sqlite", "folder", *(name.replace("-", "_") for name in KINDS)]
"""Every backend's name."""


@dataclass(frozen=True)
class Place:
    """A storage for all clients.

    Attributes:
        options: For `connect`, JSON throughout.
        server: What can be killed.
        shared: Whether several processes share it, and it outlives them.
        transactions: Whether there are any.
        proxy: Stands between the server and every other process, and can lose answers.
        exact_delete: Whether of several that `delete` a key one is told that it was there.
    """

    options: dict[str, Any]
    server: Places | None = None
    shared: bool = True
    transactions: bool = True
    exact_delete: bool = True
    proxy: Proxy | None = None

    def of_process(self, number: int) -> dict[str, Any]:
        """The options of a process's storage."""
        if not self.shared:
            return self.options
        # Those that wait long go through the proxy: they are the ones that try again.
        patient = number % len(TIMEOUTS) == 0
        options = self.proxy.options(self.options) if self.proxy and patient else self.options
        return {**options, "connection_timeout": TIMEOUTS[number % len(TIMEOUTS)]}


@contextlib.contextmanager
def place(backend: str, *, lossy: bool = False) -> Iterator[Place]:
    """A new one, gone afterwards. A `lossy` one has a proxy that loses answers; that takes a lone server.

    Raises:
        ValueError: There is no server to lose answers of, or more than one.
    """
    if lossy and backend in ("memory", "sqlite", "folder", "redis_cluster"):
        raise ValueError(f"{backend} has no lone server whose answers could be lost")
    if backend == "memory":
        yield Place({"url": "memory://", "max_keys": None, "max_memory_bytes": None}, shared=False)
    elif backend in ("sqlite", "folder"):
        with tempfile.TemporaryDirectory(prefix="rrag-histories-") as folder:
            if backend == "sqlite":
                yield Place({"url": f"sqlite:{folder}/memory.db"})
            else:
                yield Place({"url": f"file://{folder}"}, transactions=False)
    else:
        with KINDS[backend.replace("_", "-")]() as server:
            alone = server.one_key_at_a_time
            # An object store deletes unconditionally: docs/backends.md.
            port: int = getattr(server, "port", 0)
            with Proxy(port) if lossy else contextlib.nullcontext() as proxy:
                yield Place(server.options(), server, transactions=not alone, exact_delete=not alone, proxy=proxy)

"""Private servers for the benchmark: on free loopback ports, in temporary folders, gone with the run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from .base import Missing, Server
from .mariadb import MariaDB
from .postgres import Postgres
from .redis_server import Redis
from .s3 import ObjectStore

SERVERS: dict[str, type[Server]] = {
    "postgres": Postgres,
    "mysql": MariaDB,
    "redis": Redis,
    "objects": ObjectStore,
}
"""The server of each suite that needs one."""


@contextlib.contextmanager
def running(suite: str) -> Iterator[Server | None]:
    """The suite's server while the block runs; None for a suite that needs none. Raises Missing without its binary."""
    if suite not in SERVERS:
        yield None
        return
    server = SERVERS[suite]()
    try:
        server.start()
        yield server
    finally:
        server.stop()


__all__ = ["SERVERS", "Missing", "Server", "running"]

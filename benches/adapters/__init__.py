"""The contenders, in the order of the tables."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from .base import Adapter

MODULES = {
    "memory": ("dict_async", "dict_pickle", "langgraph_memory", "pykv_memory", "rrag"),
    "disk": ("raw_sqlite", "aiosqlite_by_hand", "diskcache_direct", "langgraph_sqlite", "pykv_disk", "rrag"),
    "layers": ("pykv_layers", "rrag_layers"),
    "postgres": ("asyncpg_by_hand", "psycopg_by_hand", "langgraph_postgres", "rrag_servers"),
    "mysql": ("asyncmy_by_hand", "rrag_servers"),
    "redis": ("redis_py", "valkey_glide", "rrag_servers"),
    "objects": ("obstore_by_hand", "aiobotocore_by_hand", "rrag_objects"),
}
"""The modules of each suite."""


@dataclass(frozen=True)
class Absent:
    """A module of contenders that can't be imported here, and why."""

    module: str
    reason: str


def load(suite: str) -> tuple[list[type[Adapter]], list[Absent]]:
    """All contenders of a suite, and its modules that can't be imported."""
    found: list[type[Adapter]] = []
    absent: list[Absent] = []
    for name in MODULES[suite]:
        try:
            module = importlib.import_module(f".{name}", __package__)
        except ImportError as error:
            absent.append(Absent(name, str(error)))
        else:
            found += [contender for contender in module.CONTENDERS if contender.suite == suite]
    return found, absent

"""The contenders: one module each, in the order of the tables."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from .base import Adapter

MODULES = (
    "dict_async",
    "dict_pickle",
    "langgraph_memory",
    "pykv_memory",
    "raw_sqlite",
    "aiosqlite_by_hand",
    "diskcache_direct",
    "langgraph_sqlite",
    "pykv_disk",
    "rrag",
)


@dataclass(frozen=True)
class Absent:
    """A module of contenders that can't be imported here, and why."""

    module: str
    reason: str


def load(suite: str) -> tuple[list[type[Adapter]], list[Absent]]:
    """All contenders of a suite, and the modules that can't be imported, of whichever suite."""
    found: list[type[Adapter]] = []
    absent: list[Absent] = []
    for name in MODULES:
        try:
            module = importlib.import_module(f".{name}", __package__)
        except ImportError as error:
            absent.append(Absent(name, str(error)))
        else:
            found += [contender for contender in module.CONTENDERS if contender.suite == suite]
    return found, absent

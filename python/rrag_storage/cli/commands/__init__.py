"""The commands, a module each, by the names that they are called by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .check import check
from .copy import copy
from .delete import delete
from .export import export
from .get import get
from .import_ import import_
from .ls import ls
from .rotate import rotate
from .set import set_
from .stats import stats
from .watch import watch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

COMMANDS: dict[str, Callable[..., Awaitable[None]]] = {
    "stats": stats,
    "ls": ls,
    "get": get,
    "set": set_,
    "delete": delete,
    "copy": copy,
    "export": export,
    "import": import_,
    "check": check,
    "rotate": rotate,
    "watch": watch,
}
"""In the order in which the help lists them."""

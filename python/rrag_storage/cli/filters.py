"""Which entries a command is about: the filters of `Storage.keys` as options."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import MemoryQuery

_PANEL = "Which entries"

Namespace = Annotated[
    str | None, typer.Option("--namespace", metavar="NAME", help="Keys under NAME::.", rich_help_panel=_PANEL)
]
Prefix = Annotated[
    str | None, typer.Option("--prefix", metavar="TEXT", help="Keys that start with TEXT.", rich_help_panel=_PANEL)
]
Pattern = Annotated[
    str | None, typer.Option("--pattern", metavar="GLOB", help="Keys that match GLOB.", rich_help_panel=_PANEL)
]
After = Annotated[
    str | None, typer.Option("--after", metavar="KEY", help="Keys that follow KEY.", rich_help_panel=_PANEL)
]


def page(query: MemoryQuery, after: str | None, limit: int) -> MemoryQuery:
    """At most `limit` of what `query` asks for, behind `after` where that is a key."""
    limited = query.with_limit(limit)
    return limited if after is None else limited.with_after(after)

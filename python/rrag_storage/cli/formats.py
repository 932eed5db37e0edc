"""The formats of exports, and which one a file has."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer


class Format(str, Enum):
    """A format of exports."""

    JSONL = "jsonl"
    PARQUET = "parquet"


FormatOption = Annotated[
    Format | None, typer.Option("--format", help="jsonl unless FILE ends in .parquet; parquet needs the extra parquet.")
]


def format_of(file: str, wanted: Format | None) -> Format:
    """The format that was asked for, or the one that the file's name says."""
    return wanted or (Format.PARQUET if file.endswith(".parquet") else Format.JSONL)

"""The command line `rrag-storage`. Its packages come with the extra `cli`: `pip install 'rrag-storage[cli]'`."""

from __future__ import annotations

import sys

__all__ = ["main"]

_NEEDED = ("typer", "rich")


def main() -> None:
    """Runs the command that `sys.argv` holds, and ends the process with its exit code (docs/cli.md lists them)."""
    try:
        from .app import app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        print(f"rrag-storage: {error.name} is missing: pip install 'rrag-storage[cli]'", file=sys.stderr)
        sys.exit(2)
    app(prog_name="rrag-storage")

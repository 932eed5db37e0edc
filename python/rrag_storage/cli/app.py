"""The commands under one name, and how they end: a message on stderr and an exit code."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from .. import __version__
from .commands import COMMANDS
from .exits import Exit, code_of
from .masking import masked
from .output import note, say
from .places import with_places

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Group(TyperGroup):
    """Turns every error into a message without secrets and an exit code."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:
        given = list(sys.argv[1:] if args is None else args)
        options["standalone_mode"] = False
        try:
            code = super().main(given, *rest, **options)
        except typer.Abort:  # of a question
            note("interrupted")
            code = Exit.INTERRUPTED
        except Exception as error:  # the last place to put it into words
            code = _told(error, given)
        sys.exit(code if isinstance(code, int) else Exit.OK)


def _told(error: Exception, arguments: list[str]) -> Exit:
    """Says what went wrong, and what the process ends with."""
    if hasattr(error, "format_message"):  # the parser's own errors
        note(masked(error.format_message(), arguments))
        context = getattr(error, "ctx", None)
        if context is not None:
            print(f"Try '{context.command_path} --help'.", file=sys.stderr)
        return Exit.USAGE
    code = code_of(error)
    if code is None:
        print(masked("".join(traceback.format_exception(error)), arguments), file=sys.stderr)
        note("this is a fault of the program")
        return Exit.INTERNAL
    note(masked(str(error), arguments))
    return code


app = typer.Typer(
    name="rrag-storage",
    cls=_Group,
    help="Look into storages of rrag_storage, and move what they hold.",
    no_args_is_help=True,
    # They would show local variables, passwords among them.
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        say(__version__)
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


for name, command in COMMANDS.items():
    app.command(name)(with_places(command))

"""What docs/cli.md shows is what happens: its commands run in its order, and print what stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
SCRIPT = f'#!/bin/sh\nexec {sys.executable} -m rrag_storage.cli "$@"\n'


def examples() -> list[tuple[str, str]]:
    """Every command with what it prints; `...` stands for anything."""
    blocks = re.findall(r"^```console\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    found = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", "".join(blocks), re.MULTILINE)
    return [(command, printed) for command, printed in found]


def test_examples_print_what_stands_there(tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "rrag-storage").write_text(SCRIPT)
    (programs / "rrag-storage").chmod(0o755)
    path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    assert len(examples()) > 20
    for command, printed in examples():
        done = subprocess.run(
            command,
            shell=True,
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )
        shown = "".join(f"{line.rstrip()}\n" for line in done.stdout.decode().splitlines())
        wanted = re.escape(printed).replace(r"\.\.\.", "(?s:.*)")
        assert re.fullmatch(wanted, shown), f"$ {command}\n{shown}"


def test_the_page_names_every_command_option_and_exit_code() -> None:
    from rrag_storage.cli.commands import COMMANDS
    from rrag_storage.cli.exits import Exit

    text = PAGE.read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"| `{name} " in text
    for code in Exit:
        assert f"\n| {code.value} | " in text

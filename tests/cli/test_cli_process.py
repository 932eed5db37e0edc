"""The command as a process: how it starts, ends, and behaves in a pipe and on a terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import TERMINAL
from support import run_script

if TYPE_CHECKING:
    from conftest import Command, Where

ROOT = Path(__file__).resolve().parents[2]


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in TERMINAL}
    return {**kept, "TERM": "xterm-256color", **more}


def run(*arguments: object, stdin: bytes = b"", **more: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "rrag_storage.cli", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=60,
        env=environment(**more),
    )


def on_a_terminal(*arguments: object, **more: str) -> tuple[int, str]:
    """Runs the command with a terminal as its stdout and stderr; its exit code, and what it showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "rrag_storage.cli", *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(COLUMNS="100", **more),
    )
    os.close(theirs)
    shown = b""
    # Linux ends a terminal whose other side is closed with an error.
    while True:
        try:
            some = os.read(ours, 65_536)
        except OSError:
            break
        if not some:
            break
        shown += some
    os.close(ours)
    return process.wait(timeout=60), shown.decode()


@pytest.fixture
def filled(sqlite: Where) -> Where:
    with sqlite.storage().sync as storage:
        storage.mset({f"docs::{number:05}": number for number in range(20_000)})
        storage.set("bytes", b"\x00\x1b[31m")
        storage.set("text", "one\n\x1b[31mtwo")
        storage.set("-dash", 1)
    return sqlite


def test_it_is_a_script() -> None:
    assert '\n[project.scripts]\nrrag-storage = "rrag_storage.cli:main"\n' in (ROOT / "pyproject.toml").read_text()
    assert (
        run("--version").stdout.decode().strip()
        == run_script("import rrag_storage; print(rrag_storage.__version__)").strip()
    )
    assert run().returncode == 2


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_without_its_packages_it_says_what_to_install(package: str) -> None:
    script = f"""
        import sys
        sys.modules["{package}"] = None
        from rrag_storage.cli import main
        try:
            main()
        except SystemExit as error:
            print(error.code)
        """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, check=True)
    assert done.stdout == b"2\n"
    assert b"pip install 'rrag-storage[cli]'" in done.stderr


def test_exit_codes(filled: Where, tmp_path: Path) -> None:
    assert run("get", filled.url, "--", "-dash").stdout == b"1\n"
    assert run("get", filled.url, "none").returncode == 1
    assert run("get", filled.url).returncode == 2
    assert run("stats", "redis://127.0.0.1:1", "--timeout", "0.5").returncode == 3
    done = run("import", filled.url, "-", stdin=b'{"key": "new", "value": 1}\n{')
    assert done.returncode == 4
    assert done.stderr.startswith(b"rrag-storage: line 2: it is no JSON")
    (tmp_path / "read-only").mkdir()
    assert run("get", filled.url, "new").stdout == b"1\n"


def test_help_names_every_command_and_option(cli: Command) -> None:
    listed = re.findall(r"^  (\w+) ", run("--help").stdout.decode().partition("Commands:")[2], re.MULTILINE)
    assert len(listed) == 11
    for command in listed:
        text = cli(command, "--help").stdout
        for option in (
            "--table",
            "--key-prefix",
            "--encryption-key-env",
            "--large-values",
            "--compression",
            "--timeout",
        ):
            assert option in text
        assert "--json" in text


@pytest.mark.parametrize(
    ("words", "offered"),
    [("rrag-storage st", ["stats"]), ("rrag-storage set --t", ["--table", "--timeout", "--type", "--ttl"])],
)
def test_completion(words: str, offered: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rrag_storage.cli"],
        env=environment(
            _RRAG_STORAGE_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1)
        ),
        capture_output=True,
        check=False,
    )
    assert sorted(done.stdout.decode().split()) == sorted(offered)


def test_a_reader_that_goes(filled: Where) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "rrag_storage.cli", "ls", filled.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"-dash\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=60) == 141


def test_an_interrupt(filled: Where) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "rrag_storage.cli", "watch", filled.url, "--interval", "60", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["count"] == 20_003
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (130, b"rrag-storage: interrupted\n")


def test_any_locale(filled: Where) -> None:
    assert run("set", filled.url, "größe", "ü", LC_ALL="C").returncode == 0
    done = run("ls", filled.url, "--prefix", "gr", LC_ALL="C")
    assert done.stdout.decode() == "größe\n"


class TestOnATerminal:
    """Colours and bars, where somebody looks."""

    def test_colours(self, filled: Where) -> None:
        code, shown = on_a_terminal("stats", filled.url)
        assert code == 0
        assert re.search("\x1b\\[36[;\\d]*m█", shown)
        code, shown = on_a_terminal("stats", filled.url, NO_COLOR="1")
        assert "█" in shown
        assert "\x1b[36" not in shown
        assert b"\x1b" not in run("stats", filled.url).stdout

    def test_a_bar_that_goes_away(self, filled: Where, tmp_path: Path) -> None:
        code, shown = on_a_terminal("copy", filled.url, f"sqlite:{tmp_path}/b.db")
        assert code == 0
        assert "20003/20003" in shown
        assert "20003 copied" in shown.splitlines()[-1]
        done = run("copy", filled.url, f"sqlite:{tmp_path}/c.db")
        assert done.stdout.startswith(b"20003 copied")
        assert done.stderr == b""

    def test_no_value_commands_the_terminal(self, filled: Where) -> None:
        assert on_a_terminal("get", filled.url, "text") == (0, "one\r\n\\x1b[31mtwo\r\n")
        code, shown = on_a_terminal("get", filled.url, "bytes")
        assert code == 0
        assert '{"$bytes":"ABtbMzFt"}' in shown
        assert run("get", filled.url, "bytes").stdout == b"\x00\x1b[31m"
        assert run("get", filled.url, "text").stdout == b"one\n\x1b[31mtwo\n"

    def test_watch_is_one_table(self, filled: Where) -> None:
        code, shown = on_a_terminal("watch", filled.url, "--count", 2, "--interval", 0.001)
        assert code == 0
        assert shown.count("20,003") >= 3  # the first reading, and both of them below one another
        assert "\x1b[" in shown

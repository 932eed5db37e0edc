"""Helpers of these tests: scripts in interpreters of their own, and what the system says of a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

TESTS = Path(__file__).parent


def start(script: str, *arguments: object, **options: object) -> subprocess.Popen[bytes]:
    """Starts `script` (Python source, or a file of this folder) in a fresh interpreter, its streams piped."""
    program = [str(TESTS / script)] if script.endswith(".py") else ["-c", textwrap.dedent(script)]
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        [sys.executable, *program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        **options,
    )


def finish(process: subprocess.Popen[bytes], *, timeout: float = 60, code: int = 0) -> str:
    """Waits for `process`: it must exit with `code` and have nothing to say on stderr. Gives its stdout."""
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        # With all that it forked: whoever is left would hold the pipes open.
        os.killpg(process.pid, signal.SIGKILL)
        stdout, stderr = process.communicate()
        raise AssertionError(f"hangs after {timeout:g} s\n{stdout.decode()}\n{stderr.decode()}") from None
    assert (process.returncode, stderr.decode()) == (code, "")
    return stdout.decode()


def run_script(script: str, *arguments: object, timeout: float = 60, code: int = 0) -> str:
    """Starts `script` and waits for it."""
    return finish(start(script, *arguments), timeout=timeout, code=code)


def open_files(below: Path | None = None) -> int:
    """How many file descriptors this process holds; only those of files below a folder where one is given."""
    count = 0
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            continue
        count += below is None or target.startswith(str(below))
    return count


def threads() -> int:
    """How many threads this process has, those that Python doesn't know included."""
    return len(os.listdir("/proc/self/task"))

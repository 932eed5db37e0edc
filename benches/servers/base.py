"""A server of the benchmark's own: a folder, a free port, a process that does not run as root."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import ClassVar

NOBODY = 65534
"""The user and the group that servers run as where the benchmark runs as root: databases refuse that."""

STARTING = 30
STOPPING = 30
"""Seconds."""


class Missing(Exception):
    """A server's program is not installed."""


class Server:
    """One server. `start` takes a folder and a port; `fresh` makes a place for one contender's data."""

    name: ClassVar[str]

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bench-server-"))
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        if as_root():
            os.chown(self.folder, NOBODY, NOBODY)

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        raise NotImplementedError

    def fresh(self, contender: str) -> str:
        """The url of an empty place that is the contender's alone; what it had there is gone."""
        raise NotImplementedError

    def version(self) -> str:
        """What it is, in one line, with the settings that matter."""
        raise NotImplementedError

    def launch(self, *command: str | Path) -> None:
        """Start the process and wait for its port."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                **who(),
            )
        deadline = time.monotonic() + STARTING
        while not self.accepts():
            if self.process.poll() is not None or time.monotonic() > deadline:
                log_end = (self.folder / "log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{self.name} did not start:\n{log_end}")
            time.sleep(0.05)

    def accepts(self) -> bool:
        """Whether something listens."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def run(self, *command: str | Path) -> str:
        """Run a program to its end, as the server's user; its output."""
        done = subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, check=False, cwd="/", **who()
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]}: {done.stderr.strip()[-2000:]}")
        return done.stdout.strip()

    def stop(self) -> None:
        """Stop the process and remove the folder."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOPPING)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def as_root() -> bool:
    """Whether this is the superuser."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def who() -> dict[str, int]:
    """The user and the group of a server's process, for subprocess."""
    return {"user": NOBODY, "group": NOBODY} if as_root() else {}


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(name: str, *places: str) -> Path:
    """A program on the path, or else in the newest of the places, which are globs under the root directory."""
    if found := shutil.which(name):
        return Path(found)
    candidates = [path for place in places for path in sorted(Path("/").glob(f"{place}/{name}"), reverse=True)]
    if not candidates:
        raise Missing(name)
    return candidates[0]

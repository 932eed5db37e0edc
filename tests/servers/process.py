"""A server's process: started, killed, stopped and started again; never left behind."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from rrag_storage import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rrag_storage import Storage
    from typing_extensions import Self

PASSWORD = "s3cret-pass"
"""Of every server's user. No message may show it."""

USER = "ada"

NOBODY = 65_534
"""Who runs the servers where the tests run as root, which most servers refuse to."""

STARTING = 90.0
"""Seconds within which a server answers."""

# Runs a server and tells its process id. When the input ends, as it does whatever becomes of the tests' process, the
# server is killed, and its folder removed unless the input said `keep`.
WRAPPER = (
    'folder=$1; shift; "$@" < /dev/null >> "$folder/log" 2>&1 & echo $!; read word; '
    'kill -9 $! 2> /dev/null; wait; [ "$word" = keep ] || rm -rf "$folder"'
)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on, and whose twin 10,000 higher is free as well."""
    while True:
        with socket.socket() as low, socket.socket() as high:
            low.bind(("127.0.0.1", 0))
            port: int = 10_000 + low.getsockname()[1] % 20_000
            with contextlib.suppress(OSError), socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
                high.bind(("127.0.0.1", port + 10_000))
                return port


def in_memory() -> str | None:
    """A folder in memory, where files come and go fast; None where there is none, or too little room."""
    folder = "/dev/shm"
    roomy = os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > 4 * 2**30
    return folder if roomy else None


def program(name: str, package: str) -> str:
    """The path of a server's program. Where it is missing the test ends here, with the package to install."""
    folders = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), *os.get_exec_path(), "/usr/sbin"]
    found = shutil.which(name, path=os.pathsep.join(map(str, folders)))
    if found is None:
        said = f"{name} is missing: install the package {package}"
        if os.environ.get("RRAG_REQUIRE_SERVERS"):
            pytest.fail(said)
        pytest.skip(said)
    return found


def descendants(pid: int) -> Iterator[int]:
    """The processes that `pid` started, and theirs."""
    parents: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
                parents.setdefault(int(fields[1]), []).append(int(entry))
    waiting = [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        yield from children
        waiting += children


class Places:
    """A server that holds many storages, each in a place of its own: a table, or keys with a prefix."""

    place_option: ClassVar[str]
    """The storage's option that names a place."""

    one_key_at_a_time: ClassVar[bool] = False
    """Whether there are no transactions, and no `mset` as a whole."""

    def __init__(self) -> None:
        self._numbers = itertools.count()

    @property
    def url(self) -> str:
        """Where a storage finds the server, password included."""
        raise NotImplementedError

    def options(self, **options: Any) -> dict[str, Any]:
        """A storage's arguments: those given, and a url and a place that no other storage has unless they are given."""
        return {"url": self.url, self.place_option: f"place{next(self._numbers):06}", **options}

    def storage(self, **options: Any) -> Storage:
        """An unopened storage, in a new place unless one is given. What is in a place goes with the server."""
        return connect(**self.options(**options))

    def __enter__(self) -> Self:
        """Starts it."""
        raise NotImplementedError

    def __exit__(self, *_: object) -> None:
        """Removes it."""
        raise NotImplementedError

    def kill(self) -> None:
        """Kills it with -9. What it wrote stays."""
        raise NotImplementedError

    def restart(self) -> None:
        """Starts it again after `kill` or `terminate`, on the same port and data."""
        raise NotImplementedError

    def terminate(self) -> None:
        """Asks it to end, and waits until it has."""
        raise NotImplementedError

    def stop(self) -> None:
        """Freezes it and all its processes: connections stay, answers don't come."""
        raise NotImplementedError

    def cont(self) -> None:
        """Lets it go on after `stop`."""
        raise NotImplementedError

    def connections(self) -> int:
        """How many connections its clients have open, this question's own left out."""
        raise NotImplementedError

    def cut(self) -> None:
        """Has the server close all of its clients' connections."""
        raise NotImplementedError

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Frozen inside."""
        self.stop()
        try:
            yield
        finally:
            self.cont()

    @contextlib.contextmanager
    def killed(self) -> Iterator[None]:
        """Dead inside."""
        self.kill()
        try:
            yield
        finally:
            self.restart()


class Server(Places):
    """One server. As a context manager it is running inside and removed at the end."""

    package: ClassVar[str]
    """The Debian package that has its programs."""

    end_signal: ClassVar[signal.Signals] = signal.SIGTERM
    """What it ends at without waiting for its clients."""

    as_nobody: ClassVar[bool] = True
    """Whether it runs as another user where the tests run as root."""

    def __init__(self, *, durable: bool = True) -> None:
        super().__init__()
        self.durable = durable
        self.port = free_port()
        parent = None if durable else in_memory()
        self.folder = Path(tempfile.mkdtemp(prefix=f"rrag-{type(self).__name__.lower()}-", dir=parent))
        self._wrapper: subprocess.Popen[bytes] | None = None
        self.pid = 0
        if self._as_user():
            os.chown(self.folder, NOBODY, NOBODY)

    # What a kind of server says.

    def prepare(self) -> None:
        """Lays out the folder, once."""

    def command(self) -> list[str]:
        """Program and arguments."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether it takes operations by now."""
        raise NotImplementedError

    # What is the same for all.

    def __enter__(self) -> Self:
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, *command: str, may_fail: bool = False, **environment: str) -> str:
        """Runs a program as the server's user and gives what it printed."""
        done: subprocess.CompletedProcess[str] = subprocess.run(  # type: ignore[call-overload]
            command,
            env={**os.environ, "LC_ALL": "C.UTF-8", **environment},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            **self._as_user(),
        )
        assert may_fail or done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        end = time.monotonic() + STARTING
        while True:
            self._spawn()
            while not self._ended():
                if self.answers():
                    return
                assert time.monotonic() < end, self.log()
                time.sleep(0.01)
            # Killed a moment ago, it may have left locks behind that its children still hold.
            self._let_go()
            assert time.monotonic() < end, self.log()
            time.sleep(0.1)

    def kill(self) -> None:
        """Kills it with -9. What it wrote stays."""
        os.kill(self.pid, signal.SIGKILL)
        self._let_go()

    def terminate(self) -> None:
        """Asks it to end, and waits until it has."""
        os.kill(self.pid, self.end_signal)
        end = time.monotonic() + STARTING
        while not self._ended():
            assert time.monotonic() < end, self.log()
            time.sleep(0.01)
        self._let_go()

    def restart(self) -> None:
        """Starts it again after `kill` or `terminate`, on the same port and data."""
        self.start()

    def stop(self) -> None:
        """Freezes it and all its processes: connections stay, answers don't come."""
        os.kill(self.pid, signal.SIGSTOP)
        self._signal_descendants(signal.SIGSTOP)

    def cont(self) -> None:
        """Lets it go on after `stop`."""
        self._signal_descendants(signal.SIGCONT)
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Kills it and removes its folder."""
        self._let_go()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """The last lines that it logged."""
        log = self.folder / "log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-20:]) if log.exists() else "no log"

    def _as_user(self) -> dict[str, int | list[int]]:
        return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if self.as_nobody and os.geteuid() == 0 else {}

    def _spawn(self) -> None:
        self._wrapper = subprocess.Popen(  # type: ignore[call-overload]
            ["/bin/sh", "-c", WRAPPER, "sh", str(self.folder), *self.command()],
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            **self._as_user(),
        )
        assert self._wrapper is not None
        assert self._wrapper.stdout is not None
        self.pid = int(self._wrapper.stdout.readline())

    def _ended(self) -> bool:
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    def _let_go(self) -> None:
        wrapper, self._wrapper = self._wrapper, None
        if wrapper is not None:
            wrapper.communicate(b"keep\n", timeout=STARTING)

    def _signal_descendants(self, number: int) -> None:
        for pid in descendants(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

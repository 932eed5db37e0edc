"""The preloaded disk (disk.c): building it, and calling it in the process that it was preloaded into."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("disk.c")

WRITE, SYNC, TRUNCATE, MAP, OPEN, UNLINK = 1, 2, 4, 8, 16, 32
EVERYTHING = WRITE | SYNC | TRUNCATE | MAP | OPEN | UNLINK
SHORT_WRITE = -1
"""In place of an errno: half of the bytes are written."""


def build(folder: Path) -> Path:
    """Compiles disk.c into `folder`; the library."""
    library = folder / "disk.so"
    compiler = os.environ.get("CC", "cc")
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(library), str(SOURCE)]
    subprocess.run([*command, "-ldl", "-lpthread"], check=True)
    return library


def run_under(library: Path, script: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs a script of this folder with the disk preloaded."""
    return subprocess.run(
        [sys.executable, str(script), *map(str, arguments)],
        env={**os.environ, "LD_PRELOAD": str(library), "PYTHONPATH": str(SOURCE.parent)},
        capture_output=True,
        text=True,
        check=False,
    )


def preload_self() -> None:
    """Starts this very process anew with the disk preloaded, where it is not yet."""
    if "disk_arm" in _symbols():
        # It is loaded: neither its file nor the variable is needed any more.
        shutil.rmtree(Path(os.environ.pop("LD_PRELOAD")).parent)
        return
    os.environ["LD_PRELOAD"] = str(build(Path(tempfile.mkdtemp(prefix="rrag-disk-"))))
    os.execv(sys.executable, [sys.executable, *sys.argv])


def _symbols() -> set[str]:
    with contextlib.suppress(AttributeError):
        return {"disk_arm"} if ctypes.CDLL(None).disk_arm else set()
    return set()


class Disk:
    """The disk of this process."""

    def __init__(self, folder: Path) -> None:
        """Watches what is done to files below `folder`."""
        self._library = ctypes.CDLL(None)
        self._library.disk_arm.argtypes = [ctypes.c_int, ctypes.c_long, ctypes.c_int, ctypes.c_int]
        self._library.disk_counted.restype = self._library.disk_failed.restype = ctypes.c_long
        self._library.disk_mark.argtypes = [ctypes.c_int64]
        self._library.disk_watch(os.fsencode(folder))

    def arm(self, succeed: int, error: int, *, kinds: int = EVERYTHING, forever: bool = False) -> None:
        """Of the calls of `kinds` the one after `succeed` more fails with `error`; all later ones where `forever`."""
        self._library.disk_arm(kinds, succeed, error, forever)

    def disarm(self) -> int:
        """Nothing fails any more; how many calls failed."""
        failed = int(self._library.disk_failed())
        self._library.disk_arm(0, -1, 0, 0)
        return failed

    def record(self, path: Path) -> None:
        """Writes down from now on what reaches the disk."""
        assert self._library.disk_record(os.fsencode(path)), path

    def mark(self, number: int) -> None:
        """Writes a number down."""
        self._library.disk_mark(number)

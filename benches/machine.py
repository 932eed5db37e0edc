"""What a figure depends on: the machine, the interpreter, the versions. No host names and no paths."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from time import perf_counter

from adapters.base import Adapter


def describe(*, uvloop: bool) -> list[tuple[str, str]]:
    """Rows of (what, value)."""
    return [
        ("processor", f"{_processor()}, {_cores()} cores"),
        ("memory", _memory()),
        ("system", f"{platform.system()} {platform.release()}"),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}{_gil()}"),
        ("event loop", f"uvloop {version('uvloop')}" if uvloop else "asyncio"),
        ("SQLite of Python's sqlite3", sqlite3.sqlite_version),
        ("file system of the stores", _file_system(Path(tempfile.gettempdir()).resolve())),
        ("append of 200 bytes and a flush to disk", f"{_flush() * 1e6:.0f} µs (median of 100)"),
        ("load average at the start", ", ".join(f"{load:.2f}" for load in os.getloadavg())),
    ]


def versions(contenders: list[type[Adapter]]) -> list[tuple[str, str]]:
    """Rows of (distribution, version) of what was measured."""
    packages = {package for contender in contenders for package in contender.packages}
    return [(package, version(package)) for package in sorted({*packages, "numpy"})]


def version(package: str) -> str:
    """The version of a distribution, or `absent`."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 0


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"


def _gil() -> str:
    enabled = getattr(sys, "_is_gil_enabled", None)
    return "" if enabled is None or enabled() else ", free-threaded"


def _file_system(directory: Path) -> str:
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    holding = [mount for mount in mounts if directory.is_relative_to(mount[1])]
    return max(holding, key=lambda mount: len(mount[1]))[2] if holding else "unknown"


def _flush() -> float:
    """Seconds for what a durable commit cannot do without."""
    flush = getattr(os, "fdatasync", os.fsync)
    took = []
    with tempfile.TemporaryFile(buffering=0) as file:
        for _ in range(100):
            start = perf_counter()
            file.write(b"x" * 200)
            flush(file.fileno())
            took.append(perf_counter() - start)
    return statistics.median(took)

"""The system's clock is set forward and back by an hour under an open storage: nothing dies at once or lives for ever."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from support import finish, start

HERE = Path(__file__).parent

KINDS = ["memory", "sqlite", "folder", "postgres", "mariadb", "redis", "redis_cluster", "s3"]


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """clock.c, compiled."""
    library = tmp_path_factory.mktemp("clock") / "clock.so"
    compiler = os.environ.get("CC", "cc")
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(library)]
    subprocess.run([*command, str(HERE / "clock.c")], check=True)
    return library


@pytest.mark.parametrize("kind", KINDS)
def test_a_clock_that_jumps(kind: str, clock: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    local = {"memory": "memory://", "sqlite": f"sqlite:{tmp_path}/memory.db", "folder": f"file://{tmp_path}/objects"}
    options = {"url": local[kind]} if kind in local else request.getfixturevalue(kind).options()
    environment = {**os.environ, "LD_PRELOAD": str(clock)}
    out = finish(start("clocks/jumps.py", json.dumps(options), env=environment))
    assert int(out) > 30

"""Storages on a disk that fails, and after power cuts: the short forms of failing.py and power.py, and refusing.py."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from disk import build, run_under
from power import cut

HERE = Path(__file__).parent
SHORT_FORM = {
    "EIO": "mset_of_a_mapping or commits_at_its_end",
    "ENOSPC": "commits_at_its_end",
    "SHORT": "commits_at_its_end",
}


@pytest.mark.parametrize("synchronous", ["full", "normal"])
def test_power_cuts_lose_nothing_that_was_promised(synchronous: str) -> None:
    sums = cut(90, synchronous, seed=7, records=3)
    assert sums["first wrong"] == []
    assert sums["cuts"] == 90
    assert sums["events"] > 1_000


def test_a_disk_that_lies_is_found_out() -> None:
    sums = cut(30, "full", seed=7, records=1, lies=True)
    assert sums["wrong"] > 10


def run_failing(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, str(HERE / "failing.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    sums: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return sums


@pytest.mark.parametrize("error", SHORT_FORM)
def test_the_contract_on_a_failing_disk(error: str) -> None:
    sums = run_failing("--error", error, "-k", SHORT_FORM[error])
    assert sums["failures of the disk"] > 20
    assert sums["ended with an error"] > 5
    assert sums["tests that ended untouched"] == sums["tests"]
    assert sums.get("promises broken", 0) == 0


@pytest.mark.parametrize("error", ["ENOSPC", "EDQUOT", "EROFS", "EIO"])
@pytest.mark.parametrize("kind", ["sqlite", "folder", "large"])
def test_a_disk_that_is_full_or_read_only_for_a_while(kind: str, error: str, tmp_path: Path) -> None:
    done = run_under(build(tmp_path), HERE / "refusing.py", kind, getattr(errno, error))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) >= 4

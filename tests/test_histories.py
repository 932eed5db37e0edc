"""Concurrent clients under faults, on each backend: their histories are linearizable and serialisable.

The short form of tests/histories/run.py, which says what it does; and storages with a planted fault, which it finds.
"""

from __future__ import annotations

import asyncio
import time

import pytest
from histories.places import BACKENDS, place
from histories.planted import PLANTED
from histories.rounds import Report, Rounds

OPERATIONS = 2_000
FAULTS = 3
PATIENCE = 120.0
"""Seconds within which what is looked for has happened."""


def run(backend: str, faults: int, planted: str | None = None) -> Report:
    """Histories of a backend."""

    async def main() -> Report:
        with place(backend) as where:
            return await Rounds(where, planted=planted).run(OPERATIONS, faults)

    return asyncio.run(main())


@pytest.mark.parametrize("backend", BACKENDS)
def test_histories(backend: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        report = run(backend, FAULTS)
        check(report, backend)
        # A client that is killed between two of its calls leaves nothing unknown: then the next one does.
        if backend == "memory" or report.outcomes["unknown"] > 0:
            break
        assert time.monotonic() < deadline, report.outcomes


def check(report: Report, backend: str) -> None:
    """Fails where there is an anomaly, or where nothing was tested."""
    assert report.undecided == 0
    # None of it may be vacuous: calls of every kind, on many keys, most of which did what they were asked to.
    assert report.done >= OPERATIONS
    assert report.outcomes["ok"] >= OPERATIONS * 0.9
    assert report.keys >= 40
    kinds = {"set", "get", "exists", "pop", "set_if_absent", "compare_and_set", "increment"}
    assert kinds <= set(report.kinds)
    assert {"delete", "remove"} & set(report.kinds)
    assert ("transaction" in report.kinds) is (backend not in ("folder", "s3"))
    assert report.faults.total() == FAULTS
    if backend not in ("memory", "folder", "sqlite"):
        assert report.faults["kill server"] == report.faults["pause server"] == 1
    if backend != "memory":
        assert report.faults["kill client"] == 1
    assert report.anomalies == []


def found(backend: str, planted: str, words: str) -> None:
    """Fails unless a fault that was planted is met and told, in words that hold these."""
    deadline = time.monotonic() + PATIENCE
    while not any(words in anomaly for anomaly in run(backend, 0, planted).anomalies):
        assert time.monotonic() < deadline


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_fault_is_found(planted: str) -> None:
    sort = "list" if planted == "transaction" else "counter" if planted == "increment" else "register"
    found("sqlite", planted, f"::{sort}-")


def test_a_fault_of_compare_and_set_in_memory_is_found() -> None:
    found("memory", "compare-and-set", "compare_and_set")

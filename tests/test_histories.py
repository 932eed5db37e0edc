"""Concurrent clients under faults, on each backend: their histories are linearizable and serialisable.

The short form of tests/histories/run.py, which says what it does; and storages with a planted fault, which it finds.
"""

from __future__ import annotations

import asyncio

import pytest
from histories.places import BACKENDS, place
from histories.planted import PLANTED
from histories.rounds import Report, Rounds

OPERATIONS = 2_000
FAULTS = 3


def run(backend: str, faults: int, planted: str | None = None) -> Report:
    """Histories of a backend."""

    async def main() -> Report:
        with place(backend) as where:
            return await Rounds(where, planted=planted).run(OPERATIONS, faults)

    return asyncio.run(main())


@pytest.mark.parametrize("backend", BACKENDS)
def test_histories(backend: str) -> None:
    report = run(backend, FAULTS)
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
        assert report.outcomes["unknown"] > 0
    assert report.anomalies == []


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_fault_is_found(planted: str) -> None:
    report = run("sqlite", 0, planted)
    assert report.anomalies != []
    sort = "list" if planted == "transaction" else "counter" if planted == "increment" else "register"
    assert any(f"::{sort}-" in anomaly for anomaly in report.anomalies)


def test_a_fault_of_compare_and_set_in_memory_is_found() -> None:
    assert any("compare_and_set" in anomaly for anomaly in run("memory", 0, "compare-and-set").anomalies)

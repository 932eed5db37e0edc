"""The harness of tests/soak.py: what stays flat passes, and what leaks is found out. No latency is asserted here."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rrag_storage import connect
from soak import PERIODS, soak
from soaking.load import Load
from soaking.samples import Latencies, Meter, Sample
from soaking.verdict import Bounds, complaints, fifths, table

if TYPE_CHECKING:
    from collections.abc import Callable

LENGTHS = (2.0, 6.0, 18.0)
"""Seconds of a run; a longer one only where a shorter tells too little, as on a busy machine."""

QUIET = Bounds(latency=float("inf"))
"""What a short run on a busy machine can be held to."""


def latencies(seconds: float, many: int = 100) -> dict[str, Latencies]:
    made = Latencies()
    for number in range(many):
        made.add(seconds * (1 + number / many))
    return {"read": made}


def flat(many: int = 20) -> list[Sample]:
    """Samples of a run in which nothing grows."""
    one = Sample(60.0, latencies(0.001), 0, 50_000_000, 20, 6, 30_000_000, 1_000_000, 2_000)
    return [replace(one, seconds=60.0 * number, latencies=latencies(0.001)) for number in range(1, many + 1)]


# The verdict.


def test_flat_is_flat() -> None:
    assert complaints(flat()) == []


def test_what_fills_up_at_the_start_is_no_growth() -> None:
    samples = flat()
    for number in range(3):
        samples[number] = replace(samples[number], rss=20_000_000, file_bytes=1_000_000, descriptors=9)
    assert complaints(samples) == []


@pytest.mark.parametrize(
    ("what", "field", "by"),
    [
        ("resident memory", "rss", 2_500_000),
        ("bytes on the disk", "file_bytes", 2_000_000),
        ("file descriptors", "descriptors", 1),
        ("threads", "threads", 1),
    ],
)
def test_growth_is_found(what: str, field: str, by: int) -> None:
    samples = [replace(each, **{field: getattr(each, field) + by * n}) for n, each in enumerate(flat())]
    (found,) = complaints(samples)
    assert found.startswith(what)


def test_calls_that_get_slower_are_found() -> None:
    samples = [replace(each, latencies=latencies(0.001 * (1 + n / 20))) for n, each in enumerate(flat())]
    assert [found[:3] for found in complaints(samples)] == ["p50", "p95", "p99"]


def test_a_tail_that_gets_longer_is_found() -> None:
    samples = flat()
    for sample in samples[-4:]:
        for _ in range(4):
            sample.latencies["read"].add(1.0)
    assert [found[:3] for found in complaints(samples)] == ["p99"]


def test_a_standstill_is_found() -> None:
    samples = flat()
    samples[7] = replace(samples[7], latencies={})
    assert complaints(samples) == ["a period in which nothing was done"]


def test_fifths() -> None:
    assert [len(part) for part in fifths(flat(12))] == [2, 2, 2, 2, 4]
    with pytest.raises(ValueError, match="at least 5 samples"):
        fifths(flat(4))


def test_quantiles_are_right_within_a_bucket() -> None:
    histogram = Latencies()
    for number in range(1, 1_001):
        histogram.add(number / 1_000)
    for share in (0.5, 0.95, 0.99):
        assert histogram.quantile(share) == pytest.approx(share, rel=0.06)
    assert Latencies().quantile(0.5) == 0
    assert Latencies.together([histogram, histogram]).quantile(0.5) == histogram.quantile(0.5)


# The run.


def run(storage: Any, seconds: float) -> list[Sample]:
    async def main() -> list[Sample]:
        try:
            return await soak(storage, seconds)
        finally:
            await storage.close()

    return asyncio.run(main())


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_short_soak(kind: str, tmp_path: Path) -> None:
    for seconds in LENGTHS:
        url = "memory://" if kind == "memory" else f"sqlite:{tmp_path}/soak-{seconds:g}.db"
        samples = run(connect(url), seconds)
        assert sum(sample.failed for sample in samples) == 0
        calls = sum(sample.calls for sample in samples)
        if len(samples) >= PERIODS and calls > 500 and not complaints(samples, QUIET):
            break
    assert len(samples) >= PERIODS
    assert calls > 500
    assert complaints(samples, QUIET) == []
    assert {name for sample in samples for name in sample.latencies} == {
        step.__name__ for step in Load(None, Meter()).steps
    }
    assert all((sample.file_bytes is None) is (kind == "memory") for sample in samples)
    assert all(sample.keys > 1_000 and sample.rss > 1_000_000 and sample.descriptors > 2 for sample in samples)
    assert len(table(samples).splitlines()) == 2 + len(samples)


class Leaking:
    """A storage that keeps what it shouldn't: a hundred times a second, however fast it is."""

    def __init__(self, storage: Any, leak: Callable[[], Any]) -> None:
        self.storage = storage
        self.leak = leak
        self.kept: list[Any] = []
        self.last = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.storage, name)

    async def get(self, *arguments: Any) -> Any:
        now = time.monotonic()
        if now > self.last + 0.01:
            self.last = now
            self.kept.append(self.leak())
        return await self.storage.get(*arguments)


def complaints_of_a_leak(leak: Callable[[], Any], free: Callable[[Any], None]) -> list[str]:
    """What is said of a storage that leaks."""
    for seconds in LENGTHS:
        storage = Leaking(connect("memory://"), leak)
        try:
            found = complaints(run(storage, seconds), QUIET)
        finally:
            for each in storage.kept:
                free(each)
        if found:
            break
    return found


def test_a_storage_that_leaks_memory_is_found_out() -> None:
    found = complaints_of_a_leak(lambda: b"x" * 1_000_000, lambda _: None)
    assert any(each.startswith("resident memory grew") for each in found)


def test_a_storage_that_leaks_descriptors_is_found_out() -> None:
    found = complaints_of_a_leak(lambda: os.open("/dev/null", os.O_RDONLY), os.close)
    assert any(each.startswith("file descriptors grew") for each in found)


def test_a_load_raises_what_no_storage_may_raise() -> None:
    class Broken(Leaking):
        async def get(self, *_: Any) -> Any:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(Broken(connect("memory://"), int), LENGTHS[0])

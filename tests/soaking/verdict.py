"""Is what a soak measured flat?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .samples import QUANTILES, Latencies

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .samples import Sample

FIFTHS = 5

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Bounds:
    """What is still flat. A figure of the last fifth may exceed that of the second by a share of it and an amount.

    Attributes:
        rss: Of the most resident memory. The allocator's arenas and SQLite's caches fill in their own time.
        file: Of the most bytes on the disk.
        descriptors: Of the most file descriptors.
        threads: Of the most threads.
        latency: What a quantile of the last fifth may be, as a multiple of the first fifth's.
        finest: Latencies that differ by less, in seconds, are the same.
    """

    rss: tuple[float, float] = (0.10, 16 * MEGABYTE)
    file: tuple[float, float] = (0.25, 8 * MEGABYTE)
    descriptors: tuple[float, float] = (0.0, 8)
    threads: tuple[float, float] = (0.0, 4)
    latency: float = 1.5
    finest: float = 0.0002


def fifths(samples: Sequence[Sample]) -> list[list[Sample]]:
    """The samples in five parts of the same length; the rest goes to the last one.

    Raises:
        ValueError: There are fewer than five.
    """
    if len(samples) < FIFTHS:
        raise ValueError(f"a soak needs at least {FIFTHS} samples, and has {len(samples)}")
    size = len(samples) // FIFTHS
    parts = [list(samples[number * size : (number + 1) * size]) for number in range(FIFTHS - 1)]
    return [*parts, list(samples[(FIFTHS - 1) * size :])]


def complaints(samples: Sequence[Sample], bounds: Bounds | None = None) -> list[str]:
    """What is not flat, a sentence each."""
    bounds = bounds or Bounds()
    parts = fifths(samples)
    found = []
    figures: dict[str, tuple[Callable[[Sample], int | None], tuple[float, float]]] = {
        "resident memory": (lambda sample: sample.rss, bounds.rss),
        "bytes on the disk": (lambda sample: sample.file_bytes, bounds.file),
        "file descriptors": (lambda sample: sample.descriptors, bounds.descriptors),
        "threads": (lambda sample: sample.threads, bounds.threads),
    }
    for name, (figure, (share, amount)) in figures.items():
        before, after = _most(parts[1], figure), _most(parts[-1], figure)
        if before is not None and after is not None and after > before * (1 + share) + amount:
            found.append(f"{name} grew from {before:,} in the second fifth to {after:,} in the last")
    for share in QUANTILES:
        first, last = _quantile(parts[0], share), _quantile(parts[-1], share)
        if last > first * bounds.latency and last - first > bounds.finest:
            found.append(f"p{share * 100:g} went from {first * 1000:.2f} ms in the first fifth to {last * 1000:.2f} ms")
    if any(sample.calls == 0 for sample in samples):
        found.append("a period in which nothing was done")
    return found


def _most(samples: Sequence[Sample], figure: Callable[[Sample], int | None]) -> int | None:
    return max((value for value in map(figure, samples) if value is not None), default=None)


def _quantile(samples: Sequence[Sample], share: float) -> float:
    return Latencies.together([each for sample in samples for each in sample.latencies.values()]).quantile(share)


def table(samples: Sequence[Sample]) -> str:
    """The figures of each period, in Markdown."""
    lines = [
        "| minute | calls | failed | p50 ms | p95 ms | p99 ms | RSS MB | fds | threads | disk MB | free MB | keys |",
        "| --- " * 12 + "|",
    ]
    for sample in samples:
        quantiles = " | ".join(f"{_quantile([sample], share) * 1000:.2f}" for share in QUANTILES)
        disk = "–" if sample.file_bytes is None else f"{sample.file_bytes / MEGABYTE:.1f}"
        lines.append(
            f"| {sample.seconds / 60:.1f} | {sample.calls:,} | {sample.failed} | {quantiles} "
            f"| {sample.rss / MEGABYTE:.1f} | {sample.descriptors} | {sample.threads} "
            f"| {disk} | {sample.free_bytes / MEGABYTE:.1f} | {sample.keys:,} |"
        )
    return "\n".join(lines)

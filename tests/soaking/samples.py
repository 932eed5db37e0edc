"""What a soak measures: latencies in bounded memory, and what the process and the storage hold."""

from __future__ import annotations

import math
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE = os.sysconf("SC_PAGE_SIZE")

QUANTILES = (0.5, 0.95, 0.99)


class Latencies:
    """A histogram with buckets that are 5 % apart: however many latencies, the same memory."""

    STEP = math.log(1.05)
    FINEST = 1e-6

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.count = 0

    def add(self, seconds: float) -> None:
        """One more."""
        bucket = int(math.log(max(seconds, self.FINEST) / self.FINEST) / self.STEP)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        self.count += 1

    def quantile(self, share: float) -> float:
        """The latency, in seconds, that so large a share of them doesn't exceed; 0 where there are none."""
        wanted = math.ceil(share * self.count)
        for bucket in sorted(self.buckets):
            wanted -= self.buckets[bucket]
            if wanted <= 0:
                return float(self.FINEST * math.exp((bucket + 1) * self.STEP))
        return 0.0

    @classmethod
    def together(cls, parts: list[Latencies]) -> Latencies:
        """All of several."""
        whole = cls()
        for part in parts:
            whole.count += part.count
            for bucket, count in part.buckets.items():
                whole.buckets[bucket] = whole.buckets.get(bucket, 0) + count
        return whole


@dataclass(frozen=True)
class Sample:
    """One period of a soak.

    Attributes:
        seconds: When it ended, since the start.
        latencies: Of the calls that ended in it, by the sort of call.
        failed: How many calls raised.
        rss: The process's resident memory at its end, in bytes.
        descriptors: How many file descriptors it had.
        threads: How many threads.
        file_bytes: What the storage takes on the disk, log included; None where that can't be known.
        free_bytes: How much of that is free pages.
        keys: How many keys the storage held.
    """

    seconds: float
    latencies: dict[str, Latencies]
    failed: int
    rss: int
    descriptors: int
    threads: int
    file_bytes: int | None
    free_bytes: int
    keys: int

    @property
    def calls(self) -> int:
        """How many calls ended in it."""
        return sum(each.count for each in self.latencies.values())


def process() -> dict[str, int]:
    """What this process holds now: the fields of `Sample` by name."""
    rss = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
    descriptors = len(os.listdir("/proc/self/fd"))
    return {"rss": rss, "descriptors": descriptors, "threads": len(os.listdir("/proc/self/task"))}


async def storage(storage: Any) -> dict[str, int | None]:
    """What the storage holds now: the fields of `Sample` by name."""
    stats = await storage.stats()
    extra = stats.extra
    sizes = [int(extra[name]) for name in ("file_bytes", "wal_bytes") if name in extra]
    free = int(extra.get("free_pages", 0)) * int(extra.get("page_size", 0))
    return {"file_bytes": sum(sizes) if sizes else None, "free_bytes": free, "keys": stats.total_keys}


class Meter:
    """Counts calls while they are made; any thread may."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.take()

    def take(self) -> tuple[dict[str, Latencies], int]:
        """What was counted since the last time."""
        with self.lock:
            taken = getattr(self, "latencies", {}), getattr(self, "failed", 0)
            self.latencies: dict[str, Latencies] = {}
            self.failed = 0
        return taken

    def call(self, sort: str, seconds: float) -> None:
        """A call ended."""
        with self.lock:
            self.latencies.setdefault(sort, Latencies()).add(seconds)

    def failure(self) -> None:
        """A call raised."""
        with self.lock:
            self.failed += 1

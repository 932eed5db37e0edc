"""Where rrag_storage is behind: the same run, looked at from the other side."""

from __future__ import annotations

from adapters.base import DURABILITY, Adapter
from delay import IDLE
from findings import Findings
from tables import digits, table
from threads import COUNTS
from values import KINDS
from workloads import Workload

Loss = tuple[type[Adapter], str, type[Adapter], float]
"""Ours, in what, behind whom, by which factor."""

INTRO = (
    "Every figure of this run in which a contender with the same or a stronger durability did better than rrag_storage, "
    "those included that share objects or block the loop."
)


def losses(suites: dict[str, list[Workload]], found: Findings) -> list[str]:
    """The contenders that beat ours, of the same or a stronger durability."""
    if not any(each.ours for each in found.contenders):
        return ["rrag_storage was not in this run."]
    rows = [loss for suite, workloads in suites.items() for loss in _of_suite(suite, workloads, found)]
    rows += _in_threads(found) + _in_bytes(found)
    if not rows:
        return ["Nowhere in this run."]
    head = ("rrag_storage", "workload", "is behind", "isolation", "blocks the loop", "by ×")
    cells = [
        (
            mine.label.removeprefix("rrag_storage "),
            what,
            other.label,
            other.isolation,
            other.blocks_loop,
            digits(factor),
        )
        for mine, what, other, factor in rows
    ]
    return [INTRO, table(head, cells)]


def _of_suite(suite: str, workloads: list[Workload], found: Findings) -> list[Loss]:
    """In time, and in the event loop's delay."""
    figures: dict[str, dict[str, float | None]] = {
        f"{workload.name}, {KINDS[workload.kind]}": {
            each.name: found.median(each.name, workload.id) for each in found.contenders
        }
        for workload in workloads
    }
    figures["event loop's p99 delay"] = {
        name: delay.p99.median for (of, name), delay in found.delays.items() if of == suite and name != IDLE
    }
    rows = []
    for what, by_name in figures.items():
        for mine in (each for each in found.contenders if each.ours and each.suite == suite):
            for other in (each for each in found.contenders if not each.ours and each.suite == suite):
                as_durable = DURABILITY.index(other.durability) >= DURABILITY.index(mine.durability)
                one, two = by_name.get(mine.name), by_name.get(other.name)
                if as_durable and one and two and two < one:
                    rows.append((mine, what, other, one / two))
    return rows


def _in_threads(found: Findings) -> list[Loss]:
    mine = found.shared.get("rrag-memory", {})
    rows = []
    for count in COUNTS:
        for name, other in found.shared.items():
            if count in mine and count in other and other[count].median < mine[count].median:
                what = f"gets by {count} thread{'s' * (count > 1)}"
                rows.append((found.of("rrag-memory"), what, found.of(name), mine[count].median / other[count].median))
    return rows


def _in_bytes(found: Findings) -> list[Loss]:
    rows = []
    for (name, value), growth in found.growth.items():
        mine = found.growth.get(("rrag-memory", value))
        if mine and growth.bytes_an_entry < mine.bytes_an_entry:
            factor = mine.bytes_an_entry / growth.bytes_an_entry
            rows.append((found.of("rrag-memory"), f"bytes an entry, {value}", found.of(name), factor))
    return rows

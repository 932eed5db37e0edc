"""The parts of the page that stand beside a suite's workloads."""

from __future__ import annotations

import growth
import stored
from delay import IDLE, Delay
from findings import Findings
from tables import cell, digits, name, rates, table
from threads import COUNTS
from values import KINDS


def delays(found: Findings, suite: str) -> list[str]:
    """How late the event loop was beside each contender's writers."""
    rows = [
        (name(each), each.durability, *_delay(found.delays.get((suite, each.name))))
        for each in found.contenders
        if each.suite == suite
    ]
    rows.insert(0, ("the idle loop", "", *_delay(found.delays.get((suite, IDLE)))))
    text = (
        "How much later than due a sleep of 1 ms ends while 100 tasks set 200-byte dicts as fast as they can, and while nothing "
        "else runs (lower is better): the median, the 99th percentile and the worst of a round, which takes 1 s (with --quick "
        "0.2 s). Each task gives way to the others after each set. Beside it the time of one set, of all tasks together (lower "
        "is better)."
    )
    head = ("contender", "class", "p50", "p99", "worst", "one set")
    return ["### The event loop's own delay while 100 tasks write", text, table(head, rows)]


def _delay(delay: Delay | None) -> tuple[str, ...]:
    return (cell(delay.p50), cell(delay.p99), cell(delay.worst), cell(delay.each)) if delay else ("–",) * 4


def threads(found: Findings) -> list[str]:
    """What threads get from one store that they share."""
    rows = []
    for contender in (each for each in found.contenders if each.suite == "memory"):
        taken = found.shared.get(contender.name, {})
        few, many = (taken.get(count) for count in COUNTS)
        row = [name(contender), contender.isolation, rates(few), rates(many)]
        rows.append([*row, digits(few.median / many.median) if few and many else "–"])
    left_out = "".join(
        f" Left out: {each.label}, because {each.one_loop}." for each in found.contenders if each.one_loop
    )
    text = (
        "Gets of 200-byte dicts a second by all threads together (higher is better), one get after another in each thread, and "
        f"the ratio of 4 threads to 1: at 1 they lose nothing by taking turns under the GIL.{left_out}"
    )
    head = ("contender", "class", *(f"{count} thread{'s' * (count > 1)}, gets/s" for count in COUNTS), "ratio")
    return ["### 4 threads with an event loop each, on one store", text, table(head, rows)]


def grown(found: Findings) -> list[str]:
    """Bytes an entry, and prefix listings at two sizes."""
    if not found.growth:
        return []
    any_growth = next(iter(found.growth.values()))
    large, small = f"{any_growth.entries:,}", f"{any_growth.small_entries:,}"
    rows = []
    for contender in (each for each in found.contenders if each.suite == "memory"):
        held = [found.growth.get((contender.name, value)) for value in growth.VALUES]
        row = [name(contender), *(f"{each.bytes_an_entry:.0f}" if each else "–" for each in held)]
        last = found.growth.get((contender.name, growth.LISTED))
        few, many = (last.prefix_small, last.prefix_large) if last else (None, None)
        row += [cell(few), cell(many), digits(many.median / few.median) if few and many else "–"]
        rows.append(row)
    head = (
        "contender",
        *(f"bytes an entry, {value}" for value in growth.VALUES),
        f"of {small}",
        f"of {large}",
        "ratio",
    )
    text = (
        f"Growth of the process, key and value included, at {large} entries, each contender in a process of its own (lower is "
        f"better); and there, for each {growth.LISTED}, the time for the keys of a prefix that 1,000 of {small} and of {large} "
        "keys share (lower is better)."
    )
    return ["### Growth, and prefix listing of 1,000 keys", text, table(head, rows)]


def layers(found: Findings) -> list[str]:
    """The bytes an entry of each contender, and beside them what part of its own plain form that is."""
    rows = []
    for contender in (each for each in found.contenders if each.suite == "layers"):
        row = [name(contender)]
        for kind in stored.KINDS:
            mine = found.stored[contender.name, kind]
            plain = found.stored.get(("-".join([*contender.name.split("-")[:2], "none"]), kind))
            row += [f"{mine:,.0f}", digits(mine / plain) if plain else "–"]
        rows.append(row)
    text = (
        f"What {stored.ENTRIES:,} entries take, keys included: on disk the files after closing, in memory what the store says "
        "that it holds (of py-key-value's MemoryStore the JSON texts alone). Lower is better."
    )
    head = ("contender", *(cell for kind in stored.KINDS for cell in (KINDS[kind], "×none")))
    return ["### Bytes stored for an entry", text, table(head, rows)]

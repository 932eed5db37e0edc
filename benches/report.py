"""The page: the same Markdown on the terminal and in docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import machine
import stored
from adapters import Absent
from adapters.base import DURABILITY, Adapter
from measure import Timing
from values import KINDS
from wanted import Findings, Verdict, verdicts
from workloads import Workload

INTRO = """\
`python benches/run.py` wrote this page. It measures rrag_storage and its peers in one run, on one machine, with the same
calls and the same values. Times differ by 2× and more between machines and between runs; the ratios within a run carry over
better.

- All contenders of a suite are open at once, each in a directory or a database of its own, and take turns, round by round, in
  an order that changes. A figure is the median of the rounds; in parentheses the quickest and the slowest round. A round runs
  each call as often as fits into {target:.0f} ms, after a warm-up. Garbage is collected before each sample and not during it.
- A time is that of one operation. ×floor is its ratio to the floor of its class: the dict for contenders that share objects,
  dict + pickle for those in memory that isolate, raw sqlite3 of the same durability on disk, a driver's one connection on a
  SQL server, redis-py, obstore; in the suite on layers, rrag_storage without any.
- Each set writes a value that differs from the stored one. Answers are compared with what was stored, outside the timed part,
  in every round; so is whether a contender isolates as it says.
- *Sharing*: the store hands out the caller's own object, so that changing it changes what is stored. *Isolating*: it keeps a
  copy. *Blocks the loop*: calls are done in the event loop's thread, and nothing else runs there while they wait for the
  disk; *short gets*: rrag_storage reads up to 8 keys of up to 64 KiB that way, everything else on threads of its own.
- Durability, weakest first: *none*, gone with the process, or with the server's; *os-buffer*, survives the process;
  *WAL NORMAL*, survives the process, and a power cut up to the last checkpoint, never inconsistent; *fsync*, survives a power cut.
- Servers are private to the run, on the loopback, with their own defaults for durability, except that Redis takes no
  snapshots. The object store is a stub that answers at once: what is compared is the clients.
- Stores of JSON objects take a str or a vector as the one field of a dict, a vector as a list of numbers; SQLite by hand keeps
  pickles. "–": the contender has no such call."""

WANTED = """\
The goals of this version, as ratios of medians. Where the ratio of the quickest rounds is far from it, the machine was busy
and the run is worth little."""


@dataclass(frozen=True)
class Run:
    """A run: how it was started, and what it found."""

    command: str
    suites: dict[str, list[Workload]]
    found: Findings
    absent: list[Absent]
    machine: list[tuple[str, str]]
    rounds: int
    target: float
    sizes: Sequence[int]


def page(run: Run) -> str:
    """The whole page."""
    parts = [
        "# Benchmarks",
        INTRO.format(target=run.target * 1e3),
        "## This run",
        f"```sh\npip install . -r benches/requirements.txt\n{run.command}\n```",
        f"{run.rounds} rounds.",
        table(("", ""), run.machine),
        table(("package", "version"), machine.versions(run.found.contenders)),
        "## Contenders",
        _contenders(run.found.contenders),
        *(f"Absent, because it can't be imported: `{each.module}` ({each.reason})." for each in run.absent),
        "## Wanted and measured",
        WANTED,
        _wanted(verdicts(list(run.suites), run.found)),
    ]
    for suite, workloads in run.suites.items():
        parts += [f"## Suite {suite}", *_tables(suite, workloads, run.found)]
        if suite == "memory":
            parts += _growth(run.found, run.sizes)
        if suite == "layers":
            parts += _stored(run.found)
    parts += ["## Where rrag_storage is slower", *_losses(run.suites, run.found)]
    if run.found.results.failures:
        parts += ["## What failed", "\n".join(f"- {failure}" for failure in run.found.results.failures)]
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns line up; all but the first are set to the right where they hold figures."""
    right = [index > 0 and all(_is_figure(row[index]) for row in rows) for index in range(len(head))]
    widths = [max(3, *(len(row[index]) for row in (head, *rows))) for index in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(cells, widths, right, strict=True)
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * (width - 1) + ":" if flush else "-" * width for width, flush in zip(widths, right, strict=True)]
    return "\n".join([line(head), line(rule), *(line(row) for row in rows)])


def time(seconds: float) -> str:
    """Seconds in µs or ms."""
    scale, unit = _scale(seconds)
    return f"{digits(seconds * scale)} {unit}"


def digits(value: float) -> str:
    """A figure, to about three digits."""
    places = next((places for places, bound in ((3, 0.9995), (2, 9.995), (1, 99.95)) if value < bound), 0)
    return f"{value:.{places}f}"


def _scale(seconds: float) -> tuple[float, str]:
    return (1e6, "µs") if seconds < 0.9995e-3 else (1e3, "ms")


def _is_figure(cell: str) -> bool:
    return cell[:1].isdigit() or cell in {"–", ""}


def cell(timing: Timing | None) -> str:
    """A median with its quickest and slowest round."""
    if timing is None:
        return "–"
    scale, _ = _scale(timing.median)
    return f"{time(timing.median)} ({digits(timing.low * scale)}–{digits(timing.high * scale)})"


def _name(contender: type[Adapter]) -> str:
    return f"**{contender.label}**" if contender.ours else contender.label


def _contenders(contenders: list[type[Adapter]]) -> str:
    rows = [
        (_name(each), each.suite, each.isolation, each.durability, each.blocks_loop, each.name) for each in contenders
    ]
    return table(("contender", "suite", "isolation", "durability", "blocks the loop", "`--only`"), rows)


def _wanted(rows: list[Verdict]) -> str:
    def figure(row: Verdict, value: float | None) -> str:
        return "–" if value is None else f"{digits(value)}{row.unit}"

    return table(
        ("wanted", "of", "at most", "measured", "quickest rounds", ""),
        [
            (
                row.what,
                row.against,
                f"{row.limit:g}{row.unit}",
                figure(row, row.measured),
                figure(row, row.quickest),
                row.text,
            )
            for row in rows
        ],
    )


def _tables(suite: str, workloads: list[Workload], found: Findings) -> list[str]:
    """A table for each pair of a reading and a writing workload: they come in that order."""
    parts = []
    for one, two in zip(workloads[::2], workloads[1::2], strict=True):
        rows = []
        for contender in (each for each in found.contenders if each.suite == suite):
            row = [_name(contender), contender.isolation if suite == "memory" else contender.durability]
            for workload in (one, two):
                timing = found.timing(contender.name, workload.id)
                floor = found.median(contender.floor, workload.id)
                row += [cell(timing), digits(timing.median / floor) if timing and floor else "–"]
            rows.append(row)
        kind = "" if one.call == "keys" else f": {KINDS[one.kind]}"
        head = ("contender", "class", one.name, "×floor", two.name, "×floor")
        parts += [f"### {one.title}; {two.title}{kind}", table(head, rows)]
    return parts


def _growth(found: Findings, sizes: Sequence[int]) -> list[str]:
    if not found.growth:
        return []
    any_growth = next(iter(found.growth.values()))
    large, small = f"{any_growth.entries:,}", f"{any_growth.small_entries:,}"
    rows = []
    for contender in (each for each in found.contenders if each.suite == "memory"):
        of_sizes = [found.growth.get((contender.name, size)) for size in sizes]
        row = [_name(contender), *(f"{each.bytes_an_entry:.0f}" if each else "–" for each in of_sizes)]
        last = of_sizes[-1]
        few, many = (last.prefix_small, last.prefix_large) if last else (None, None)
        row += [cell(few), cell(many), digits(many.median / few.median) if few and many else "–"]
        rows.append(row)
    head = ("contender", *(f"bytes an entry, {size} B str" for size in sizes), f"of {small}", f"of {large}", "ratio")
    text = (
        f"Growth of the process, key and value included, at {large} entries, each contender in a process of its own; and "
        f"there, the keys of a prefix that 1,000 of {small} and of {large} keys share."
    )
    return ["### Growth, and prefix listing of 1,000 keys", text, table(head, rows)]


def _stored(found: Findings) -> list[str]:
    """The bytes an entry of each contender, and beside them what part of its own plain form that is."""
    rows = []
    for contender in (each for each in found.contenders if each.suite == "layers"):
        row = [_name(contender)]
        for kind in stored.KINDS:
            mine = found.stored[contender.name, kind]
            plain = found.stored.get(("-".join([*contender.name.split("-")[:2], "none"]), kind))
            row += [f"{mine:,.0f}", digits(mine / plain) if plain else "–"]
        rows.append(row)
    text = (
        f"What {stored.ENTRIES:,} entries take, keys included: on disk the files after closing, in memory what the store says "
        "that it holds (of py-key-value's MemoryStore the JSON texts alone)."
    )
    head = ("contender", *(cell for kind in stored.KINDS for cell in (KINDS[kind], "×none")))
    return ["### Bytes stored for an entry", text, table(head, rows)]


def _losses(suites: dict[str, list[Workload]], found: Findings) -> list[str]:
    """The contenders that beat ours, of the same or a stronger durability."""
    rows: list[tuple[type[Adapter], Workload | str, type[Adapter], float]] = []
    for suite, workloads in suites.items():
        ours = [each for each in found.contenders if each.ours and each.suite == suite]
        others = [each for each in found.contenders if not each.ours and each.suite == suite]
        for workload in workloads:
            for mine in ours:
                time_of_mine = found.median(mine.name, workload.id)
                for other in others:
                    as_durable = DURABILITY.index(other.durability) >= DURABILITY.index(mine.durability)
                    time_of_other = found.median(other.name, workload.id)
                    if as_durable and time_of_mine and time_of_other and time_of_other < time_of_mine:
                        rows.append((mine, workload, other, time_of_mine / time_of_other))
    for (name, size), growth in found.growth.items():
        mine_growth = found.growth.get(("rrag-memory", size))
        if mine_growth and growth.bytes_an_entry < mine_growth.bytes_an_entry:
            factor = mine_growth.bytes_an_entry / growth.bytes_an_entry
            what = f"bytes an entry, {size} B str"
            rows.append((_contender(found, "rrag-memory"), what, _contender(found, name), factor))
    if not any(each.ours for each in found.contenders):
        return ["rrag_storage was not in this run."]
    if not rows:
        return ["Nowhere in this run."]
    intro = (
        "Every figure of this run in which a contender with the same or a stronger durability did better than rrag_storage, "
        "those included that share objects or block the loop."
    )
    return [
        intro,
        table(
            ("rrag_storage", "workload", "is slower than", "isolation", "blocks the loop", "by ×"),
            [
                (
                    mine.label.removeprefix("rrag_storage "),
                    f"{workload.name}, {KINDS[workload.kind]}" if isinstance(workload, Workload) else workload,
                    other.label,
                    other.isolation,
                    other.blocks_loop,
                    digits(factor),
                )
                for mine, workload, other, factor in rows
            ],
        ),
    ]


def _contender(found: Findings, name: str) -> type[Adapter]:
    return next(each for each in found.contenders if each.name == name)

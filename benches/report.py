"""The page: the same Markdown on the terminal and in docs/benchmarks.md."""

from __future__ import annotations

from dataclasses import dataclass

import machine
import sections
from adapters import Absent
from adapters.base import Adapter
from findings import Findings
from losses import losses
from tables import cell, digits, name, table
from values import KINDS
from wanted import Verdict, verdicts
from workloads import Workload

INTRO = """\
`python benches/run.py` wrote this page. It measures rrag_storage and its peers in one run, on one machine, with the same
calls and the same values. Times differ by 2× and more between machines and between runs; the ratios within a run carry over
better.

- All contenders of a suite are open at once, each in a directory or a database of its own, and take turns, round by round, in
  an order that changes. A figure is the median of the rounds; in parentheses the quickest and the slowest round. A round runs
  each call as often as fits into {target:.0f} ms, after a warm-up. Garbage is collected before each sample and not during it.
- A time is that of one operation: lower is better, here and wherever a table does not say that higher is. ×floor is its ratio to the floor of its class: the dict for contenders that share objects,
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
The goals of this version, of medians: ≤, lower is better; ≥, higher is better. Where the figure of the quickest rounds is far from it, the machine was busy
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
        if any(of == suite for of, _ in run.found.delays):
            parts += sections.delays(run.found, suite)
        if run.found.shared and suite == "memory":
            parts += sections.threads(run.found)
        if suite == "memory":
            parts += sections.grown(run.found)
        if suite == "layers":
            parts += sections.layers(run.found)
    parts += ["## Where rrag_storage is behind", *losses(run.suites, run.found)]
    if run.found.results.failures:
        parts += ["## What failed", "\n".join(f"- {failure}" for failure in run.found.results.failures)]
    return "\n\n".join(parts) + "\n"


def _contenders(contenders: list[type[Adapter]]) -> str:
    rows = [
        (name(each), each.suite, each.isolation, each.durability, each.blocks_loop, each.name) for each in contenders
    ]
    return table(("contender", "suite", "isolation", "durability", "blocks the loop", "`--only`"), rows)


def _wanted(rows: list[Verdict]) -> str:
    def figure(row: Verdict, value: float | None) -> str:
        return "–" if value is None else f"{digits(value)}{row.unit}"

    return table(
        ("figure", "of", "wanted", "measured", "quickest rounds", ""),
        [
            (
                row.what,
                row.against,
                f"{'≥' if row.at_least else '≤'} {row.limit:g}{row.unit}",
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
            row = [name(contender), contender.isolation if suite == "memory" else contender.durability]
            for workload in (one, two):
                timing = found.timing(contender.name, workload.id)
                floor = found.median(contender.floor, workload.id)
                row += [cell(timing), digits(timing.median / floor) if timing and floor else "–"]
            rows.append(row)
        kind = "" if one.call == "keys" else f": {KINDS[one.kind]}"
        head = ("contender", "class", one.name, "×floor", two.name, "×floor")
        parts += [f"### {one.title}; {two.title}{kind}", table(head, rows)]
    return parts

"""Measures rrag_storage and its peers in one interleaved run.

    pip install -r benches/requirements.txt
    python benches/run.py --suite all --write docs/benchmarks.md

prints the page, and writes it where told. Stores on disk lie in the system's directory for temporary files: TMPDIR chooses
another, which should not be in memory. The exit status says whether all answers were right, never how fast they came.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

import adapters
import delay
import growth
import loops
import machine
import report
import servers
import stored
import threads
from adapters.base import Adapter
from findings import Findings
from measure import Results, progress, run_stage
from workloads import Workload, stages

SUITES = ("memory", "disk", "layers", *servers.SERVERS)
SMALL = 10_000


def main() -> int:
    """Parse the command line, measure, report."""
    options = parse()
    surroundings = machine.describe(uvloop=options.uvloop)
    results = Results()
    contenders: list[type[Adapter]] = []
    absent: list[adapters.Absent] = []
    ran: dict[str, list[Workload]] = {}
    grown: dict[tuple[str, str], growth.Growth] = {}
    delays: dict[tuple[str, str], delay.Delay] = {}
    shared: threads.Shared = {}
    held: stored.Stored = {}
    for suite in SUITES if options.suite == "all" else (options.suite,):
        found, unavailable = adapters.load(suite)
        absent += unavailable
        chosen = [each for each in found if not options.only or each.name in options.only]
        plan = stages(suite, options.listing)
        try:
            with servers.running(suite) as server:
                if server is not None:
                    surroundings.append((f"server of suite {suite}", server.version()))
                for stage in plan:
                    measuring = run_stage(chosen, stage, server, options.rounds, options.target, results)
                    loops.run(measuring, uvloop=options.uvloop)
                if suite != "layers":
                    delays |= measure_delays(suite, chosen, server, options, results)
        except servers.Missing as missing:
            absent.append(adapters.Absent(f"suite {suite}", f"no program {missing}"))
            continue
        contenders += chosen
        ran[suite] = [workload for stage in plan for workload in stage]
        if suite == "memory":
            sharing = threads.measure(chosen, options.rounds, options.target, results.failures, uvloop=options.uvloop)
            shared = loops.run(sharing, uvloop=options.uvloop)
            grown = measure_growth(chosen, options, results)
        if suite == "layers":
            held = loops.run(stored.measure(chosen), uvloop=options.uvloop)
    if unknown := set(options.only or ()) - {each.name for each in contenders}:
        print(f"--only: no such contender in this suite, or absent: {', '.join(sorted(unknown))}", file=sys.stderr)
    progress("")
    for each in absent:
        print(f"absent: {each.module}: {each.reason}", file=sys.stderr)
    run = report.Run(
        command=shlex.join(["python", "benches/run.py", *sys.argv[1:]]),
        suites=ran,
        found=Findings(contenders, results, grown, held, delays, shared, options.listing),
        absent=absent,
        machine=surroundings,
        rounds=options.rounds,
        target=options.target,
    )
    text = report.page(run)
    print(text)
    if options.write:
        options.write.write_text(text)
    return 1 if results.failures or unknown else 0


def parse() -> argparse.Namespace:
    """The command line, completed by what --quick stands for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--suite", choices=(*SUITES, "all"), default="all")
    parser.add_argument("--rounds", type=int, help="samples of each figure (25; with --quick 3)")
    parser.add_argument("--quick", action="store_true", help="short samples and small stores: to see that it runs")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="contenders, by the names in the page's table of them"
    )
    parser.add_argument("--uvloop", action="store_true", help="run on uvloop instead of asyncio's own loop")
    parser.add_argument("--write", type=Path, metavar="PATH", help="write the page there too")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 25)
    options.target = 0.005 if options.quick else 0.015
    options.delay = 0.2 if options.quick else 1.0
    options.listing = 10_000 if options.quick else 100_000
    options.entries = 100_000 if options.quick else 1_000_000
    return options


def measure_delays(
    suite: str,
    contenders: list[type[Adapter]],
    server: servers.Server | None,
    options: argparse.Namespace,
    results: Results,
) -> dict[tuple[str, str], delay.Delay]:
    """The event loop's delay beside each contender of a suite, and idle, by suite and name."""
    rounds = min(options.rounds, delay.ROUNDS)
    measuring = delay.measure(contenders, server, rounds, options.delay, results.failures)
    return {(suite, name): found for name, found in loops.run(measuring, uvloop=options.uvloop).items()}


def measure_growth(
    contenders: list[type[Adapter]], options: argparse.Namespace, results: Results
) -> dict[tuple[str, str], growth.Growth]:
    """Growth of each contender in memory, by name and by what it is filled with."""
    grown: dict[tuple[str, str], growth.Growth] = {}
    for value in growth.VALUES:
        for contender in contenders:
            progress(f"growth of {contender.name}, {value}")
            found = growth.measure(contender.name, options.entries, SMALL, value, options.rounds, uvloop=options.uvloop)
            if isinstance(found, str):
                results.failures.append(f"{contender.name}, growth, {value}: {found}")
            else:
                grown[contender.name, value] = found
    return grown


if __name__ == "__main__":
    sys.exit(main())

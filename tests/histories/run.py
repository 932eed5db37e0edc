"""Histories of one backend under faults: `python tests/histories/run.py --backend sqlite --operations 1000000 --faults 50`.

Prints a table of figures, and the anomalies with the calls that show them. Exits with 1 where there are any, where a key
could not be decided, or where less was done than asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])

from histories.places import BACKENDS, place
from histories.planted import PLANTED
from histories.rounds import Report, Rounds


def arguments() -> argparse.Namespace:
    """The command line's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=BACKENDS, default="sqlite")
    parser.add_argument("--operations", type=int, default=1_000_000, help="calls that did not fail, at least")
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lossy", action="store_true", help="answers of the server get lost as well")
    parser.add_argument("--planted", choices=list(PLANTED), help="a fault of the storage, which has to be found")
    return parser.parse_args()


def table(backend: str, report: Report) -> str:
    """The figures, in Markdown."""
    rows = {
        "backend": backend,
        "operations": f"{report.outcomes.total():,}",
        "ok": f"{report.outcomes['ok']:,}",
        "failed, nothing changed": f"{report.outcomes['failed']:,}",
        "outcome unknown": f"{report.outcomes['unknown']:,}",
        "of them transactions": f"{report.kinds['transaction']:,}",
        "faults": f"{report.faults.total()}: " + ", ".join(f"{n} × {each}" for each, n in report.faults.items()),
        "keys": f"{report.keys:,}",
        "rounds": f"{report.rounds:,}",
        "seconds": f"{report.seconds:.0f}",
        "of them checking": f"{report.checking:.0f}",
        "keys without a verdict": f"{report.undecided}",
        "anomalies": f"{len(report.anomalies)}",
    }
    width = max(map(len, rows))
    return "\n".join(f"| {name:{width}} | {value} |" for name, value in rows.items())


def progress(report: Report) -> None:
    """A line on stderr now and then."""
    if report.rounds % 10 == 1:
        print(f"{report.done:,} operations, {report.faults.total()} faults, {report.seconds:.0f} s", file=sys.stderr)


async def main() -> int:
    """The exit code."""
    asked = arguments()
    with place(asked.backend, lossy=asked.lossy) as where:
        rounds = Rounds(where, seed=asked.seed, planted=asked.planted)
        report = await rounds.run(asked.operations, asked.faults, progress)
    print(table(asked.backend, report))
    for anomaly in report.anomalies[:20]:
        print(f"\n{anomaly}")
    done = report.done >= asked.operations and report.faults.total() >= asked.faults
    return 0 if done and not report.anomalies and not report.undecided else 1


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))

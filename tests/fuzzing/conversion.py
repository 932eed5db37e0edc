"""Bytes as Python objects and as exports: `python tests/fuzzing/conversion.py -max_total_time=600`.

With atheris installed (`pip install atheris`) it is a fuzzer guided by the coverage of the package's Python, with the
options of libFuzzer. Without it inputs are made by chance: `-max_total_time`, `-runs` and `-seed` are its options.
"""

from __future__ import annotations

import random
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])

try:
    import atheris
except ImportError:
    atheris = None

if TYPE_CHECKING:
    from fuzzing.checks import Checks

LONGEST = 400


def by_chance(checks: Checks, *, runs: float, seconds: float, seed: int) -> int:
    """Gives `checks` inputs of chance until one of the two is reached; how many it gave."""
    rng = random.Random(seed)
    end, made = time.monotonic() + seconds, 0
    while made < runs and time.monotonic() < end:
        data = rng.randbytes(rng.randrange(LONGEST))
        try:
            checks.one_input(data)
        except BaseException:
            print(f"the input was {data!r}", file=sys.stderr)
            raise
        made += 1
    return made


def main() -> None:
    """Runs until something is found or the time is over."""
    include = ["rrag_storage.cli", "rrag_storage.testing", "fuzzing"]
    with atheris.instrument_imports(include=include) if atheris else nullcontext():
        from fuzzing.checks import opened
    with opened() as checks:
        if atheris:
            atheris.Setup(sys.argv, checks.one_input)
            atheris.Fuzz()
        else:
            options = dict(option.lstrip("-").split("=", 1) for option in sys.argv[1:])
            seconds = float(options.get("max_total_time", "inf"))
            runs, seed = float(options.get("runs", "inf")), int(options.get("seed", "1"))
            made = by_chance(checks, runs=runs, seconds=seconds, seed=seed)
            print(f"{made} executions", checks.counts)


if __name__ == "__main__":
    main()

"""Counts the instructions of a call from Python, which do not depend on how busy a machine is.

    python benches/instructions.py            # beside those in instructions.json
    python benches/instructions.py --write    # and into it

needs valgrind, and the release build of rrag_storage in the Python that runs it. Each loop runs with two numbers of calls;
the difference, a call, leaves the start of the interpreter out. All threads count, those of SQLite too. The figures hold
for one machine's libraries and one Python: compare within them.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
from pathlib import Path

RECORD = Path(__file__).with_name("instructions.json")
FEW, MANY = 2_000, 12_000

LOOP = """
import asyncio, sys, tempfile
from rrag_storage import DatabaseStorage, InMemoryStorage

async def awaited_dict(found={{}}):
    return found

async def main(count, folder):
    memory = InMemoryStorage()
    sqlite = DatabaseStorage(f"sqlite:{{folder}}/memory.db", synchronous="normal")
    text, document = "x" * 32, {{"text": "x" * 140, "source": "manual.md", "page": 7, "score": 0.25}}
    storage = {storage}
    if storage is not None:
        await storage.mset({{"text": text, "document": document}})
    for number in range(count):
        await {call}
    await sqlite.close()

with tempfile.TemporaryDirectory() as folder:
    asyncio.run(main(int(sys.argv[1]), folder))
"""

CALLS = {
    "an async def that returns": ("None", "awaited_dict()"),
    "in memory: get of a 32-byte str": ("memory", 'memory.get("text")'),
    "in memory: set of a 32-byte str": ("memory", 'memory.set("text", text)'),
    "in memory: get of a 200-byte dict": ("memory", 'memory.get("document")'),
    "in memory: set of a 200-byte dict": ("memory", 'memory.set("document", document)'),
    "SQLite: get of a 200-byte dict": ("sqlite", 'sqlite.get("document")'),
    "SQLite: set of a 200-byte dict": ("sqlite", 'sqlite.set("document", document)'),
    "SQLite: a set and a get in one gather": (
        "sqlite",
        'asyncio.gather(sqlite.set("other", document), sqlite.get("document"))',
    ),
}


def instructions(storage: str, call: str, count: int) -> int:
    """How many a process executes that makes so many calls."""
    loop = LOOP.format(storage=storage, call=call)
    program = [sys.executable, "-c", loop, str(count)]
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    done = subprocess.run([*valgrind, *program], capture_output=True, text=True, check=False)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or found is None:
        raise SystemExit(f"{call} failed:\n{done.stderr[-2000:]}")
    return int(found[1])


def main() -> None:
    """Count, compare, and record where asked to."""
    parser = argparse.ArgumentParser(description="Instructions of a call.")
    parser.add_argument("--write", action="store_true", help=f"record the figures in {RECORD.name}")
    options = parser.parse_args()
    recorded = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {"calls": {}}
    found = {}
    for name, (storage, call) in CALLS.items():
        counted = (instructions(storage, call, MANY) - instructions(storage, call, FEW)) // (MANY - FEW)
        found[name] = counted
        before = recorded["calls"].get(name)
        change = f"{counted / before - 1:+.1%} of {before:,} recorded" if before else "not recorded"
        print(f"{name:42} {counted:>9,}  {change}", flush=True)
    if options.write:
        record = {"python": platform.python_version(), "machine": platform.machine(), "calls": found}
        RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

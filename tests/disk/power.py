"""Power cuts: what a SQLite file holds after one, at any moment, with any part lost of what was not synced.

    python tests/disk/power.py [--cuts 10000] [--synchronous full|normal] [--seed N]

A process writes and has each acknowledged write noted between what reaches the disk. A cut is a moment in that record: what
was synced by then is there, and of the rest, file by file, any subset, the last of it torn at a sector's edge. The files are
made so, opened, and must hold exactly what they held after some number of the writes, one after the other as they were
made; with `full` no fewer than were acknowledged. The last line is a sum in JSON.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import shutil
import sqlite3
import struct
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from disk import Disk, build, run_under
from rrag_storage import DatabaseStorage, StorageError

SECTOR = 512
EVENT = struct.Struct("<cBqI")
NAME = "storage.db"
RECORDS = 20
"""So many records are made; each has the same number of cuts."""


@dataclass(frozen=True)
class Event:
    """A write, a truncation, a sync or a removal of a file, or a mark."""

    kind: str
    name: str
    offset: int
    data: bytes


def write_for_ever(folder: Path, record: Path, synchronous: str, seed: int, writes: int) -> None:
    """The process that is cut off: its writes are those of `steps`."""
    disk = Disk(folder)
    disk.record(record)
    storage = DatabaseStorage(f"sqlite:{folder / NAME}", synchronous=synchronous).sync
    for number, step in enumerate(steps(seed, writes), start=1):
        step.do(storage)
        disk.mark(number)
    if seed % 2:
        storage.close()
        disk.mark(writes)


@dataclass(frozen=True)
class Step:
    """A write: of several keys in one step, of which `None` deletes, or of everything."""

    values: dict[str, Any]
    clears: bool

    def do(self, storage: Any) -> None:
        if self.clears:
            storage.clear()
            return
        with storage.transaction() as tx:
            for key, value in self.values.items():
                if value is None:
                    tx.delete(key)
                else:
                    tx.set(key, value)

    def follow(self, held: dict[str, Any]) -> None:
        if self.clears:
            held.clear()
            return
        for key, value in self.values.items():
            held.pop(key, None)
            if value is not None:
                held[key] = value


def steps(seed: int, count: int) -> list[Step]:
    """The writes of a record: small and large values, overwritten and deleted, everything cleared now and then."""
    choice = random.Random(seed)
    made = []
    for number in range(1, count + 1):
        keys = choice.sample([f"space-{key % 3}::{key}" for key in range(40)], choice.randint(1, 8))
        size = choice.choice([10, 10, 300, 5_000, 60_000])
        values: dict[str, Any] = {key: [number, f"{number} " * (size // 4)] for key in keys}
        for key in choice.sample(keys, len(keys) // 4):
            values[key] = None
        made.append(Step(values, clears=number % 37 == 0))
    return made


def read_record(path: Path) -> list[Event]:
    """The events, in their order."""
    data, at, events = path.read_bytes(), 0, []
    while at < len(data):
        kind, named, offset, length = EVENT.unpack_from(data, at)
        at += EVENT.size
        name = data[at : at + named].decode()
        at += named
        body = data[at : at + length] if kind == b"w" else b""
        at += len(body)
        events.append(Event(kind.decode(), name, offset, body))
    return events


def after_cut(events: list[Event], choice: random.Random) -> tuple[dict[str, bytearray], int]:
    """The files as a power cut after `events` leaves them, and the last mark before it."""
    files: dict[str, bytearray] = {}
    unsynced: dict[str, list[Event]] = collections.defaultdict(list)
    # Removed files that may be there again, as their last sync left them. A file system with a journal, as ext4 and XFS are,
    # makes a removal durable with the next sync of any file.
    removed: dict[str, bytearray] = {}
    mark = 0
    for event in events:
        if event.kind == "m":
            mark = event.offset
        elif event.kind == "s":
            removed.clear()
            for done in unsynced.pop(event.name, []):
                apply(files, done)
        elif event.kind == "u":
            unsynced.pop(event.name, None)
            if event.name in files:
                removed[event.name] = files.pop(event.name)
        else:
            unsynced[event.name].append(event)
    for name, data in removed.items():
        if choice.random() < 0.5 and name not in files and name not in unsynced:
            files[name] = data
    for name, pending in unsynced.items():
        if name.endswith("-shm"):
            continue
        how = choice.choice(["none", "all", "first", "any"])
        kept = {
            "none": [],
            "all": pending,
            "first": pending[: choice.randint(0, len(pending))],
            "any": [event for event in pending if choice.random() < 0.5],
        }[how]
        for event in kept:
            apply(files, event)
        if kept and kept[-1].kind == "w" and choice.random() < 0.5:
            torn = kept[-1]
            length = choice.randint(0, len(torn.data) // SECTOR) * SECTOR
            rest = len(torn.data) - length
            files[name][torn.offset + length : torn.offset + len(torn.data)] = bytes(rest)
    return {name: data for name, data in files.items() if not name.endswith("-shm")}, mark


def apply(files: dict[str, bytearray], event: Event) -> None:
    """Does what an event says."""
    data = files.setdefault(event.name, bytearray())
    if event.kind == "t":
        del data[event.offset :]
        data.extend(bytes(event.offset - len(data)))
    else:
        data.extend(bytes(max(0, event.offset - len(data))))
        data[event.offset : event.offset + len(event.data)] = event.data


def held_after(writes: list[Step]) -> list[dict[str, Any]]:
    """What is held after none, the first, the second ... of the writes."""
    held: dict[str, Any] = {}
    states = [dict(held)]
    for step in writes:
        step.follow(held)
        states.append(dict(held))
    return states


def check(
    folder: Path, files: dict[str, bytearray], states: list[dict[str, Any]], mark: int, *, full: bool
) -> str | None:
    """What is wrong with these files; None where nothing is."""
    for old in folder.iterdir():
        old.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    storage = DatabaseStorage(f"sqlite:{folder / NAME}").sync
    try:
        found = dict(storage.items())
        counted = storage.count()
    except StorageError as error:
        return f"it can't be read: {error}"
    finally:
        storage.close()
    # Several numbers of writes may leave the same: the newest is meant.
    at = next((number for number in reversed(range(len(states))) if states[number] == found), None)
    if at is None:
        return f"it holds what it never held: {sorted((key, value[0]) for key, value in found.items())}"
    if full and at < mark:
        return f"it holds what {at} writes left, but {mark} were acknowledged"
    if counted != len(found):
        return f"count() says {counted} of {len(found)}"
    with closing(sqlite3.connect(folder / NAME)) as connection:
        integrity = connection.execute("PRAGMA integrity_check").fetchall()
    return None if integrity == [("ok",)] else f"integrity: {integrity}"


def cut(
    cuts: int, synchronous: str, seed: int, *, records: int = RECORDS, writes: int = 60, lies: bool = False
) -> dict[str, Any]:
    """Makes `records` records and cuts each; the sum. A disk that `lies` keeps nothing when it is told to sync."""
    choice = random.Random(seed)
    sums: dict[str, Any] = {"synchronous": synchronous, "records": records, "cuts": 0, "events": 0}
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="rrag-power-") as name:
        folder = Path(name).resolve()
        library = build(folder)
        for number in range(records):
            data, record, again = folder / f"data-{number}", folder / f"record-{number}", folder / f"again-{number}"
            data.mkdir()
            again.mkdir()
            of = seed * 1_000 + number
            done = run_under(library, Path(__file__), "--write", data, record, synchronous, of, writes)
            if done.returncode:
                raise RuntimeError(done.stderr)
            events, states = read_record(record), held_after(steps(of, writes))
            if lies:
                events = [event for event in events if event.kind != "s"]
            sums["events"] += len(events)
            for _ in range(cuts // records):
                at = choice.randint(1, len(events))
                files, mark = after_cut(events[:at], choice)
                sums["cuts"] += 1
                if said := check(again, files, states, mark, full=synchronous == "full"):
                    wrong.append(f"seed {of}, after {at} of {len(events)} events: {said}"[:500])
            shutil.rmtree(data)
    return {**sums, "wrong": len(wrong), "first wrong": wrong[:3]}


def main() -> int:
    """Run, and print the sum."""
    if sys.argv[1:2] == ["--write"]:
        data, record, synchronous, seed, writes = sys.argv[2:]
        write_for_ever(Path(data), Path(record), synchronous, int(seed), int(writes))
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cuts", type=int, default=10_000)
    parser.add_argument("--synchronous", choices=["full", "normal"], default="full")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    sums = cut(options.cuts, options.synchronous, options.seed)
    print(json.dumps(sums))
    return 1 if sums["wrong"] or not sums["cuts"] else 0


if __name__ == "__main__":
    sys.exit(main())

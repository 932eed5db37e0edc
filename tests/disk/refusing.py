"""Storages of one kind on a disk that refuses to write for a while; started with the disk preloaded.

    refusing.py sqlite|folder|large ERRNO

Prints how many writes were refused.
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from disk import SYNC, TRUNCATE, WRITE, Disk
from rrag_storage import DatabaseStorage, ObjectStorage, StorageError, connect

BODY = "x" * 5_000


def make(kind: str, folder: Path) -> Any:
    """A storage of that kind below the folder."""
    if kind == "folder":
        return connect(f"file://{folder}/objects")
    if kind == "sqlite":
        return DatabaseStorage(f"sqlite:{folder}/memory.db")
    objects = ObjectStorage(f"file://{folder}/objects")
    return DatabaseStorage(f"sqlite:{folder}/memory.db", large_values=objects, large_value_threshold=1_000)


def main() -> None:
    kind, number = sys.argv[1], int(sys.argv[2])
    refused = 0
    with tempfile.TemporaryDirectory(prefix="rrag-refusing-") as name:
        folder = Path(name)
        disk = Disk(folder)
        with make(kind, folder).sync as storage:
            held = {f"n::{at}": [at, BODY] for at in range(20)}
            storage.mset(held)
            writes = {
                "set": lambda: storage.set("n::0", ["changed", BODY]),
                "a new key": lambda: storage.set("n::new", ["new", BODY]),
                "set_if_absent": lambda: storage.set_if_absent("n::new", ["new", BODY]),
                "increment": lambda: storage.increment("n::count"),
            }
            if kind != "folder":
                writes["mset"] = lambda: storage.mset({"n::0": "changed", "n::new": BODY})
                writes["delete"] = lambda: storage.delete("n::1")
                writes["clear"] = lambda: storage.clear()
            for write, call in writes.items():
                disk.arm(0, number, kinds=WRITE | SYNC | TRUNCATE, forever=True)
                try:
                    call()
                except StorageError as error:
                    words = str(error)
                    # SQLite has one word for all but a full disk.
                    assert os.strerror(number) in words or "disk" in words or "read" in words, (write, words)
                    assert not any(word in words for word in ("malformed", "damaged")), (write, words)
                    refused += 1
                else:
                    raise AssertionError(f"{write} did not fail")
                # Reads go on, of what is there and of nothing else.
                assert storage.get("n::7") == held["n::7"], write
                assert storage.mget(["n::1", "n::new"]) == [held["n::1"], None], write
                assert storage.keys() == sorted(held), write
                assert disk.disarm() > 0, write
                assert storage.get("n::0") == held["n::0"], write
            # There is room again.
            storage.set("n::new", ["new", BODY])
            assert storage.increment("n::count") == 1
            assert storage.delete("n::1") is True
        with make(kind, folder).sync as storage:
            expected = {**held, "n::new": ["new", BODY], "n::count": 1}
            del expected["n::1"]
            assert dict(storage.items()) == expected
            assert storage.clear() == len(expected)
        left = [path for path in folder.rglob("*") if path.is_file() and path.name.startswith(".")]
        assert left == [], left
    print(refused, errno.errorcode[number])


if __name__ == "__main__":
    main()

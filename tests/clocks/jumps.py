"""A storage's day on a machine whose clock is set forward and back by an hour; started with clock.c preloaded.

    jumps.py OPTIONS    the arguments of `connect`, in JSON

Prints how many promises were looked at.
"""

from __future__ import annotations

import ctypes
import json
import math
import sys
import time
from typing import Any

from rrag_storage import SortOrder, connect

HOUR = 3_600
PATIENCE = 600
"""Seconds that the whole may take: by so much a time that is left may be shorter than it was."""

looked_at = 0


def holds(condition: bool, *what: object) -> None:
    global looked_at
    assert condition, what
    looked_at += 1


def left(storage: Any, key: str, most: float) -> None:
    """Fails unless about `most` seconds are left of `key`."""
    seconds = storage.ttl(key)
    holds(seconds is not None and most - PATIENCE < seconds <= most, key, seconds, most)


def shift(seconds: int) -> None:
    """Sets this process's clock off by so much."""
    before = time.time()
    ctypes.CDLL(None).clock_shift(ctypes.c_long(seconds))
    holds(time.time() != before)


def main() -> None:
    options = json.loads(sys.argv[1])
    many = not options["url"].startswith(("s3:", "file:"))
    with connect(**options).sync as storage:
        for key, ttl in (("short", HOUR // 2), ("long", 3 * HOUR), ("ever", None)):
            storage.set(f"n::{key}", key, ttl=ttl)
        before = storage.get_entry("n::ever")

        shift(HOUR)
        holds(storage.mget(["n::short", "n::long", "n::ever"]) == [None, "long", "ever"])
        holds(storage.keys() == ["n::ever", "n::long"], storage.keys())
        holds(storage.count() == 2)
        holds(storage.ttl("n::short") is None)
        left(storage, "n::long", 2 * HOUR)
        holds(storage.set_if_absent("n::short", "new", ttl=HOUR // 2))
        left(storage, "n::short", HOUR // 2)
        holds(storage.compare_and_set("n::ever", "changed", before.version))
        ahead = storage.get_entry("n::ever")
        holds(ahead.created_at == before.created_at and ahead.version != before.version)
        holds(storage.increment("n::count") == 1)

        shift(0)
        # What was written ahead of time lives an hour longer than it was told, and no more than that.
        left(storage, "n::short", HOUR + HOUR // 2)
        left(storage, "n::long", 3 * HOUR)
        holds(storage.ttl("n::ever") == math.inf)
        holds(storage.keys() == ["n::count", "n::ever", "n::long", "n::short"], storage.keys())
        # A version is no time: the one of before does not come back.
        holds(not storage.compare_and_set("n::ever", "stale", before.version))
        holds(storage.compare_and_set("n::ever", "back", ahead.version))
        holds(storage.get("n::ever") == "back")
        holds(storage.increment("n::count") == 2)
        storage.set("n::short", "again", ttl=HOUR // 2)
        holds(storage.get("n::short") == "again")
        left(storage, "n::short", HOUR // 2)
        if many:
            with storage.transaction() as tx:
                tx.set("n::long", tx.get("n::long") + "er")
                tx.increment("n::count")
            holds(storage.mget(["n::long", "n::count"]) == ["longer", 3])
        storage.set("n::later", "later")
        listed = storage.keys(sort_order=SortOrder.CREATED_ASC)
        holds(sorted(listed) == storage.keys(), listed)

        shift(-HOUR)
        # The past of all that there is: it is there, and what is new dies neither at once nor an hour early.
        storage.set("n::past", "past", ttl=HOUR // 2)
        holds(storage.get("n::past") == "past")
        left(storage, "n::past", HOUR // 2)
        holds(storage.expire("n::later", HOUR // 2))
        holds(storage.get("n::later") == "later")
        left(storage, "n::short", HOUR + HOUR // 2)
        holds(storage.health_check())

        shift(0)
        holds(storage.mget(["n::past", "n::later", "n::short"]) == [None, None, "again"])
        holds(storage.delete("n::short") and not storage.exists("n::short"))
        rest = storage.keys()
        holds(storage.clear() == len(rest), rest)
        holds(storage.keys() == [] and storage.count() == 0)
    print(looked_at)


if __name__ == "__main__":
    main()

"""A log of messages under one namespace: one entry a message, so that appends never meet, listed in their order.

The keys are hexadecimal fractions: the time of the call, random digits, the position in the call. What must hold:

1. Keys of one call are neighbours: no other call's key stands between them, save those that `insert` puts there.
2. A call that starts after another one was done gets the greater keys, whatever the clocks of their machines show.
3. Of calls that overlap in one process, those that started first get the smaller keys.
4. A key that ends in `_CUT` starts the log anew: what stands before it no longer counts and is on its way out.
"""

from __future__ import annotations

import itertools
import os
import secrets
import threading
import time
from typing import TYPE_CHECKING, Any

from .. import SortOrder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .. import Storage
    from ._steps import Steps
    from ._support import Seconds

_STAMP_DIGITS = 16
_RANDOM_BYTES = 6
_CUT = "00000000"
# An insertion draws among at least so many keys: two at once don't draw the same one.
_ROOM = 16**12

GONE: Any = object()
"""What is returned where there is no message: any value that can be stored may be one."""


class Stamps:
    """Nanoseconds since 1970 that only grow: each call in this process gets a later one, whatever the clock does."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._unlock)

    def _unlock(self) -> None:
        self._lock = threading.Lock()

    def next(self, after: int = 0) -> int:
        """A stamp later than all before it, and than `after`."""
        with self._lock:
            self._last = max(time.time_ns(), self._last + 1, after + 1)
            return self._last


STAMPS = Stamps()


class MessageLog:
    """The log under `view`. Each method gives steps for `blocking` or `awaited`.

    Args:
        view: holds this log alone; its keys are the log's.
        ttl: after how long each message expires: seconds or a timedelta; None for never.
    """

    def __init__(self, view: Storage, ttl: Seconds | None) -> None:
        self._view = view
        self._ttl = ttl

    def append(self, messages: Sequence[Any]) -> Steps[None]:
        """Adds all of the messages at the end, or none; in one step where the backend commits several keys at once."""
        if not messages:
            return
        start = yield from self._start()
        yield self._view.mset(zip(_following(start), messages, strict=False), self._ttl)

    def replace(self, messages: Sequence[Any]) -> Steps[None]:
        """Puts the messages in the place of all that there are, so that no reader sees some of each."""
        start = yield from self._start()
        cut = start + _CUT
        yield self._view.mset([(cut, None), *zip(_following(start), messages, strict=False)], self._ttl)
        keys = yield self._view.keys()
        yield self._view.mdelete([key for key in keys if key < cut])

    def read(self, limit: int | None = None) -> Steps[list[Any]]:
        """The newest `limit` messages, or all, the oldest first."""
        newest = yield self._view.keys(sort_order=SortOrder.KEY_DESC, limit=limit)
        keys = _counting(newest[::-1])
        found = yield self._view.mget(keys, GONE)
        return [message for message in found if message is not GONE]

    def insert(self, index: int, message: Any) -> Steps[None]:
        """Adds a message before the one at `index`, as `list.insert` does."""
        keys = yield self._view.keys()
        live = _counting(keys)
        if index < 0:
            index = max(len(live) + index, 0)
        if index >= len(live):
            yield from self.append([message])
            return
        before = keys.index(live[index]) - 1
        key = _between(keys[before] if before >= 0 else "", live[index])
        yield self._view.set(key, message, self._ttl)

    def pop(self, index: int) -> Steps[Any]:
        """Takes out the message at `index` (negative from the end) and gives it; GONE where there is none."""
        while True:
            # The last ones are asked for most, and need no listing of the others.
            if index < 0:
                newest = yield self._view.keys(sort_order=SortOrder.KEY_DESC, limit=-index)
                live = _counting(newest[::-1])
            else:
                keys = yield self._view.keys()
                live = _counting(keys)
            if not -len(live) <= index < len(live):
                return GONE
            message = yield self._view.pop(live[index], GONE)
            if message is not GONE:  # else somebody else was faster: what is at this place now?
                return message

    def take(self) -> Steps[list[Any] | None]:
        """Takes out all messages and gives them; None where there is no log."""
        keys = yield self._view.keys()
        if not keys:
            return None
        found = yield self._view.mget(_counting(keys), GONE)
        yield self._view.mdelete(keys)
        return [message for message in found if message is not GONE]

    def clear(self) -> Steps[None]:
        """Deletes all messages."""
        yield self._view.clear()

    def _start(self) -> Steps[str]:
        """What the keys of a new call start with. The stamp is taken first: it is what keeps the order of calls (3)."""
        stamp = STAMPS.next()
        newest = yield self._view.keys(sort_order=SortOrder.KEY_DESC, limit=1)
        if newest:
            # A stamp of the future was written by a machine whose clock is ahead, or before this clock was set back;
            # none of this process's other calls under way is mistaken for one (2).
            seen = int(newest[0][:_STAMP_DIGITS], 16)
            if seen > stamp and seen > time.time_ns():
                stamp = STAMPS.next(after=seen)
        return f"{stamp:0{_STAMP_DIGITS}x}{secrets.token_hex(_RANDOM_BYTES)}"


def _following(start: str) -> Iterator[str]:
    """The keys of a call's messages: `start` with a number from 1 on, for 0 is the cut's."""
    return (f"{start}{number:0{len(_CUT)}x}" for number in itertools.count(1))


def _counting(keys: list[str]) -> list[str]:
    """Of all keys, in their order, those behind the last cut."""
    for position in range(len(keys) - 1, -1, -1):
        if keys[position].endswith(_CUT):
            return keys[position + 1 :]
    return keys


def _between(low: str, high: str) -> str:
    """A random key between two others; an odd one, which is no cut."""
    digits = max(len(low), len(high))
    while True:
        above, below = (int(key.ljust(digits, "0"), 16) for key in (low or "0", high))
        if below - above > _ROOM:
            return f"{above + 1 + secrets.randbelow(below - above - 2) | 1:0{digits}x}"
        digits += 12

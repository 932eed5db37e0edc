"""What a client asked for, when, and what it was told."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Outcome = Literal["ok", "failed", "unknown"]
"""`failed` promises that nothing was changed; `unknown` may take effect at any later time, or never."""

TRANSACTION = "transaction"


@dataclass(frozen=True, slots=True)
class Call:
    """One call on one key.

    Attributes:
        client: Who made it.
        kind: The operation's name, as in `linearizability.apply`.
        key: The key.
        argument: What was given besides the key.
        began: Just before the call, on the system's monotonic clock, in nanoseconds.
        ended: Just after it; None where nobody was told.
        outcome: What the client may conclude.
        result: The answer of a call that is `ok`.
    """

    client: str
    kind: str
    key: str
    argument: Any
    began: int
    ended: int | None
    outcome: Outcome
    result: Any = None


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction on lists. Times, client and outcome as of `Call`.

    Attributes:
        steps: In order, `("read", key, values)`, the values None where the client never learned them, and
            `("append", key, value)`. No value is appended twice to one key in the whole history.
    """

    client: str
    steps: tuple[tuple[str, str, Any], ...]
    began: int
    ended: int | None
    outcome: Outcome


class Recorder:
    """Writes each event to a file at once: what was written is there after a kill -9 of this process.

    One may be shared by threads: an event is one append.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def begins(self, call: str, kind: str, key: str | None, argument: Any) -> None:
        """The call of this name (unique in the file) is about to be made."""
        self._write(["begins", call, time.monotonic_ns(), kind, key, argument])

    def ends(self, call: str, outcome: Outcome, result: Any = None) -> None:
        """It is over."""
        self._write(["ends", call, time.monotonic_ns(), outcome, result])

    def close(self) -> None:
        """Nothing is written any more."""
        os.close(self._descriptor)

    def _write(self, event: list[Any]) -> None:
        os.write(self._descriptor, json.dumps(event).encode() + b"\n")


def read(paths: Iterable[Path]) -> tuple[list[Call], list[Transaction]]:
    """The calls and the transactions of some files; a call that never ended is of unknown outcome."""
    calls: list[Call] = []
    transactions: list[Transaction] = []
    for path in paths:
        begun: dict[str, list[Any]] = {}
        over: dict[str, list[Any]] = {}
        for line in path.read_text().splitlines():
            event, call, *rest = json.loads(line)
            (begun if event == "begins" else over)[call] = rest
        for call, (began, kind, key, argument) in begun.items():
            outcome: Outcome
            ended, outcome, result = over.get(call, [None, "unknown", None])
            client = call.rpartition("/")[0]
            if kind == TRANSACTION:
                steps = tuple((name, at, value) for name, at, value in (argument if result is None else result))
                transactions.append(Transaction(client, steps, began, ended, outcome))
            else:
                calls.append(Call(client, kind, key, argument, began, ended, outcome, result))
    return calls, transactions

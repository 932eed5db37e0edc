"""Are transactions that append to lists serialisable, in an order that agrees with real time?

In the manner of Elle (Kingsbury and Alvaro, VLDB 2020): as each value is appended to a key at most once, a list that was
read tells in which order the transactions before it wrote. From that follows who comes before whom, and a cycle is an
anomaly. A transaction of unknown outcome counts as committed where somebody read what it wrote, else as never made.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .cycles import RT, RW, WR, WW, Graph

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .record import Transaction

Value = tuple[str, int]
"""A key, and what was appended to it."""


@dataclass(frozen=True)
class Anomaly:
    """What no serial order allows.

    Attributes:
        phenomenon: `G0`, `G1a` (aborted read), `G1b` (intermediate read), `G1c`, `G-single` (read skew, lost update), `G2`
            (write skew), one of them with `-realtime`, `internal`, `incompatible-order`, `duplicate` or `unwritten`.
        told: The keys and transactions.
    """

    phenomenon: str
    told: str

    def __str__(self) -> str:
        return f"{self.phenomenon}: {self.told}"


def check(transactions: Sequence[Transaction]) -> list[Anomaly]:
    """All anomalies of a history; of transactions that depend on each other in circles, one cycle."""
    return _Check(transactions).run()


class _Check:
    def __init__(self, transactions: Sequence[Transaction]) -> None:
        self.transactions = transactions
        self.writer: dict[Value, int] = {}
        self.last: dict[tuple[int, str], int] = {}
        for number, transaction in enumerate(transactions):
            for step, key, value in transaction.steps:
                if step == "append":
                    assert (key, value) not in self.writer, "a value that is appended twice"
                    self.writer[key, value] = number
                    self.last[number, key] = value
        self.reads = {number: _external_reads(each) for number, each in enumerate(transactions)}
        self.committed = self._committed()
        self.orders: dict[str, list[int]] = {}
        for number in self.committed:
            for key, values in self.reads[number].items():
                self.orders[key] = max(self.orders.get(key, []), values, key=len)
        self.anomalies: list[Anomaly] = []

    def run(self) -> list[Anomaly]:
        for number in self.committed:
            self._look_inside(number)
        for key, order in self.orders.items():
            self._look_at_order(key, order)
        graph = self._graph()
        for cycle in graph.cycles():
            nodes = [self.told(number) for number in cycle.nodes]
            told = "".join(f"\n  {node}\n   {reason} ->" for node, reason in zip(nodes, cycle.reasons, strict=True))
            self._found(cycle.phenomenon, f"{told} the first")
        return self.anomalies

    def told(self, number: int) -> str:
        """A transaction in words."""
        each = self.transactions[number]
        steps = ", ".join(f"{step} {key} {value}" for step, key, value in each.steps)
        return f"{each.client} {each.outcome} [{each.began}..{each.ended}]: {steps}"

    def _found(self, phenomenon: str, told: str) -> None:
        self.anomalies.append(Anomaly(phenomenon, told))

    def _committed(self) -> list[int]:
        """The transactions that took effect for all we can know."""
        committed = {number for number, each in enumerate(self.transactions) if each.outcome == "ok"}
        waiting = list(committed)
        while waiting:
            for key, values in self.reads[waiting.pop()].items():
                for value in values:
                    writer = self.writer.get((key, value))
                    if writer is None or writer in committed:
                        continue
                    if self.transactions[writer].outcome == "unknown":
                        committed.add(writer)
                        waiting.append(writer)
        return sorted(committed)

    def _look_inside(self, number: int) -> None:
        """A transaction sees its own writes, and else the same throughout; and of others only what was committed."""
        seen: dict[str, list[int]] = {}
        own: defaultdict[str, list[int]] = defaultdict(list)
        for step, key, value in self.transactions[number].steps:
            if step == "append":
                own[key].append(value)
            elif value is not None:
                others = list(value[: max(0, len(value) - len(own[key]))])
                if list(value[len(others) :]) != own[key] or others != seen.setdefault(key, others):
                    self._found("internal", self.told(number))
                    return
        for key, values in self.reads[number].items():
            for value in values:
                writer = self.writer.get((key, value))
                if writer == number:
                    self._found("internal", f"it reads what it appends later: {self.told(number)}")
                elif writer is not None and self.transactions[writer].outcome == "failed":
                    self._found("G1a", f"{self.told(number)}\n  reads of {self.told(writer)}")
            if values:
                writer = self.writer.get((key, values[-1]))
                if writer not in (None, number) and self.last[writer, key] != values[-1]:
                    self._found("G1b", f"{self.told(number)}\n  reads of the middle of {self.told(writer)}")

    def _look_at_order(self, key: str, order: list[int]) -> None:
        twice = [value for value, times in Counter(order).items() if times > 1]
        if twice:
            self._found("duplicate", f"{key} holds {twice} more than once: {order}")
        nobodys = [value for value in order if (key, value) not in self.writer]
        if nobodys:
            self._found("unwritten", f"{key} holds {nobodys}, which nobody wrote: {order}")
        for one, other in itertools.pairwise(order):
            writer = self.writer.get((key, one))
            if writer is not None and writer == self.writer.get((key, other)):
                appended = [
                    value for step, at, value in self.transactions[writer].steps if (step, at) == ("append", key)
                ]
                if appended.index(one) > appended.index(other):
                    self._found("internal", f"{key} is {order} after {self.told(writer)}")
        for number in self.committed:
            values = self.reads[number].get(key)
            if values is not None and values != order[: len(values)]:
                self._found("incompatible-order", f"{key} was {order}, and another time {self.told(number)}")

    def _graph(self) -> Graph:
        graph = Graph()
        unread: defaultdict[str, list[int]] = defaultdict(list)
        read = {(key, value) for key, order in self.orders.items() for value in order}
        for (key, value), writer in self.writer.items():
            if self.transactions[writer].outcome == "ok" and (key, value) not in read:
                unread[key].append(writer)
        for key, order in self.orders.items():
            writers = [self.writer.get((key, value)) for value in order]
            for one, other in itertools.pairwise(writers):
                _add(graph, one, other, WW)
            # What nobody read was appended behind all that somebody did.
            for writer in unread[key]:
                _add(graph, writers[-1] if writers else None, writer, WW)
        for number in self.committed:
            for key, values in self.reads[number].items():
                order = self.orders[key]
                if values:
                    _add(graph, self.writer.get((key, values[-1])), number, WR)
                if len(values) < len(order):
                    _add(graph, number, self.writer.get((key, order[len(values)])), RW)
                else:
                    for writer in unread[key]:
                        _add(graph, number, writer, RW)
        for one, other in self._in_time():
            graph.add(one, other, RT)
        return graph

    def _in_time(self) -> Iterator[tuple[int, int]]:
        """Enough pairs of transactions of which one was over before the other began to imply all of them."""
        events = [(self.transactions[number].began, 0, number) for number in self.committed]
        for number in self.committed:
            each = self.transactions[number]
            if each.outcome == "ok" and each.ended is not None:
                events.append((each.ended, 1, number))
        latest: set[int] = set()
        before: dict[int, frozenset[int]] = {}
        for _, ends, number in sorted(events):
            if ends:
                latest -= before.pop(number)
                latest.add(number)
            else:
                before[number] = frozenset(latest)
                for earlier in latest:
                    yield earlier, number


def _external_reads(transaction: Transaction) -> dict[str, list[int]]:
    """What it read of others, in the first read of each key: without its own appends before that read."""
    reads: dict[str, list[int]] = {}
    own: Counter[str] = Counter()
    for step, key, value in transaction.steps:
        if step == "append":
            own[key] += 1
        elif value is not None and key not in reads:
            reads[key] = list(value[: max(0, len(value) - own[key])])
    return reads


def _add(graph: Graph, before: int | None, after: int | None, reason: int) -> None:
    """Of a value that nobody wrote there is no writer."""
    if before is not None and after is not None:
        graph.add(before, after, reason)

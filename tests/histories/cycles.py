"""Cycles among transactions, named after what they show (Adya's phenomena)."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WW, WR, RW, RT = 1, 2, 4, 8
"""Why one transaction comes before another: it wrote an earlier version; wrote what the other read; read a version that
the other replaced; was over before the other began."""

NAMES = {WW: "ww", WR: "wr", RW: "rw", RT: "rt"}

MOST_EDGES = 2_000
"""Anti-dependencies of one component that are tried for a cycle with no second one."""


@dataclass(frozen=True)
class Cycle:
    """Transactions each of which comes before the next, and the last before the first.

    Attributes:
        phenomenon: `G0`, `G1c`, `G-single` or `G2`; with `-realtime` where only the order in time closes it.
        nodes: The transactions' numbers.
        reasons: Why each comes before the next.
    """

    phenomenon: str
    nodes: list[int]
    reasons: list[str]


class Graph:
    """Transactions by number, and why some come before others."""

    def __init__(self) -> None:
        self.edges: defaultdict[int, dict[int, int]] = defaultdict(dict)

    def add(self, before: int, after: int, reason: int) -> None:
        """One of `WW`, `WR`, `RW`, `RT`; nothing comes before itself."""
        if before != after:
            self.edges[before][after] = self.edges[before].get(after, 0) | reason

    def cycles(self) -> list[Cycle]:
        """A cycle of each strongly connected component, of the gravest kind that it has."""
        return [self._named(each) for each in self._components(set(self.edges), WW | WR | RW | RT)]

    def _named(self, nodes: set[int]) -> Cycle:
        for realtime, suffix in ((0, ""), (RT, "-realtime")):
            for phenomenon, reasons in (("G0", WW), ("G1c", WW | WR)):
                if (path := self._any_cycle(nodes, reasons | realtime)) is not None:
                    return self._cycle(phenomenon + suffix, path, reasons | realtime)
            if (path := self._with_one_rw(nodes, WW | WR | realtime)) is not None:
                return self._cycle("G-single" + suffix, path, WW | WR | RW | realtime)
            if (path := self._any_cycle(nodes, WW | WR | RW | realtime)) is not None:
                return self._cycle("G2" + suffix, path, WW | WR | RW | realtime)
        raise AssertionError("a component without a cycle")

    def _cycle(self, phenomenon: str, path: list[int], reasons: int) -> Cycle:
        pairs = zip(path, path[1:] + path[:1], strict=True)
        told = [self.edges[one][other] & reasons for one, other in pairs]
        return Cycle(phenomenon, path, ["+".join(NAMES[bit] for bit in NAMES if bit & each) for each in told])

    def _any_cycle(self, nodes: set[int], reasons: int) -> list[int] | None:
        for component in self._components(nodes, reasons):
            first = min(component)
            paths = (self._path(each, first, component, reasons) for each in self._after(first, component, reasons))
            return [first, *min((path for path in paths if path is not None), key=len)[:-1]]
        return None

    def _with_one_rw(self, nodes: set[int], reasons: int) -> list[int] | None:
        edges = ((one, other) for one in sorted(nodes) for other in self._after(one, nodes, RW))
        for _, (one, other) in zip(range(MOST_EDGES), edges, strict=False):
            if (path := self._path(other, one, nodes, reasons)) is not None:
                return [one, *path[:-1]]
        return None

    def _after(self, node: int, nodes: set[int], reasons: int) -> Iterator[int]:
        return (each for each, why in self.edges.get(node, {}).items() if why & reasons and each in nodes)

    def _path(self, start: int, end: int, nodes: set[int], reasons: int) -> list[int] | None:
        """A shortest path, both ends included."""
        came_from = {start: start}
        waiting = deque([start])
        while waiting:
            node = waiting.popleft()
            if node == end:
                path = [node]
                while path[-1] != start:
                    path.append(came_from[path[-1]])
                return path[::-1]
            for each in self._after(node, nodes, reasons):
                if each not in came_from:
                    came_from[each] = node
                    waiting.append(each)
        return None

    def _components(self, nodes: set[int], reasons: int) -> Iterable[set[int]]:
        """The strongly connected components of more than one node (Tarjan's algorithm, without recursion)."""
        index: dict[int, int] = {}
        low: dict[int, int] = {}
        path: list[int] = []
        on_path: set[int] = set()
        for root in nodes:
            if root in index:
                continue
            work = [(root, self._after(root, nodes, reasons))]
            index[root] = low[root] = len(index)
            path.append(root)
            on_path.add(root)
            while work:
                node, following = work[-1]
                for each in following:
                    if each not in index:
                        index[each] = low[each] = len(index)
                        path.append(each)
                        on_path.add(each)
                        work.append((each, self._after(each, nodes, reasons)))
                        break
                    if each in on_path:
                        low[node] = min(low[node], index[each])
                else:
                    work.pop()
                    if work:
                        low[work[-1][0]] = min(low[work[-1][0]], low[node])
                    if low[node] == index[node]:
                        start = path.index(node)
                        component = set(path[start:])
                        del path[start:]
                        on_path -= component
                        if len(component) > 1:
                            yield component

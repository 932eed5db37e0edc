"""The figures that are wanted, and what a run says of them. Nothing fails by them: a timing is no test."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.base import FSYNC, WAL_NORMAL
from delay import IDLE
from findings import Findings, Id
from growth import LISTED
from measure import Timing

Ratios = tuple[float | None, float | None]
"""Of the medians, and of the quickest rounds."""


@dataclass(frozen=True)
class Verdict:
    """One wish: `measured`, of medians, and `quickest`, of the quickest rounds, are None where the run has no figure."""

    what: str
    limit: float
    unit: str
    measured: float | None
    quickest: float | None
    against: str
    at_least: bool = False
    """Whether more is better; else less is."""

    @property
    def text(self) -> str:
        """met, missed, or not measured."""
        if self.measured is None:
            return "not measured"
        met = self.measured >= self.limit if self.at_least else self.measured <= self.limit
        return "met" if met else "missed"


def verdicts(suites: list[str], found: Findings) -> list[Verdict]:
    """Each wish for the suites that ran."""
    rows: list[Verdict] = []
    if "memory" in suites:
        rows += _memory(found)
    if "disk" in suites:
        rows += _disk(found)
    if "layers" in suites:
        rows += _layers(found)
    for suite in SERVERS:
        if suite in suites:
            rows += _server(found, suite)
    return rows + [row for suite in suites for row in _delays(found, suite)]


def _ratio(
    found: Findings, what: str, limit: float, ours: str, peer: str | None, workload: Id, note: str = ""
) -> Verdict:
    measured, quickest = _ratios(found.timing(ours, workload), found.timing(peer, workload) if peer else None)
    return Verdict(what, limit, "×", measured, quickest, f"{_label(found, peer)}{note}")


def _times_faster(found: Findings, what: str, limit: float, ours: str, peer: str, workload: Id) -> Verdict:
    """The other way round: how many times as long a peer takes."""
    measured, quickest = _ratios(found.timing(peer, workload), found.timing(ours, workload))
    return Verdict(f"{what}, times faster", limit, "×", measured, quickest, _label(found, peer), at_least=True)


def _label(found: Findings, peer: str | None) -> str:
    return found.label(peer) if peer else "no such contender"


def _ratios(mine: Timing | None, other: Timing | None) -> Ratios:
    return (mine.median / other.median, mine.low / other.low) if mine and other else (None, None)


def _milliseconds(timing: Timing | None) -> Ratios:
    return (timing.median * 1e3, timing.low * 1e3) if timing else (None, None)


MEMORY = (
    ("get of a 32-byte str", "W1 get", "str", 3.0, "dict"),
    ("set of a 32-byte str", "W2 set", "str", 4.0, "dict"),
    ("get of a 200-byte dict", "W1 get", "dict", 1.0, "dict-pickle"),
    ("set of a 200-byte dict", "W2 set", "dict", 1.0, "dict-pickle"),
    ("get of a 1536-d float32 vector", "W1 get", "vector", 0.5, "dict-pickle"),
    ("set of a 1536-d float32 vector", "W2 set", "vector", 0.5, "dict-pickle"),
    ("gather of 100 gets, each", "W3 gather get", "dict", 1.3, "dict"),
    ("mget of 1,000 dicts, each", "W4 mget", "dict", 1.0, "dict-pickle"),
    ("mset of 1,000 dicts, each", "W4 mset", "dict", 1.0, "dict-pickle"),
)
"""What, workload, kind of value, limit, peer."""


def _memory(found: Findings) -> list[Verdict]:
    ours = "rrag-memory"
    rows = [
        _ratio(found, f"memory: {what}", limit, ours, peer, (name, kind)) for what, name, kind, limit, peer in MEMORY
    ]
    rows += [
        _times_faster(found, f"memory: {word} of a 200-byte dict", 15.0, ours, "pykv-memory", (name, "dict"))
        for word, name in (("get", "W1 get"), ("set", "W2 set"))
    ]
    for word, name, limit in (("keys", "W5 keys", 0.3), ("count", "W5 count", 0.02)):
        what = f"memory: {word} of one of 100 namespaces in {found.listing:,}"
        rows.append(Verdict(what, limit, " ms", *_milliseconds(found.timing(ours, (name, "dict"))), ""))
    rows += [
        _less_memory(found, *wish) for wish in (("32-byte str", 0.85, "dict"), ("200-byte dict", 0.9, "dict-pickle"))
    ]
    growth = found.growth.get((ours, LISTED))
    entries = f"{growth.entries:,}" if growth else "1,000,000"
    what = f"memory: process growth an entry, {entries} of a {LISTED}"
    rows.append(Verdict(what, 300, " bytes", growth.bytes_an_entry if growth else None, None, ""))
    small, large = (growth.prefix_small, growth.prefix_large) if growth else (None, None)
    against = f"the same among {growth.small_entries:,}" if growth else "the same among 10,000"
    what = f"memory: prefix listing of 1,000 keys among {entries}"
    rows.append(Verdict(what, 2, "×", *_ratios(large, small), against))
    threads = found.shared.get(ours, {})
    what = "memory: gets a second of 4 threads with a loop each"
    rows.append(
        Verdict(what, 0.9, "×", *_ratios(threads.get(1), threads.get(4)), "the same by 1 thread", at_least=True)
    )
    return rows


def _less_memory(found: Findings, value: str, limit: float, peer: str) -> Verdict:
    mine, other = found.growth.get(("rrag-memory", value)), found.growth.get((peer, value))
    measured = mine.bytes_an_entry / other.bytes_an_entry if mine and other else None
    what = f"memory: resident bytes an entry, {mine.entries if mine else 1_000_000:,} of a {value}"
    return Verdict(what, limit, "×", measured, None, found.label(peer))


def _disk(found: Findings) -> list[Verdict]:
    rows: list[Verdict] = []
    for durability, suffix, set_limit, gather_limit in ((WAL_NORMAL, "normal", 0.8, 0.4), (FSYNC, "full", 1.05, 0.2)):
        aiosqlite, sqlite3 = f"aiosqlite-{suffix}", f"sqlite3-{suffix}"
        best_set = found.best_peer(durability, ("W3 gather set", "dict"))
        wishes = (
            ("one get", "W1 get", 0.5, aiosqlite, ""),
            ("one get, the dream", "W1 get", 2.0, sqlite3, ""),
            ("one set", "W2 set", set_limit, aiosqlite, ""),
            ("gather of 100 gets, each", "W3 gather get", 0.6, sqlite3, ""),
            ("gather of 100 sets, each", "W3 gather set", gather_limit, best_set, ", best that leaves the loop free"),
            ("mget of 1,000, each", "W4 mget", 1.0, sqlite3, ""),
            ("mset of 1,000, each", "W4 mset", 1.0, sqlite3, ", one transaction"),
        )
        rows += [
            _ratio(
                found, f"SQLite {suffix.upper()}: {what}", limit, f"rrag-sqlite-{suffix}", peer, (name, "dict"), note
            )
            for what, name, limit, peer, note in wishes
        ]
    return rows


def _layers(found: Findings) -> list[Verdict]:
    rows = []
    for place, title in (("memory", "in memory"), ("sqlite", "SQLite")):
        for word, name in (("get", "W1 get"), ("set", "W2 set")):
            one, other = (found.timing(f"rrag-{place}-{layer}", (name, "text")) for layer in ("encrypted", "none"))
            added: Ratios = (
                ((one.median - other.median) * 1e6, (one.low - other.low) * 1e6) if one and other else (None, None)
            )
            what = f"{title}: what encryption adds to a {word} of 4 KB"
            rows.append(Verdict(what, 3, " µs", *added, "the same without"))
    for ours, peer, title in (("memory", "memory", "in memory"), ("sqlite", "disk", "SQLite")):
        for layer, wrapper in (("zstd", "gzip"), ("encrypted", "fernet"), ("zstd-encrypted", "gzip-fernet")):
            for kind, size in (("text", "4 KB of text"), ("vector", "a vector")):
                for word, name in (("get", "W1 get"), ("set", "W2 set")):
                    what = f"{title}: {word} of {size}, {layer.replace('-', ' + ')}"
                    rows.append(
                        _ratio(found, what, 0.2, f"rrag-{ours}-{layer}", f"pykv-{peer}-{wrapper}", (name, kind))
                    )
    return rows


CLIENTS = ("redis-py", "valkey-glide")
OBSTORE = ("obstore",)

SERVERS: dict[str, tuple[str, str, tuple[tuple[str, str, str, float, tuple[str, ...]], ...]]] = {
    "postgres": (
        "PostgreSQL",
        "rrag-postgres",
        (
            ("one get", "W1 get", "dict", 1.5, ("asyncpg-one",)),
            ("one set", "W2 set", "dict", 1.0, ("asyncpg-pool",)),
            ("gather of 100 gets, each", "W3 gather get", "dict", 0.4, ("langgraph-postgres",)),
            ("gather of 100 sets, each", "W3 gather set", "dict", 0.4, ("langgraph-postgres",)),
        ),
    ),
    "mysql": (
        "MariaDB",
        "rrag-mysql",
        (
            ("gather of 100 gets, each", "W3 gather get", "dict", 0.2, ("asyncmy-pool",)),
            ("gather of 100 sets, each", "W3 gather set", "dict", 0.2, ("asyncmy-pool",)),
        ),
    ),
    "redis": (
        "Redis",
        "rrag-redis",
        (
            ("one get", "W1 get", "dict", 0.9, ("redis-py",)),
            ("gather of 100 gets, each", "W3 gather get", "dict", 0.5, ("valkey-glide",)),
            ("gather of 100 sets, each", "W3 gather set", "dict", 0.5, ("valkey-glide",)),
            ("keys of a namespace", "W5 keys", "dict", 0.1, CLIENTS),
        ),
    ),
    "objects": (
        "object store",
        "rrag-objects",
        (
            ("gather of 64 gets of 1 MB", "W6 gather get", "large", 1.0, OBSTORE),
            ("gather of 64 sets of 1 MB", "W6 gather set", "large", 1.0, OBSTORE),
        ),
    ),
}
"""For each suite what it is called, our contender, and wishes: what, workload, kind of value, limit, peers."""


def _server(found: Findings, suite: str) -> list[Verdict]:
    """The wishes of a suite on a server, each against the quickest of the peers that it names."""
    title, ours, wishes = SERVERS[suite]
    rows = []
    for what, name, kind, limit, peers in wishes:
        note = ", the quickest client" if len(peers) > 1 else ""
        peer = found.quickest(peers, (name, kind))
        rows.append(_ratio(found, f"{title}: {what}", limit, ours, peer, (name, kind), note))
    return rows


def _delays(found: Findings, suite: str) -> list[Verdict]:
    """That writers leave the event loop responsive, for each of our storages of a suite."""
    idle = found.delays.get((suite, IDLE))
    against = f"an idle loop's is {idle.p99.median * 1e3:.3g} ms" if idle else ""
    rows = []
    for each in found.contenders:
        measured = found.delays.get((suite, each.name))
        if each.ours and measured:
            what = f"{each.label}: the event loop's p99 delay while 100 writers run"
            rows.append(Verdict(what, 2, " ms", *_milliseconds(measured.p99), against))
    return rows

"""The ratios that are wanted, and what a run says of them. Nothing fails by them: a timing is no test."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.base import FSYNC, NEVER, WAL_NORMAL, Adapter
from growth import Growth
from measure import Results, Timing
from stored import Stored

Id = tuple[str, str]


@dataclass(frozen=True)
class Findings:
    """All that a run has found."""

    contenders: list[type[Adapter]]
    results: Results
    growth: dict[tuple[str, int], Growth]
    stored: Stored

    def timing(self, contender: str, workload: Id) -> Timing | None:
        """What one contender took; None where it was not measured."""
        return self.results.timings.get((contender, workload))

    def median(self, contender: str, workload: Id) -> float | None:
        """Seconds for one operation; None where it was not measured."""
        timing = self.timing(contender, workload)
        return timing.median if timing else None

    def label(self, contender: str) -> str:
        """How a contender is called in a table."""
        return next((each.label for each in self.contenders if each.name == contender), contender)

    def quickest(self, contenders: tuple[str, ...], workload: Id) -> str | None:
        """The quickest of these; None where none was measured."""
        measured = [(time, name) for name in contenders if (time := self.median(name, workload)) is not None]
        return min(measured)[1] if measured else None

    def best_peer(self, durability: str, workload: Id) -> str | None:
        """The quickest of those that leave the event loop free, with the same durability; None if there is none."""
        peers = [
            each.name
            for each in self.contenders
            if not each.ours and each.blocks_loop == NEVER and each.suite == "disk" and each.durability == durability
        ]
        return self.quickest(tuple(peers), workload)


@dataclass(frozen=True)
class Verdict:
    """One wish: `measured`, of medians, and `quickest`, of the quickest rounds, are None where the run has no figure."""

    what: str
    limit: float
    unit: str
    measured: float | None
    quickest: float | None
    against: str

    @property
    def text(self) -> str:
        """met, missed, or not measured."""
        if self.measured is None:
            return "not measured"
        return "met" if self.measured <= self.limit else "missed"


def verdicts(suites: list[str], found: Findings) -> list[Verdict]:
    """Each wish for the suites that ran."""
    rows: list[Verdict] = []
    if "memory" in suites:
        rows += _memory(found)
    if "disk" in suites:
        rows += _disk(found)
    if "layers" in suites:
        rows += _layers(found)
    for suite in ("postgres", "mysql", "redis", "objects"):
        if suite in suites:
            rows += _server(found, suite)
    return rows


def _ratio(
    found: Findings, what: str, limit: float, ours: str, peer: str | None, workload: Id, note: str = ""
) -> Verdict:
    ratios = _ratios(found.timing(ours, workload), found.timing(peer, workload) if peer else None)
    return Verdict(what, limit, "×", *ratios, f"{found.label(peer) if peer else 'no such contender'}{note}")


def _ratios(mine: Timing | None, other: Timing | None) -> tuple[float | None, float | None]:
    """Of the medians, and of the quickest rounds."""
    return (mine.median / other.median, mine.low / other.low) if mine and other else (None, None)


def _memory(found: Findings) -> list[Verdict]:
    rows = [
        _ratio(found, f"memory: {word} of a {size}", limit, "rrag-memory", peer, (name, kind))
        for kind, size, peer, limit in (
            ("str", "32-byte str", "dict", 5.0),
            ("dict", "200-byte dict", "dict-pickle", 1.5),
            ("dict", "200-byte dict", "pykv-memory", 0.1),
        )
        for word, name in (("get", "W1 get"), ("set", "W2 set"))
    ]
    growth = found.growth.get(("rrag-memory", 100))
    entries = f"{growth.entries:,}" if growth else "1,000,000"
    rows.append(
        Verdict(
            f"memory: process growth an entry, {entries} of 100 bytes",
            300,
            " bytes",
            growth.bytes_an_entry if growth else None,
            None,
            "",
        )
    )
    small, large = (growth.prefix_small, growth.prefix_large) if growth else (None, None)
    rows.append(
        Verdict(
            f"memory: prefix listing of 1,000 keys among {entries}",
            5,
            "×",
            *_ratios(large, small),
            f"the same among {growth.small_entries:,}" if growth else "the same among 10,000",
        )
    )
    return rows


def _disk(found: Findings) -> list[Verdict]:
    rows: list[Verdict] = []
    for ours, durability, suffix in (
        ("rrag-sqlite-normal", WAL_NORMAL, "normal"),
        ("rrag-sqlite-full", FSYNC, "full"),
    ):
        aiosqlite, sqlite3 = f"aiosqlite-{suffix}", f"sqlite3-{suffix}"
        best_get, best_set = (
            found.best_peer(durability, (name, "dict")) for name in ("W3 gather get", "W3 gather set")
        )
        wishes = (
            ("one get", "W1 get", 1.0, aiosqlite, ""),
            ("one set", "W2 set", 1.0, aiosqlite, ""),
            ("gather of 100 gets", "W3 gather get", 0.5, best_get, ", best that leaves the loop free"),
            ("gather of 100 sets", "W3 gather set", 0.5, best_set, ", best that leaves the loop free"),
            ("mset of 1,000", "W4 mset", 1.5, sqlite3, ", one transaction"),
        )
        rows += [
            _ratio(found, f"SQLite {suffix.upper()}: {what}", limit, ours, peer, (name, "dict"), note)
            for what, name, limit, peer, note in wishes
        ]
    return rows


def _layers(found: Findings) -> list[Verdict]:
    rows = []
    for place, title in (("memory", "in memory"), ("sqlite", "SQLite")):
        for word, name in (("get", "W1 get"), ("set", "W2 set")):
            one, other = (found.timing(f"rrag-{place}-{layer}", (name, "text")) for layer in ("encrypted", "none"))
            added = ((one.median - other.median) * 1e6, (one.low - other.low) * 1e6) if one and other else (None, None)
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


DRIVERS = ("asyncpg-pool", "psycopg-pool")
CLIENTS = ("redis-py", "valkey-glide")
OBSTORE = ("obstore",)

SERVERS: dict[str, tuple[str, str, tuple[tuple[str, str, str, float, tuple[str, ...]], ...]]] = {
    "postgres": (
        "PostgreSQL",
        "rrag-postgres",
        (
            ("one get", "W1 get", "dict", 1.0, ("asyncpg-pool",)),
            ("one set", "W2 set", "dict", 1.0, ("asyncpg-pool",)),
            ("gather of 100 gets", "W3 gather get", "dict", 0.7, ("langgraph-postgres",)),
            ("gather of 100 sets", "W3 gather set", "dict", 0.7, ("langgraph-postgres",)),
            ("gather of 100 gets", "W3 gather get", "dict", 0.25, DRIVERS),
            ("gather of 100 sets", "W3 gather set", "dict", 0.25, DRIVERS),
        ),
    ),
    "mysql": (
        "MariaDB",
        "rrag-mysql",
        (
            ("gather of 100 gets", "W3 gather get", "dict", 0.4, ("asyncmy-pool",)),
            ("gather of 100 sets", "W3 gather set", "dict", 0.4, ("asyncmy-pool",)),
        ),
    ),
    "redis": (
        "Redis",
        "rrag-redis",
        (
            ("one get", "W1 get", "dict", 1.0, ("redis-py",)),
            ("gather of 100 gets", "W3 gather get", "dict", 0.8, ("valkey-glide",)),
            ("gather of 100 sets", "W3 gather set", "dict", 0.8, ("valkey-glide",)),
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

"""Redis in memory: no append-only file, and no snapshots, which would fork in the middle of a sample."""

from __future__ import annotations

from .base import Server, program


class Redis(Server):
    """One server; each contender has a numbered database, so that a SCAN meets its own keys only."""

    name = "Redis"

    def __init__(self) -> None:
        super().__init__()
        self.numbers: dict[str, int] = {}

    def start(self) -> None:
        self.launch(
            program("redis-server", "usr/sbin"),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder),
            *("--save", "", "--appendonly", "no"),
        )

    def fresh(self, contender: str) -> str:
        number = self.numbers.setdefault(contender, len(self.numbers))
        self.run(program("redis-cli"), "-p", str(self.port), "-n", str(number), "FLUSHDB", "SYNC")
        return f"redis://127.0.0.1:{self.port}/{number}"

    def version(self) -> str:
        version = self.run(program("redis-server", "usr/sbin"), "--version")
        return f"{' '.join(version.split()[:3])}, no snapshots, no append-only file"

"""PostgreSQL as initdb leaves it: every commit is flushed."""

from __future__ import annotations

from .base import Server, program

PLACE = "usr/lib/postgresql/*/bin"
USER = "bench"


class Postgres(Server):
    """One cluster; each contender has a database."""

    name = "PostgreSQL"

    def start(self) -> None:
        data = self.folder / "data"
        self.run(program("initdb", PLACE), "-U", USER, "-A", "trust", "-E", "UTF8", "--no-locale", "-D", data)
        address = ("-h", "127.0.0.1", "-p", str(self.port), "-k", self.folder)
        self.launch(program("postgres", PLACE), "-D", data, *address)
        while not self._is_ready():
            pass

    def fresh(self, contender: str) -> str:
        name = f"bench_{contender.replace('-', '_')}"
        reach = ("-h", "127.0.0.1", "-p", str(self.port), "-U", USER)
        self.run(program("dropdb", PLACE), *reach, "--if-exists", "--force", name)
        self.run(program("createdb", PLACE), *reach, "-T", "template0", name)
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}?sslmode=disable"

    def version(self) -> str:
        return (
            f"{self.run(program('postgres', PLACE), '--version')}, as initdb sets it up (fsync, synchronous_commit on)"
        )

    def _is_ready(self) -> bool:
        try:
            self.run(program("pg_isready", PLACE), "-h", "127.0.0.1", "-p", str(self.port), "-t", "5")
        except RuntimeError:
            return False
        return True

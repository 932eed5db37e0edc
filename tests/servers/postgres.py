"""A PostgreSQL server."""

from __future__ import annotations

import signal
import subprocess
from typing import ClassVar

from .process import PASSWORD, USER, Server, program


class Postgres(Server):
    """PostgreSQL; with `durable` it survives a power cut, which costs each commit a write to the disk."""

    package: ClassVar[str] = "postgresql"
    place_option: ClassVar[str] = "table"
    end_signal: ClassVar[signal.Signals] = signal.SIGINT

    def __init__(self, *settings: str, durable: bool = True) -> None:
        programs = {name: program(name, self.package) for name in ("postgres", "initdb", "psql", "pg_isready")}
        super().__init__(durable=durable)
        self.programs = programs
        self.settings = settings

    @property
    def url(self) -> str:
        return f"postgres://{USER}:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def prepare(self) -> None:
        passwords = self.folder / "password"
        passwords.write_text(PASSWORD)
        passwords.chmod(0o644)
        data = str(self.folder / "data")
        arguments = ["-U", USER, "-A", "scram-sha-256", "-E", "UTF8", "--no-sync", f"--pwfile={passwords}", "-D", data]
        self.run(self.programs["initdb"], *arguments)

    def command(self) -> list[str]:
        settings = ["max_connections=100", "shared_buffers=64MB", *self.settings]
        if not self.durable:
            settings += ["fsync=off", "full_page_writes=off", "synchronous_commit=off"]
        return [
            self.programs["postgres"],
            *("-D", str(self.folder / "data")),
            *("-h", "127.0.0.1", "-p", str(self.port), "-k", str(self.folder)),
            *(word for setting in settings for word in ("-c", setting)),
        ]

    def answers(self) -> bool:
        asked = [self.programs["pg_isready"], "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(asked, check=False).returncode == 0

    def query(self, sql: str) -> str:
        """What a statement gives, a row a line."""
        address = ["-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-d", "postgres"]
        return self.run(self.programs["psql"], *address, "-XAtc", sql, PGPASSWORD=PASSWORD).strip()

    def connections(self) -> int:
        return int(self.query(f"SELECT count(*) FROM pg_stat_activity WHERE {_CLIENTS}"))

    def cut(self) -> None:
        self.query(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {_CLIENTS}")


_CLIENTS = "backend_type = 'client backend' AND pid <> pg_backend_pid()"

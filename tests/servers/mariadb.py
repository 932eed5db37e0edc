"""A MariaDB server."""

from __future__ import annotations

import socket
from typing import ClassVar

from .process import PASSWORD, USER, Server, program

DURABLE = ("--log-bin=binlog", "--sync-binlog=1", "--binlog-format=ROW")
FAST = ("--innodb-flush-log-at-trx-commit=0", "--skip-innodb-doublewrite")


class MariaDB(Server):
    """MariaDB; with `durable` it survives a power cut, which costs each commit writes to the disk.

    It then has a binary log, synced: without one InnoDB shows a commit to others before it is on the disk.
    """

    package: ClassVar[str] = "mariadb-server"
    place_option: ClassVar[str] = "table"

    def __init__(self, *options: str, durable: bool = True) -> None:
        programs = {name: program(name, self.package) for name in ("mariadbd", "mariadb-install-db", "mariadb")}
        super().__init__(durable=durable)
        self.programs = programs
        self.settings = options

    @property
    def url(self) -> str:
        return f"mysql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/app"

    def prepare(self) -> None:
        self.run(
            self.programs["mariadb-install-db"],
            *("--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"),
            *(f"--datadir={self.folder / 'data'}", f"--tmpdir={self.folder}"),
        )
        first = self.folder / "first.sql"
        first.write_text(
            "CREATE DATABASE IF NOT EXISTS app;\n"
            f"CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';\n"
            f"GRANT ALL ON app.* TO '{USER}'@'%';\n"
            f"CREATE USER IF NOT EXISTS 'admin'@'%' IDENTIFIED BY '{PASSWORD}';\n"
            "GRANT ALL ON *.* TO 'admin'@'%' WITH GRANT OPTION;\n"
        )
        first.chmod(0o644)

    def command(self) -> list[str]:
        return [
            self.programs["mariadbd"],
            "--no-defaults",
            *(f"--datadir={self.folder / 'data'}", f"--tmpdir={self.folder}", f"--socket={self.folder / 'socket'}"),
            *(f"--port={self.port}", "--bind-address=127.0.0.1", "--skip-name-resolve"),
            f"--init-file={self.folder / 'first.sql'}",
            *("--innodb-buffer-pool-size=64M", "--max-connections=100"),
            # One that a value of the suite is above would be the server's own default.
            "--max-allowed-packet=64M",
            *(DURABLE if self.durable else FAST),
            *self.settings,
        ]

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                # Its greeting, which it sends once it takes users.
                return len(connection.recv(5)) == 5
        except OSError:
            return False

    def query(self, sql: str, *, may_fail: bool = False) -> str:
        """What statements give, a row a line."""
        command = [self.programs["mariadb"], "--no-defaults", "-h127.0.0.1", f"-P{self.port}", "-uadmin", "--force"]
        return self.run(*command, "-Ne", sql, may_fail=may_fail, MYSQL_PWD=PASSWORD).strip()

    def connections(self) -> int:
        return len(self._clients())

    def cut(self) -> None:
        # One that is gone by now is refused.
        self.query(";".join(["SELECT 1", *(f"KILL {number}" for number in self._clients())]), may_fail=True)

    def _clients(self) -> list[str]:
        return self.query(f"SELECT id FROM information_schema.processlist WHERE user = '{USER}'").split()

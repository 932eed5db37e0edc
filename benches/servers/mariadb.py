"""MariaDB with its own defaults: InnoDB flushes every commit."""

from __future__ import annotations

from .base import Server, program

PLACES = ("usr/sbin", "usr/local/sbin", "usr/libexec")
PASSWORD = "bench"


class MariaDB(Server):
    """One server; each contender has a database."""

    name = "MariaDB"

    def start(self) -> None:
        data = self.folder / "data"
        self.run(
            program("mariadb-install-db"),
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            f"--datadir={data}",
            f"--tmpdir={self.folder}",
        )
        setup = self.folder / "setup.sql"
        setup.write_text(
            f"CREATE USER IF NOT EXISTS 'bench'@'%' IDENTIFIED BY '{PASSWORD}';\nGRANT ALL ON *.* TO 'bench'@'%';\n"
        )
        setup.chmod(0o644)
        self.launch(
            program("mariadbd", *PLACES),
            "--no-defaults",
            f"--datadir={data}",
            f"--tmpdir={self.folder}",
            f"--socket={self.folder / 's'}",
            f"--pid-file={self.folder / 'pid'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            f"--init-file={setup}",
        )

    def fresh(self, contender: str) -> str:
        name = f"bench_{contender.replace('-', '_')}"
        statement = f"DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name} CHARACTER SET utf8mb4"
        self.run(program("mariadb"), "--no-defaults", f"--socket={self.folder / 's'}", "-u", "root", "-e", statement)
        return f"mysql://bench:{PASSWORD}@127.0.0.1:{self.port}/{name}?ssl-mode=disabled"

    def version(self) -> str:
        version = self.run(program("mariadbd", *PLACES), "--no-defaults", "--version")
        return f"{version[version.find('Ver') :]}, its defaults (innodb_flush_log_at_trx_commit=1, no binary log)"

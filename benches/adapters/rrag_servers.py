"""rrag_storage on database servers: its own methods, called as they are, over its default number of connections."""

from __future__ import annotations

from pathlib import Path

from rrag_storage import DatabaseStorage, RedisStorage, Storage

from .base import FSYNC, NO_DURABILITY
from .rrag import Rrag


class RragPostgres(Rrag):
    """DatabaseStorage on PostgreSQL."""

    name = "rrag-postgres"
    label = "rrag_storage PostgreSQL"
    suite = "postgres"
    durability = FSYNC
    floor = "asyncpg-one"

    def make(self, directory: Path) -> Storage:
        return DatabaseStorage(self.place())


class RragMysql(RragPostgres):
    """DatabaseStorage on MariaDB."""

    name = "rrag-mysql"
    label = "rrag_storage MariaDB"
    suite = "mysql"
    floor = "asyncmy-one"


class RragRedis(Rrag):
    """RedisStorage."""

    name = "rrag-redis"
    label = "rrag_storage Redis"
    suite = "redis"
    durability = NO_DURABILITY
    floor = "redis-py"

    def make(self, directory: Path) -> Storage:
        return RedisStorage(self.place())


CONTENDERS = (RragPostgres, RragMysql, RragRedis)

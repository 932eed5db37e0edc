"""Private servers for the tests: each on a free loopback port, in a temporary folder, gone when the tests are.

Where a server's program is missing the test is skipped with the name of the package that has it; with
RRAG_REQUIRE_SERVERS set it fails instead.
"""

from __future__ import annotations

from .mariadb import MariaDB
from .postgres import Postgres
from .process import PASSWORD, Places, free_port
from .redis import Redis, RedisCluster
from .s3 import S3

__all__ = ["KINDS", "PASSWORD", "S3", "MariaDB", "Places", "Postgres", "Redis", "RedisCluster", "free_port"]

KINDS = {"postgres": Postgres, "mariadb": MariaDB, "redis": Redis, "redis-cluster": RedisCluster, "s3": S3}
"""Every kind of server, by its name."""

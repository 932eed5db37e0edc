"""The contract on database and Redis servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from rrag_storage.testing import Capabilities, StorageContract

if TYPE_CHECKING:
    from collections.abc import Callable

    from rrag_storage import ManualClock, Storage
    from servers import MariaDB, Postgres, Redis, RedisCluster


class TestPostgres(StorageContract):
    """PostgreSQL."""

    @pytest.fixture
    def make_storage(self, clock: ManualClock, postgres: Postgres) -> Callable[[], Storage]:
        return lambda: postgres.storage(clock=clock)


class TestMariaDB(StorageContract):
    """MariaDB."""

    @pytest.fixture
    def make_storage(self, clock: ManualClock, mariadb: MariaDB) -> Callable[[], Storage]:
        return lambda: mariadb.storage(clock=clock)


class TestRedis(StorageContract):
    """One Redis server."""

    @pytest.fixture
    def make_storage(self, clock: ManualClock, redis: Redis) -> Callable[[], Storage]:
        return lambda: redis.storage(clock=clock)


class TestRedisCluster(StorageContract):
    """A cluster, whose nodes hold a first-level namespace each as a whole."""

    capabilities = Capabilities(spans_namespaces=False)

    @pytest.fixture
    def make_storage(self, clock: ManualClock, redis_cluster: RedisCluster) -> Callable[[], Storage]:
        return lambda: redis_cluster.storage(clock=clock)

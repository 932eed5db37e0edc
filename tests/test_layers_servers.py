"""The contract with layers over every backend that is not in this process.

All layers at once, unless `RRAG_EVERY_LAYER=1` asks for each on its own too: what differs between backends is how they
store bytes, and each layer on its own is tried in memory and on a file, in `test_layers_contract.py`.
"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any

import pytest
from layered import COMPRESSED, ENCRYPTED
from rrag_storage import InMemoryStorage, ObjectStorage
from rrag_storage.testing import Capabilities, StorageContract
from test_object import capabilities

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rrag_storage import ManualClock, Storage
    from servers import S3, MariaDB, Postgres, Redis, RedisCluster

LARGE: dict[str, Any] = {"large_value_threshold": 1}
LAYERS: dict[str, dict[str, Any]] = {"all": {**COMPRESSED, **ENCRYPTED, **LARGE}}
if os.environ.get("RRAG_EVERY_LAYER"):
    LAYERS |= {"zstd": COMPRESSED, "encrypted": ENCRYPTED, "large": LARGE}


@pytest.fixture(params=LAYERS)
def layers(request: pytest.FixtureRequest, clock: ManualClock) -> Callable[[], dict[str, Any]]:
    """The options of one more storage."""
    options = LAYERS[request.param]
    if "large_value_threshold" not in options:
        return lambda: options
    return lambda: {**options, "large_values": InMemoryStorage(clock=clock)}


class TestPostgres(StorageContract):
    """PostgreSQL."""

    capabilities = Capabilities(stored_in_full=False)

    @pytest.fixture
    def make_storage(
        self, clock: ManualClock, postgres: Postgres, layers: Callable[[], dict[str, Any]]
    ) -> Callable[[], Storage]:
        return lambda: postgres.storage(clock=clock, **layers())


class TestMariaDB(StorageContract):
    """MariaDB."""

    capabilities = Capabilities(stored_in_full=False)

    @pytest.fixture
    def make_storage(
        self, clock: ManualClock, mariadb: MariaDB, layers: Callable[[], dict[str, Any]]
    ) -> Callable[[], Storage]:
        return lambda: mariadb.storage(clock=clock, **layers())


class TestRedis(StorageContract):
    """One Redis server."""

    capabilities = Capabilities(stored_in_full=False)

    @pytest.fixture
    def make_storage(
        self, clock: ManualClock, redis: Redis, layers: Callable[[], dict[str, Any]]
    ) -> Callable[[], Storage]:
        return lambda: redis.storage(clock=clock, **layers())


class TestRedisCluster(StorageContract):
    """A cluster, whose nodes hold a first-level namespace each as a whole."""

    capabilities = Capabilities(spans_namespaces=False, stored_in_full=False)

    @pytest.fixture
    def make_storage(
        self, clock: ManualClock, redis_cluster: RedisCluster, layers: Callable[[], dict[str, Any]]
    ) -> Callable[[], Storage]:
        return lambda: redis_cluster.storage(clock=clock, **layers())


class TestS3(StorageContract):
    """A bucket, below a prefix."""

    capabilities = capabilities("place000000/", stored_in_full=False)

    @pytest.fixture
    def make_storage(self, clock: ManualClock, s3: S3, layers: Callable[[], dict[str, Any]]) -> Callable[[], Storage]:
        return lambda: s3.storage(clock=clock, **layers())


class TestFolder(StorageContract):
    """A folder of this machine."""

    capabilities = capabilities("", stored_in_full=False)

    @pytest.fixture
    def make_storage(
        self, clock: ManualClock, tmp_path: Path, layers: Callable[[], dict[str, Any]]
    ) -> Callable[[], Storage]:
        numbers = itertools.count()
        return lambda: ObjectStorage(f"file://{tmp_path}/{next(numbers)}", clock=clock, **layers())

"""The contract with layers over every backend that is not in this process: each option on its own, and all at once."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from layered import COMPRESSED, ENCRYPTED
from rrag_storage import InMemoryStorage, ObjectStorage
from rrag_storage.testing import Capabilities, StorageContract

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rrag_storage import ManualClock, Storage
    from servers import S3, MariaDB, Postgres, Redis, RedisCluster

LARGE: dict[str, Any] = {"large_value_threshold": 1}
LAYERS: dict[str, dict[str, Any]] = {
    "zstd": COMPRESSED,
    "encrypted": ENCRYPTED,
    "large": LARGE,
    "all": {**COMPRESSED, **ENCRYPTED, **LARGE},
}


@pytest.fixture(params=LAYERS)
def layers(request: pytest.FixtureRequest, clock: ManualClock) -> Callable[[], dict[str, Any]]:
    """The options of one more storage."""

    def options() -> dict[str, Any]:
        wanted = LAYERS[request.param]
        return {**wanted, "large_values": InMemoryStorage(clock=clock)} if "large_value_threshold" in wanted else wanted

    return options


class TestPostgres(StorageContract):
    """PostgreSQL."""

    capabilities = Capabilities(stored_in_full=False)

    @pytest.fixture
    def make_storage(
        self, clock: ManualClock, postgres: Postgres, layers: Callable[[], dict[str, Any]]
    ) -> Callable[[], Storage]:
        return lambda: postgres.storage(clock=clock, **layers())

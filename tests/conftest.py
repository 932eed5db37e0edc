"""What all these tests share: reproducible random choices, and no leftovers of one test in the next."""

from __future__ import annotations

import gc
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

# A helper's failing assertion shows its operands, as a test's does.
pytest.register_assert_rewrite("support", "crash_worker", "process_worker", "server_load")

from servers import KINDS, S3, MariaDB, Places, Postgres, Redis, RedisCluster  # after the registration above

# A job in the background starts with interrupts ignored, and so would every process that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("suite")


@pytest.fixture(scope="module", autouse=True)
def _collected() -> Iterator[None]:
    """Whatever a module leaves to the garbage collector shows its faults in that module."""
    yield
    gc.collect()


# Servers that all tests share; none of these tests kills one, so that nothing has to be on the disk.


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres(durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    with MariaDB(durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    with Redis(durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    with RedisCluster(durable=False) as servers:
        yield servers


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    with S3(durable=False) as server:
        yield server


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Places]:
    """A server of each kind that the tests of one module have for themselves: they may kill it. It loses nothing."""
    with KINDS[request.param]() as own:
        yield own

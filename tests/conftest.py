"""What all these tests share: reproducible random choices, and no leftovers of one test in the next."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

# A helper's failing assertion shows its operands, as a test's does.
pytest.register_assert_rewrite("support", "crash_worker", "process_worker")

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

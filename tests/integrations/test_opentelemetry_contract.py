"""The contract over an instrumented storage: it is one, whatever is called on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from rrag_storage import InMemoryStorage, ManualClock, Storage
from rrag_storage.integrations.opentelemetry import instrument
from rrag_storage.testing import StorageContract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class TestInstrumented(StorageContract):
    """A storage in memory, every call of which is observed."""

    # The frames of the span stand below the await.
    test_exceptions_have_a_traceback_to_the_await = None  # type: ignore[assignment]

    @pytest.fixture
    def make_storage(self, clock: ManualClock) -> Iterator[Callable[[], Storage]]:
        made: list[Storage] = []
        tracers, meters = TracerProvider(), MeterProvider(metric_readers=[InMemoryMetricReader()])

        def make() -> Storage:
            storage = InMemoryStorage(clock=clock)
            made.append(instrument(storage, tracer_provider=tracers, meter_provider=meters, keys=True))
            return made[-1]

        yield make
        for storage in made:
            storage.sync.close()
        tracers.shutdown()
        meters.shutdown()

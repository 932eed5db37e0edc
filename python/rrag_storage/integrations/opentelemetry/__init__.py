"""OpenTelemetry: spans and metrics of a storage's calls.

Needs the extra: `pip install 'rrag-storage[opentelemetry]'`. What they are called is what the semantic conventions for
databases say; docs/observability.md lists it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ... import Storage, __version__
from .._support import needs

with needs("opentelemetry"):
    from opentelemetry.metrics import get_meter_provider
    from opentelemetry.trace import get_tracer_provider

    from ._figures import figures_of
    from ._storage import InstrumentedStorage
    from ._telemetry import Telemetry, describe

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

__all__ = ["instrument"]

_SCHEMA = "https://opentelemetry.io/schemas/1.44.0"

# What the conventions ask for, in seconds.
_BOUNDARIES = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)


def instrument(
    storage: Storage,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    keys: bool = False,
    figures: bool | None = None,
) -> Storage:
    """The same storage, each of whose calls makes a client span and a measurement of its duration.

    Views, `sync`, transactions and iterators of what it gives are observed too; what is called on `storage` itself is not.
    Both share everything else: closing one closes the other.

    Args:
        storage: any storage, or a view of one.
        tracer_provider: what the spans go to; the global one unless told.
        meter_provider: what the measurements go to; the global one unless told.
        keys: whether spans show keys, filters, and the messages of errors, which name keys. Values are never shown.
        figures: whether entries, bytes and the like are shown as gauges, for which `stats()` is called, opening the
            storage, whenever metrics are read. None means True but for object stores, where that lists the bucket.

    Returns:
        An object with the whole interface of a storage. Its `__wrapped__` is `storage`, which `large_values=` needs.

    Raises:
        TypeError: `storage` is no storage (its blocking twin is none).
        ValueError: it is instrumented already.

    >>> from rrag_storage.integrations.opentelemetry import instrument
    >>> s = instrument(InMemoryStorage())
    >>> s.sync.set("greeting", "hello")
    >>> s.sync.get("greeting")
    'hello'
    """
    if not isinstance(storage, Storage):
        raise TypeError(f"storage must be a storage of rrag_storage, not {type(storage).__name__}")
    if issubclass(type(storage), InstrumentedStorage):
        raise ValueError(f"{storage!r} is instrumented already")
    attributes = describe(storage)
    tracer = (tracer_provider or get_tracer_provider()).get_tracer("rrag_storage", __version__, _SCHEMA)
    provider = meter_provider or get_meter_provider()
    meter = provider.get_meter("rrag_storage", __version__, _SCHEMA)
    duration = meter.create_histogram(
        "db.client.operation.duration",
        unit="s",
        description="Duration of database client operations.",
        explicit_bucket_boundaries_advisory=_BOUNDARIES,
    )
    if figures or (figures is None and storage.backend_name != "object"):
        figures_of(provider, meter).watch(storage, attributes)
    return cast("Storage", InstrumentedStorage(storage, Telemetry(tracer, duration, attributes, keys=keys)))

"""Figures of whole storages, read from `stats()` when a reader of metrics asks."""

from __future__ import annotations

import threading
import weakref
from time import monotonic
from typing import TYPE_CHECKING, Literal, NamedTuple

from opentelemetry.metrics import Observation

from ...errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider
    from opentelemetry.util.types import AttributeValue

    from ..._native import Storage

# A reader asks each instrument by itself; what it asks for within so many seconds is one answer of the storage.
_FRESH = 1.0


class Figure(NamedTuple):
    """A figure of `stats()`, by its name there, and the instrument that shows it."""

    source: str
    name: str
    kind: Literal["gauge", "counter"]
    unit: str
    description: str


FIGURES = (
    Figure("total_keys", "rrag_storage.entries", "gauge", "{entry}", "Entries that are stored."),
    Figure("memory_bytes", "rrag_storage.size", "gauge", "By", "What the entries take."),
    Figure("namespace_count", "rrag_storage.namespaces", "gauge", "{namespace}", "First-level namespaces."),
    # These are in `extra`, of the backends that have them.
    Figure("file_bytes", "rrag_storage.file.size", "gauge", "By", "The database file."),
    Figure("wal_bytes", "rrag_storage.file.wal_size", "gauge", "By", "The write-ahead log beside it."),
    Figure("queue_depth", "rrag_storage.queue.depth", "gauge", "{operation}", "Writes that wait."),
    Figure("batches", "rrag_storage.queue.batches", "counter", "{batch}", "Commits of waiting operations."),
    Figure("batch_size_mean", "rrag_storage.queue.batch_size.mean", "gauge", "{operation}", "Operations of a commit."),
    Figure("batch_size_max", "rrag_storage.queue.batch_size.max", "gauge", "{operation}", "Operations of the largest."),
    Figure("hits", "rrag_storage.hits", "counter", "{read}", "Reads that found their key."),
    Figure("misses", "rrag_storage.misses", "counter", "{read}", "Reads that did not."),
    Figure("evictions", "rrag_storage.evictions", "counter", "{entry}", "Entries that went at a limit."),
    Figure("expiries", "rrag_storage.expiries", "counter", "{entry}", "Entries that expired."),
)


class _Watched:
    """One storage that is asked; it is not kept alive."""

    def __init__(self, storage: Storage, attributes: Mapping[str, AttributeValue]) -> None:
        self.storage = weakref.ref(storage)
        self.attributes = attributes
        self._lock = threading.Lock()
        self._asked = -_FRESH
        self._figures: dict[str, float] = {}

    def figures(self) -> dict[str, float]:
        """Its figures by their names; none where it is gone, closed, or can't be reached."""
        with self._lock:
            if monotonic() - self._asked >= _FRESH:
                self._figures = self._ask()
                self._asked = monotonic()
            return self._figures

    def _ask(self) -> dict[str, float]:
        storage = self.storage()
        if storage is None or storage.closed:
            return {}
        try:
            stats = storage.sync.stats()
        except StorageError:
            return {}
        whole = {name: getattr(stats, name) for name in ("total_keys", "memory_bytes", "namespace_count")}
        return {**stats.extra, **whole}


class Figures:
    """The instruments of one provider, and the storages that they show."""

    def __init__(self, meter: Meter) -> None:
        self._watched: list[_Watched] = []
        for figure in FIGURES:
            make = meter.create_observable_gauge if figure.kind == "gauge" else meter.create_observable_counter
            make(figure.name, [self._shows(figure.source)], figure.unit, figure.description)

    def watch(self, storage: Storage, attributes: Mapping[str, AttributeValue]) -> None:
        """Shows `storage`, as long as there is somebody who uses it."""
        alive = [watched for watched in self._watched if watched.storage() is not None]
        self._watched = [*alive, _Watched(storage, attributes)]

    def _shows(self, source: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            for watched in self._watched:
                figures = watched.figures()
                if source in figures:
                    yield Observation(figures[source], watched.attributes)

        return observe


_BY_PROVIDER: weakref.WeakKeyDictionary[MeterProvider, Figures] = weakref.WeakKeyDictionary()
_LOCK = threading.Lock()


def figures_of(provider: MeterProvider, meter: Meter) -> Figures:
    """The instruments of `provider`: one set, whatever the number of storages."""
    with _LOCK:
        found = _BY_PROVIDER.get(provider)
        if found is None:
            found = _BY_PROVIDER[provider] = Figures(meter)
        return found

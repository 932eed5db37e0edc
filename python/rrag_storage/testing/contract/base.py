"""What every part of the suite stands on: a storage whose time the test moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from rrag_storage import ManualClock
from rrag_storage.testing.capabilities import Capabilities
from rrag_storage.testing.reference import first_namespace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from rrag_storage import Storage


class Contract:
    """The fixtures; a backend overrides `make_storage`, or `storage` itself."""

    capabilities: ClassVar[Capabilities] = Capabilities()

    @pytest.fixture
    def clock(self) -> ManualClock:
        """The clock of the storages of one test."""
        return ManualClock()

    @pytest.fixture
    def make_storage(self, clock: ManualClock) -> Callable[[], Storage]:
        """A function that makes a new, empty, unopened storage on `clock`; storages of two calls share nothing."""
        raise NotImplementedError(f"{type(self).__name__} must override make_storage")

    @pytest.fixture
    def storage(self, make_storage: Callable[[], Storage]) -> Iterator[Storage]:
        """One storage, closed after the test."""
        storage = make_storage()
        yield storage
        storage.sync.close()

    def in_steps(self, keys: Iterable[str]) -> Iterable[list[str]]:
        """`keys` in lists that the backend writes in one step each, whatever they are written to."""
        if self.capabilities.spans_namespaces:
            return [list(keys)]
        groups: dict[str | None, list[str]] = {}
        for key in keys:
            groups.setdefault(first_namespace(key), []).append(key)
        return groups.values()

    async def fill(self, storage: Storage, pairs: Mapping[str, Any], ttl: float | None = None) -> None:
        """Sets all `pairs`, in as many steps as the backend needs."""
        for keys in self.in_steps(pairs):
            await storage.mset({key: pairs[key] for key in keys}, ttl=ttl)

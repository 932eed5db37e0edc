"""What every part of the suite stands on: a storage whose time the test moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from rrag_storage import ManualClock
from rrag_storage.testing.capabilities import Capabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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

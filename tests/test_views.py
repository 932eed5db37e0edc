"""The contract on `namespace()` views: each is a storage of its own, whatever stands around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from rrag_storage import DatabaseStorage, InMemoryStorage, ManualClock, Storage
from rrag_storage.testing import Capabilities, StorageContract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NEIGHBOURS = {
    "view": "a key of the view's own name",
    "view2::key": "behind the view",
    "vie::key": "before the view",
    "key": "outside",
    "View::key": "in other letters",
    "view:key": "not quite the view",
    "outer::view2::key": "beside a nested view",
    "outer::key": "above a nested view",
}


class Surrounded(StorageContract):
    """What the views here share: nothing that the suite does to one may touch its neighbours."""

    view: str

    def parent(self, clock: ManualClock, folder: Path, number: int) -> Storage:
        raise NotImplementedError

    @pytest.fixture
    def make_storage(self, clock: ManualClock, tmp_path: Path) -> Iterator[Callable[[], Storage]]:
        parents: list[Storage] = []

        def make() -> Storage:
            parent = self.parent(clock, tmp_path, len(parents))
            parent.sync.mset(NEIGHBOURS)
            parents.append(parent)
            view = parent
            for name in self.view.split("/"):
                view = view.namespace(name)
            return view

        yield make
        for parent in parents:
            assert parent.closed is False
            assert parent.sync.mget(NEIGHBOURS) == list(NEIGHBOURS.values())
            parent.sync.close()


def prefixed(*names: str) -> Capabilities:
    """What is left of a key's length behind these namespaces."""
    return Capabilities(max_key_bytes=2048 - sum(len(name.encode()) + 2 for name in names))


class TestViewInMemory(Surrounded):
    """A view in memory."""

    view = "view"
    capabilities = prefixed("view")

    def parent(self, clock: ManualClock, folder: Path, number: int) -> Storage:
        return InMemoryStorage(clock=clock)


class TestNestedViewInMemory(Surrounded):
    """A view of a view in memory, its name not plain."""

    view = "outer/vi%w_é"
    capabilities = prefixed("outer", "vi%w_é")

    def parent(self, clock: ManualClock, folder: Path, number: int) -> Storage:
        return InMemoryStorage(clock=clock)


class TestViewOfSqlite(Surrounded):
    """A view of a file."""

    view = "view"
    capabilities = prefixed("view")

    def parent(self, clock: ManualClock, folder: Path, number: int) -> Storage:
        return DatabaseStorage(f"sqlite:{folder / str(number)}.db", clock=clock)


class TestNestedViewOfSqlite(Surrounded):
    """A view of a view of a database in memory."""

    view = "outer/view"
    capabilities = prefixed("outer", "view")

    def parent(self, clock: ManualClock, folder: Path, number: int) -> Storage:
        return DatabaseStorage("sqlite::memory:", clock=clock)

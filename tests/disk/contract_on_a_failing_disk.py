"""The contract, for failing.py alone: its storages lie on the disk that the plugin has fail."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rrag_storage import DatabaseStorage, ManualClock, Storage, StorageError
from rrag_storage.testing import StorageContract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class TestOnAFailingDisk(StorageContract):
    """Each test of it, while the disk fails."""

    @pytest.fixture
    def place(self, pytestconfig: pytest.Config, clock: ManualClock) -> Iterator[Path]:
        plugin: Any = next(one for one in pytestconfig.pluginmanager.get_plugins() if hasattr(one, "has_failed"))
        folder = Path(tempfile.mkdtemp(dir=plugin.folder))
        self.plugin, self.held = plugin, dict[Path, dict[str, Any]]()
        plugin.arm()
        yield folder
        plugin.disarm()
        try:
            for path in sorted(folder.glob("*.db")):
                plugin.check(path, self.held.get(path), clock)
        finally:
            shutil.rmtree(folder)

    @pytest.fixture
    def make_storage(self, clock: ManualClock, place: Path) -> Callable[[], Storage]:
        numbers = iter(range(1_000))
        # Whoever waits for a lock that a failure left must not do so for long.
        return lambda: DatabaseStorage(f"sqlite:{place / f'{next(numbers)}.db'}", clock=clock, connection_timeout=0.1)

    @pytest.fixture
    def storage(self, make_storage: Callable[[], Storage], place: Path) -> Iterator[Storage]:
        storage = make_storage()
        yield storage
        self.plugin.disarm()
        try:
            held = {entry.key: entry.version for entry in storage.sync.entries()}
        except StorageError:
            held = None  # it was closed
        storage.sync.close()
        if held is not None:
            self.held[place / "0.db"] = held

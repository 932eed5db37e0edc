"""The contract, and the model, with layers over the engines: no caller can tell them from a storage without any."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from layered import COMPRESSED, ENCRYPTED, HIDDEN, LZ4, all_three, at, in_memory
from rrag_storage import InMemoryStorage, ManualClock, ObjectStorage, Storage
from rrag_storage.testing import Capabilities, StorageContract, storage_machine
from test_model import EXAMPLES, test_case

if TYPE_CHECKING:
    from collections.abc import Callable

LARGE: dict[str, Any] = {"large_value_threshold": 1}
PACKED = Capabilities(stored_in_full=False)


class InMemory:
    """A storage in memory with the options of a subclass; large values live in another one."""

    options: ClassVar[dict[str, Any]]

    @pytest.fixture
    def make_storage(self, clock: ManualClock) -> Callable[[], Storage]:
        return lambda: in_memory(clock, **self.options)


class TestZstd(InMemory, StorageContract):
    """Values of any size are compressed where that pays."""

    options = COMPRESSED
    capabilities = PACKED


class TestLz4(InMemory, StorageContract):
    """The same with the other method."""

    options = LZ4
    capabilities = PACKED


class TestEncrypted(InMemory, StorageContract):
    """Every value is sealed."""

    options = ENCRYPTED


class TestLarge(InMemory, StorageContract):
    """Every value lives in the object store, integers that are counted on too."""

    options = LARGE
    capabilities = PACKED


class TestAllInMemory(InMemory, StorageContract):
    """All three, and every value in the object store."""

    options: ClassVar = {**COMPRESSED, **ENCRYPTED, **LARGE}
    capabilities = PACKED


class TestAllOnFile(StorageContract):
    """All three on a SQLite file; values of more than a line live in files of their own."""

    capabilities = PACKED

    @pytest.fixture
    def make_storage(self, clock: ManualClock, tmp_path: Path) -> Callable[[], Storage]:
        numbers = iter(range(1_000))

        def make() -> Storage:
            number = next(numbers)
            store = ObjectStorage(f"file://{tmp_path}/large-{number}", clock=clock)
            return at(tmp_path / f"{number}.db", clock=clock, **all_three(store))

        return make


class TestHiddenKeys(InMemory, StorageContract):
    """A hash stands for each key: exact lookups work, and listings are refused."""

    options = HIDDEN
    capabilities = Capabilities(listings=False)


class AllOnFile(storage_machine(lambda clock: InMemoryStorage(clock=clock))):  # type: ignore[misc]
    """All three, on files of their own for each sequence."""

    folder: Path

    @staticmethod
    def make(clock: ManualClock) -> Storage:
        """A storage in a new folder."""
        folder = Path(tempfile.mkdtemp(prefix="rrag-layers-"))
        AllOnFile.folder = folder
        return at(folder / "memory.db", clock=clock, synchronous="normal", **all_three(InMemoryStorage(clock=clock)))

    def teardown(self) -> None:
        """Closes and removes the file."""
        super().teardown()
        shutil.rmtree(self.folder)


TestAllModel = test_case(
    storage_machine(lambda clock: in_memory(clock, **COMPRESSED, **ENCRYPTED, large_value_threshold=32)), EXAMPLES
)
TestAllOnFileModel = test_case(AllOnFile, EXAMPLES // 2)

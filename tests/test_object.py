"""The contract on object stores: an S3 server, and a folder."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from rrag_storage import ObjectStorage
from rrag_storage.testing import Capabilities, StorageContract

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rrag_storage import ManualClock, Storage
    from servers import S3

# A name has at most 1,024 bytes, prefix and encoding included: some characters take five for each of theirs.
CAPABILITIES = Capabilities(transactions=False, atomic_mset=False, max_key_bytes=150, refused_key_bytes=1_024)


class TestS3(StorageContract):
    """A bucket."""

    capabilities = CAPABILITIES

    @pytest.fixture
    def make_storage(self, clock: ManualClock, s3: S3) -> Callable[[], Storage]:
        return lambda: s3.storage(clock=clock)


class TestFolder(StorageContract):
    """A folder of this machine."""

    capabilities = CAPABILITIES

    @pytest.fixture
    def make_storage(self, clock: ManualClock, tmp_path: Path) -> Callable[[], Storage]:
        numbers = itertools.count()
        return lambda: ObjectStorage(f"file://{tmp_path}/{next(numbers)}", clock=clock)

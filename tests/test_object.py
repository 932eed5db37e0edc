"""The contract on object stores: an S3 server, and a folder."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from rrag_storage import InvalidKeyError, ObjectStorage
from rrag_storage.testing import Capabilities, StorageContract, asynchronous, operations

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rrag_storage import ManualClock, Storage
    from servers import S3


def capabilities(prefix: str, *, stored_in_full: bool = True) -> Capabilities:
    """A name has at most 1,024 bytes: a prefix, the key, some of whose characters take five for each of theirs, an end."""
    return Capabilities(
        transactions=False,
        atomic_mset=False,
        bulk=1_800,
        max_key_bytes=150,
        longest_key_bytes=1_023 - len(prefix.encode()),
        stored_in_full=stored_in_full,
    )


class TestS3(StorageContract):
    """A bucket, below a prefix."""

    capabilities = capabilities("place000000/")

    @pytest.fixture
    def make_storage(self, clock: ManualClock, s3: S3) -> Callable[[], Storage]:
        return lambda: s3.storage(clock=clock)


class TestFolder(StorageContract):
    """A folder of this machine."""

    capabilities = capabilities("")

    @pytest.fixture
    def make_storage(self, clock: ManualClock, tmp_path: Path) -> Callable[[], Storage]:
        numbers = itertools.count()
        return lambda: ObjectStorage(f"file://{tmp_path}/{next(numbers)}", clock=clock)


@pytest.mark.parametrize("kind", ["s3", "folder"])
@asynchronous
async def test_a_key_whose_name_is_too_long(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    places: dict[str, Callable[[], Storage]] = {
        "s3": lambda: request.getfixturevalue("s3").storage(),
        "folder": lambda: ObjectStorage(f"file://{tmp_path}"),
    }
    async with places[kind]() as storage:
        for key in ("漢" * 190, "k" * 990, "Ab" * 320):
            await storage.set(key, key)
            assert await storage.get(key) == key
        for key in ("漢" * 300, "k" * 1_020, "AB" * 510):
            for name, operation in operations.KEYED.items():
                with pytest.raises(InvalidKeyError, match=r"1,?024|1,?023|1,?011") as refused:
                    await operation(storage, key)
                assert "shorten it or hash it" in str(refused.value), name
        assert await storage.count() == 3

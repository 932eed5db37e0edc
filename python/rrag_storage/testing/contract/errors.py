"""What errors and representations say, and that they never say too much."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING

import pytest

import rrag_storage
from rrag_storage import (
    BackendUnavailableError,
    ConflictError,
    InvalidKeyError,
    OperationTimeoutError,
    Storage,
    StorageClosedError,
    StorageError,
    UnsupportedTypeError,
)
from rrag_storage.testing.capabilities import requires
from rrag_storage.testing.loops import asynchronous

from .base import Contract

if TYPE_CHECKING:
    from collections.abc import Callable

STANDARD_BASES = {
    "BackendUnavailableError": ConnectionError,
    "OperationTimeoutError": TimeoutError,
    "InvalidKeyError": ValueError,
    "UnsupportedTypeError": TypeError,
    "ConfigurationError": ValueError,
}

NAMES = [
    *STANDARD_BASES,
    "StorageClosedError",
    "LimitExceededError",
    "ConflictError",
    "PartialWriteError",
    "DecryptionError",
    "CorruptedDataError",
    "UnsupportedOperationError",
]


def assert_pickles(error: StorageError) -> None:
    """Fails where a copy of `error` is less than the error."""
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert (twin.key, twin.retryable) == (error.key, error.retryable)


class Errors(Contract):
    """The tree of exceptions, their attributes, and `repr`."""

    @pytest.mark.parametrize("name", NAMES)
    def test_the_tree(self, name: str) -> None:
        kind = getattr(rrag_storage, name)
        assert issubclass(kind, StorageError)
        assert issubclass(kind, STANDARD_BASES.get(name, Exception))
        error = kind("what went wrong")
        assert error.key is None
        assert error.retryable is (kind in (ConflictError, BackendUnavailableError, OperationTimeoutError))
        assert "what went wrong" in str(error)
        assert_pickles(error)

    @asynchronous
    async def test_errors_of_keys_and_values(self, storage: Storage) -> None:
        for call, kind in (
            (lambda: storage.get(""), InvalidKeyError),
            (lambda: storage.set("key", {"a": object()}), UnsupportedTypeError),
        ):
            with pytest.raises(kind) as refused:
                await call()
            assert refused.value.key is None or isinstance(refused.value.key, str)
            assert refused.value.retryable is False
            assert_pickles(refused.value)

    @asynchronous
    async def test_an_error_never_repeats_a_value(self, storage: Storage) -> None:
        secret = "hunter2-hunter2"
        for value in ([secret, object()], {"a": {1: secret}}, f"{secret}\ud800", {"a": (secret, {1j: secret})}):
            with pytest.raises(UnsupportedTypeError) as refused:
                await storage.set("key", value)
            assert secret not in str(refused.value)
        await storage.set("key", secret)
        with pytest.raises(TypeError) as refused:
            await storage.increment("key")
        assert secret not in str(refused.value)

    @asynchronous
    async def test_the_error_of_a_closed_storage(self, make_storage: Callable[[], Storage]) -> None:
        storage = make_storage()
        await storage.close()
        with pytest.raises(StorageClosedError) as closed:
            await storage.get("key")
        assert_pickles(closed.value)

    @requires("transactions")
    @asynchronous
    async def test_the_error_of_a_conflict(self, storage: Storage) -> None:
        with pytest.raises(ConflictError) as conflict:
            async with storage.transaction() as tx:
                await tx.get("key")
                await storage.set("key", 1)
        assert conflict.value.key == "key"
        assert "key" in str(conflict.value)
        assert_pickles(conflict.value)

    @asynchronous
    async def test_an_integer_is_named_where_it_is_missing(self, storage: Storage) -> None:
        await storage.set("key", "text")
        with pytest.raises(TypeError, match="string"):
            await storage.increment("key")

    @asynchronous
    async def test_representations(self, storage: Storage) -> None:
        await storage.set("key", {"a": 1})
        assert type(storage).__name__ in repr(storage)
        assert storage.url in repr(storage)
        assert "key" in repr(await storage.get_entry("key"))
        assert "map" in repr(await storage.get_entry("key"))
        assert storage.backend_name in repr(await storage.stats())
        assert repr(storage.sync)
        for html in (storage, storage.sync, await storage.get_entry("key"), await storage.stats()):
            assert html._repr_html_().lstrip().startswith("<")

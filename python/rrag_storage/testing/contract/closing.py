"""Closing: idempotent, final, and clean with operations under way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from rrag_storage import Storage, StorageClosedError, StorageError
from rrag_storage.testing import operations
from rrag_storage.testing.capabilities import requires
from rrag_storage.testing.loops import asynchronous, every_case, in_threads, run

from .base import Contract

if TYPE_CHECKING:
    from collections.abc import Callable


class Closing(Contract):
    """`close()`, context managers, and every call after it."""

    @asynchronous
    async def test_close_is_idempotent(self, storage: Storage) -> None:
        await storage.set("key", 1)
        assert storage.closed is False
        for _ in range(3):
            assert await storage.close() is None
            assert storage.closed is True
        await asyncio.gather(*(storage.close() for _ in range(10)))
        storage.sync.close()

    @asynchronous
    async def test_close_of_what_was_never_opened(self, make_storage: Callable[[], Storage]) -> None:
        storage = make_storage()
        await storage.close()
        with pytest.raises(StorageClosedError):
            await storage.get("key")

    @asynchronous
    async def test_every_call_on_a_closed_storage(self, storage: Storage) -> None:
        before = {f"{name} from before": operation(storage) for name, operation in operations.ALL.items()}
        await storage.set("key", 1)
        await storage.close()
        after = {name: operation(storage) for name, operation in operations.ALL.items()}
        with every_case() as case:
            for name, operation in (before | after).items():
                with case(name):
                    with pytest.raises(StorageClosedError) as closed:
                        await operation
                    assert isinstance(closed.value, StorageError)
                    assert closed.value.retryable is False
                    assert "closed" in str(closed.value)

    @requires("listings")
    @asynchronous
    async def test_the_rest_of_a_closed_storage(self, storage: Storage) -> None:
        await storage.mset({f"key-{number:04}": number for number in range(3_000)})
        left = storage.items()
        await anext(left)
        await storage.close()
        with pytest.raises(StorageClosedError):
            [pair async for pair in storage.items()]
        with pytest.raises(StorageClosedError):
            [entry async for entry in storage.entries()]
        with pytest.raises(StorageClosedError):
            [pair async for pair in left]
        with pytest.raises(StorageClosedError):
            list(storage.sync.items())
        with pytest.raises(StorageClosedError):
            storage.sync.get("key")
        with pytest.raises(StorageClosedError):
            await storage
        with pytest.raises(StorageClosedError):
            await storage.namespace("view").get("key")
        with pytest.raises(StorageClosedError):
            async with storage:
                pass
        assert isinstance(repr(storage), str)
        assert isinstance(storage.backend_name, str)

    @requires("transactions")
    @asynchronous
    async def test_transactions_of_a_closed_storage(self, storage: Storage) -> None:
        async def body(tx: Any) -> None:
            await tx.set("key", 1)

        with pytest.raises(StorageClosedError):
            async with storage.transaction() as tx:
                await tx.set("key", 1)
                await storage.close()
        with pytest.raises(StorageClosedError):
            async with storage.transaction() as tx:
                await tx.set("key", 1)
        with pytest.raises(StorageClosedError):
            await storage.transact(body)

    @asynchronous
    async def test_a_storage_is_a_context_manager(self, make_storage: Callable[[], Storage]) -> None:
        storage = make_storage()
        async with storage as opened:
            assert opened is storage
            await storage.set("key", 1)
        assert storage.closed is True
        storage = make_storage()
        with pytest.raises(ZeroDivisionError):
            async with storage:
                raise ZeroDivisionError
        assert storage.closed is True

    @asynchronous
    async def test_close_with_operations_under_way(self, make_storage: Callable[[], Storage]) -> None:
        for turns in (0, 1, 2):
            storage = make_storage()
            tasks = [asyncio.create_task(storage.set(f"key-{number}", number)) for number in range(100)]
            tasks += [asyncio.create_task(storage.get(f"key-{number}", number)) for number in range(100)]
            for _ in range(turns):
                await asyncio.sleep(0)
            await storage.close()
            for number, outcome in enumerate(await asyncio.gather(*tasks, return_exceptions=True)):
                if not isinstance(outcome, StorageClosedError):
                    assert outcome is None or outcome == number - 100

    def test_close_by_many_threads(self, make_storage: Callable[[], Storage]) -> None:
        storage = make_storage()
        storage.sync.set("key", 1)
        in_threads(6, lambda thread: storage.sync.close() if thread % 2 else run(storage.close()))
        assert storage.closed is True

    @requires("listings")
    @asynchronous
    async def test_an_operation_keeps_its_storage(self, make_storage: Callable[[], Storage]) -> None:
        for _ in range(5):
            assert await make_storage().increment("key") == 1
            assert await make_storage().get("key", "none") == "none"
            assert make_storage().sync.increment("key") == 1
            assert [pair async for pair in make_storage().items()] == []

    def test_a_storage_that_nobody_closes(self, make_storage: Callable[[], Storage]) -> None:
        make_storage().sync.set("key", 1)
        make_storage()

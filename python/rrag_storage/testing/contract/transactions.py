"""Transactions: serialisable, optimistic, all or nothing."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import pytest

from rrag_storage import (
    ConflictError,
    InvalidKeyError,
    Storage,
    StorageError,
    Transaction,
    UnsupportedOperationError,
    UnsupportedTypeError,
)
from rrag_storage.testing.capabilities import requires, requires_not
from rrag_storage.testing.loops import asynchronous, every_case, in_threads

from .base import Contract

if TYPE_CHECKING:
    from rrag_storage import ManualClock

READS: dict[str, Any] = {
    "get": lambda tx: tx.get("read"),
    "get_entry": lambda tx: tx.get_entry("read"),
    "mget": lambda tx: tx.mget(["other", "read"]),
    "exists": lambda tx: tx.exists("read"),
    "increment": lambda tx: tx.increment("read"),
    "set_if_absent": lambda tx: tx.set_if_absent("read", 7),
}

CHANGES: dict[str, Any] = {
    "set": lambda storage: storage.set("read", 2),
    "set-to-the-same": lambda storage: storage.set("read", 1),
    "delete": lambda storage: storage.delete("read"),
    "pop": lambda storage: storage.pop("read"),
    "mset": lambda storage: storage.mset({"read": 2}),
    "increment": lambda storage: storage.increment("read"),
    "expire": lambda storage: storage.expire("read", 100),
    "clear": lambda storage: storage.clear(),
}


class Transactions(Contract):
    """`transaction()` and `transact()`."""

    @requires_not("transactions")
    @asynchronous
    async def test_transactions_are_refused(self, storage: Storage) -> None:
        async def change(tx: Transaction) -> None:
            await tx.set("key", 1)

        with pytest.raises(UnsupportedOperationError):
            async with storage.transaction() as tx:
                await tx.set("key", 1)
        with pytest.raises(UnsupportedOperationError):
            await storage.transact(change)
        assert await storage.exists("key") is False

    @requires("transactions")
    @asynchronous
    async def test_a_transaction_commits_at_its_end(self, storage: Storage) -> None:
        await storage.mset({"a": 1, "b": 2, "c": 3, "d": 4})
        async with storage.transaction() as tx:
            assert await tx.set("a", 10) is None
            assert await tx.delete("b") is True
            assert await tx.delete("missing") is False
            assert await tx.increment("c", 5) == 8
            assert await tx.mset({"e": 5, "f": 6}) is None
            assert await tx.set_if_absent("g", 7) is True
            assert await tx.set_if_absent("a", 8) is False
            assert await tx.mdelete(["d", "missing", "d"]) == 1
            assert await storage.mget(["a", "b", "c", "d", "e"]) == [1, 2, 3, 4, None]
        assert await storage.mget(["a", "b", "c", "d", "e", "f", "g"]) == [10, None, 8, None, 5, 6, 7]

    @requires("transactions")
    @asynchronous
    async def test_a_transaction_reads_its_own_writes(self, storage: Storage) -> None:
        await storage.mset({"a": 1, "b": 2})
        default = object()
        async with storage.transaction() as tx:
            await tx.set("a", [10])
            await tx.delete("b")
            await tx.mset({"c": 3})
            assert await tx.get("a") == [10]
            assert await tx.get("b") is None
            assert await tx.get("b", default) is default
            assert await tx.mget(["a", "b", "c", "d"], default) == [[10], default, 3, default]
            assert await tx.exists("b") is False
            assert await tx.exists("c") is True
            assert await tx.get_entry("b") is None
            entry = await tx.get_entry("a")
            assert (entry.key, entry.value) == ("a", [10])
            assert await tx.increment("c") == 4
            assert await tx.get("c") == 4
            assert await tx.set_if_absent("b", "new") is True
            assert await tx.get("b") == "new"
            assert await tx.delete("c") is True
            assert await tx.mdelete(["c"]) == 0
            assert await tx.increment("c") == 1
        assert await storage.mget(["a", "b", "c"]) == [[10], "new", 1]

    @requires("transactions")
    @asynchronous
    async def test_what_is_set_is_a_snapshot(self, storage: Storage) -> None:
        value = [1]
        async with storage.transaction() as tx:
            await tx.set("key", value)
            value.append(2)
            (await tx.get("key")).append(3)
            assert await tx.get("key") == [1]
        assert await storage.get("key") == [1]

    @requires("transactions")
    @asynchronous
    async def test_an_exception_rolls_back(self, storage: Storage) -> None:
        await storage.set("a", 1)
        with pytest.raises(ZeroDivisionError):
            async with storage.transaction() as tx:
                await tx.set("a", 2)
                await tx.mset({"b": 2})
                await tx.delete("a")
                raise ZeroDivisionError
        assert await storage.mget(["a", "b"]) == [1, None]

    @requires("transactions")
    @asynchronous
    async def test_a_cancelled_transaction_rolls_back(self, storage: Storage) -> None:
        inside = asyncio.Event()

        async def body() -> None:
            async with storage.transaction() as tx:
                await tx.set("key", 1)
                inside.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(body())
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await storage.exists("key") is False

    @requires("transactions")
    @asynchronous
    async def test_a_changed_key_is_a_conflict(self, storage: Storage) -> None:
        with every_case() as case:
            for read, change in itertools.product(READS, CHANGES):
                with case(f"{change} after {read}"):
                    await storage.set("read", 1)
                    with pytest.raises(ConflictError) as conflict:
                        async with storage.transaction() as tx:
                            await READS[read](tx)
                            await tx.set("written", 1)
                            await CHANGES[change](storage)
                            after = await storage.get_entry("read")
                    assert conflict.value.retryable is True
                    assert conflict.value.key == "read"
                    assert await storage.exists("written") is False
                    assert await storage.get_entry("read") == after

    @requires("transactions")
    @asynchronous
    async def test_a_key_that_appeared_is_a_conflict(self, storage: Storage) -> None:
        with every_case() as case:
            for name, read in READS.items():
                with case(name):
                    await storage.clear()
                    with pytest.raises(ConflictError):
                        async with storage.transaction() as tx:
                            await read(tx)
                            await tx.set("written", 1)
                            await storage.set("read", 5)
                    assert await storage.mget(["read", "written"]) == [5, None]

    @requires("transactions")
    @asynchronous
    async def test_a_key_that_went_and_came_back_is_a_conflict(self, storage: Storage) -> None:
        await storage.set("read", 1)
        with pytest.raises(ConflictError):
            async with storage.transaction() as tx:
                await tx.get("read")
                await storage.delete("read")
                await storage.set("read", 1)
                await tx.set("written", 1)
        assert await storage.exists("written") is False

    @requires("transactions")
    @asynchronous
    async def test_a_transaction_that_only_read_conflicts_as_well(self, storage: Storage) -> None:
        await storage.mset({"a": 1, "b": 1})
        with pytest.raises(ConflictError):
            async with storage.transaction() as tx:
                await tx.get("a")
                await storage.mset({"a": 2, "b": 2})
                await tx.get("b")

    @requires("transactions")
    @asynchronous
    async def test_what_was_not_read_is_no_conflict(self, storage: Storage) -> None:
        await storage.mset({"read": 1, "blind": 1, "unrelated": 1})
        async with storage.transaction() as tx:
            assert await tx.get("read") == 1
            await tx.set("blind", 2)
            await storage.mset({"blind": 9, "unrelated": 9, "new": 9})
        assert await storage.mget(["read", "blind", "unrelated", "new"]) == [1, 2, 9, 9]

    @requires("transactions")
    @asynchronous
    async def test_reads_are_repeatable(self, storage: Storage) -> None:
        await storage.set("key", 1)
        with pytest.raises(ConflictError):
            async with storage.transaction() as tx:
                assert await tx.get("key") == 1
                assert await tx.get("missing") is None
                await storage.mset({"key": 2, "missing": 2})
                assert await tx.get("key") == 1
                assert await tx.mget(["key", "missing"]) == [1, None]
                assert await tx.exists("missing") is False
                assert (await tx.get_entry("key")).value == 1

    @requires("transactions")
    @asynchronous
    async def test_no_write_skew(self, storage: Storage) -> None:
        await storage.mset({"ada": "on call", "bo": "on call"})

        async def leave(who: str, both: _Meeting) -> None:
            async with storage.transaction() as tx:
                states = await tx.mget(["ada", "bo"])
                await both.wait()
                if states.count("on call") == 2:
                    await tx.set(who, "away")

        meeting = _Meeting(2)
        outcomes = await asyncio.gather(leave("ada", meeting), leave("bo", meeting), return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ConflictError", "NoneType"]
        assert (await storage.mget(["ada", "bo"])).count("on call") == 1

    @requires("transactions")
    @asynchronous
    async def test_two_transactions_at_once(self, storage: Storage) -> None:
        async with storage.transaction() as one, storage.transaction() as two:
            await one.set("a", 1)
            await two.set("b", 2)
            assert await one.get("c") is None
            assert await two.get("d") is None
        assert await storage.mget(["a", "b"]) == [1, 2]

    @requires("transactions")
    @asynchronous
    async def test_an_empty_transaction(self, storage: Storage) -> None:
        async with storage.transaction() as tx:
            assert isinstance(tx, Transaction)
        async with storage.transaction() as tx:
            assert await tx.get("key") is None
        assert await storage.count() == 0

    @requires("transactions")
    @pytest.mark.parametrize("fails", [False, True], ids=["committed", "rolled-back"])
    @asynchronous
    async def test_a_transaction_ends_with_its_block(self, storage: Storage, fails: bool) -> None:
        kept: Any = None
        try:
            async with storage.transaction() as tx:
                await tx.set("key", 1)
                kept = tx.set("late", 1)
                if fails:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            assert fails
        calls: list[Any] = [
            kept,
            tx.get("key"),
            tx.get_entry("key"),
            tx.mget(["key"]),
            tx.exists("key"),
            tx.set("key", 2),
            tx.set_if_absent("key", 2),
            tx.mset({"key": 2}),
            tx.delete("key"),
            tx.mdelete(["key"]),
            tx.increment("key"),
        ]
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(outcome, StorageError)
        assert await storage.get("key") == (None if fails else 1)
        assert await storage.exists("late") is False

    @requires("listings")
    @requires("transactions")
    @asynchronous
    async def test_a_refused_argument_leaves_the_transaction_whole(self, storage: Storage) -> None:
        async with storage.transaction() as tx:
            await tx.set("a", 1)
            with pytest.raises(UnsupportedTypeError):
                await tx.set("b", object())
            with pytest.raises(UnsupportedTypeError):
                await tx.mset({"c": 1, "d": object()})
            with pytest.raises(InvalidKeyError):
                await tx.get("")
            with pytest.raises(TypeError):
                await tx.delete(None)
            with pytest.raises(ValueError, match="ttl"):
                await tx.set("e", 1, ttl=0)
            with pytest.raises(TypeError):
                await tx.increment("a", True)
            await tx.set("f", "text")
            with pytest.raises(TypeError):
                await tx.increment("f")
        assert await storage.keys() == ["a", "f"]
        assert await storage.mget(["a", "f"]) == [1, "text"]

    @requires("listings")
    @requires("transactions")
    @asynchronous
    async def test_expiries(self, storage: Storage, clock: ManualClock) -> None:
        await storage.mset({"kept": 1, "overwritten": 1}, ttl=10)
        async with storage.transaction() as tx:
            await tx.set("short", 1, ttl=5)
            await tx.mset({"long": 1}, ttl=50)
            await tx.set("overwritten", 2)
            assert await tx.increment("kept") == 2
            assert await tx.set_if_absent("absent", 1, ttl=5) is True
        assert await storage.ttl("kept") == pytest.approx(10, abs=0.002)
        clock.advance(6)
        assert await storage.keys() == ["kept", "long", "overwritten"]
        clock.advance(6)
        assert await storage.keys() == ["long", "overwritten"]

    @requires("transactions")
    @asynchronous
    async def test_creation_and_version(self, storage: Storage, clock: ManualClock) -> None:
        await storage.mset({"old": 1})
        before = await storage.get_entry("old")
        clock.advance(10)
        async with storage.transaction() as tx:
            assert (await tx.get_entry("old")).version == before.version
            await tx.set("old", 2)
        after = await storage.get_entry("old")
        assert after.created_at == before.created_at
        assert after.updated_at > before.updated_at
        assert after.version != before.version

    @requires("transactions")
    @asynchronous
    async def test_transact_gives_what_its_function_gave(self, storage: Storage) -> None:
        async def body(tx: Transaction) -> str:
            await tx.set("key", 1)
            return "done"

        assert await storage.transact(body) == "done"
        assert await storage.get("key") == 1

    @requires("transactions")
    @asynchronous
    async def test_transact_runs_again_on_a_conflict(self, storage: Storage) -> None:
        await storage.set("key", 0)
        attempts = []

        async def body(tx: Transaction) -> int:
            value = await tx.get("key")
            attempts.append(value)
            if len(attempts) <= 2:
                await storage.increment("key", 10)
            await tx.set("key", value + 1)
            return len(attempts)

        assert await storage.transact(body) == 3
        assert attempts == [0, 10, 20]
        assert await storage.get("key") == 21

    @requires("transactions")
    @asynchronous
    async def test_transact_gives_up(self, storage: Storage) -> None:
        attempts = []

        async def body(tx: Transaction) -> None:
            attempts.append(await tx.get("key"))
            await storage.increment("key")
            await tx.set("written", 1)

        with pytest.raises(ConflictError):
            await storage.transact(body, max_attempts=3)
        assert len(attempts) == 3
        attempts.clear()
        with pytest.raises(ConflictError):
            await storage.transact(body)
        assert len(attempts) == 16
        assert await storage.exists("written") is False

    @requires("transactions")
    @asynchronous
    async def test_transact_hands_on_an_exception_at_once(self, storage: Storage) -> None:
        attempts = []

        async def body(tx: Transaction) -> None:
            attempts.append(1)
            await tx.set("key", 1)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await storage.transact(body)
        assert len(attempts) == 1
        assert await storage.exists("key") is False

    @requires("transactions")
    @pytest.mark.parametrize(("attempts", "error"), [(0, ValueError), (-1, ValueError), ("3", TypeError)])
    @asynchronous
    async def test_a_wrong_number_of_attempts(self, storage: Storage, attempts: Any, error: type[Exception]) -> None:
        async def body(tx: Transaction) -> None:
            await tx.set("key", 1)

        with pytest.raises(error):
            await storage.transact(body, max_attempts=attempts)
        assert await storage.exists("key") is False

    @requires("transactions")
    @asynchronous
    async def test_a_function_that_never_returns_holds_nobody_up(self, storage: Storage) -> None:
        inside = asyncio.Event()

        async def body(tx: Transaction) -> None:
            await tx.set("key", "pending")
            await tx.get("other")
            inside.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(storage.transact(body))
        await inside.wait()
        await storage.mset({"key": 1, "other": 2})
        async with storage.transaction() as tx:
            await tx.increment("key")
        assert await storage.get("key") == 2
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await storage.get("key") == 2

    @requires("transactions")
    @asynchronous
    async def test_transfers_keep_the_sum(self, storage: Storage) -> None:
        accounts = [f"account-{number}" for number in range(6)]
        await storage.mset(dict.fromkeys(accounts, 100))

        async def transfer(source: str, target: str, amount: int) -> None:
            async def body(tx: Transaction) -> None:
                held, other = await tx.mget([source, target])
                await asyncio.sleep(0)
                await tx.set(source, held - amount)
                await tx.set(target, other + amount)

            await storage.transact(body, max_attempts=1_000)

        moves = [(accounts[step % 6], accounts[(step * 5 + 1) % 6], step % 7) for step in range(60)]
        await asyncio.gather(*(transfer(*move) for move in moves if move[0] != move[1]))
        assert sum(await storage.mget(accounts)) == 600

    @requires("transactions")
    def test_transfers_of_many_threads_keep_the_sum(self, storage: Storage) -> None:
        storage.sync.mset({"a": 500, "b": 500})

        def work(thread: int) -> None:
            def body(tx: Any) -> None:
                source, target = ("a", "b") if thread % 2 else ("b", "a")
                tx.set(source, tx.get(source) - 1)
                tx.set(target, tx.get(target) + 1)

            for _ in range(20):
                storage.sync.transact(body, max_attempts=10_000)
                # What was read only counts once it was committed.
                both = storage.sync.transact(lambda tx: (tx.get("a"), tx.get("b")), max_attempts=10_000)
                assert sum(both) == 1_000

        in_threads(4, work)
        assert storage.sync.mget(["a", "b"]) == [500, 500]

    @requires("transactions")
    def test_a_blocking_transaction(self, storage: Storage) -> None:
        sync = storage.sync
        with sync.transaction() as tx:
            assert tx.set("a", 1) is None
            assert tx.get("a") == 1
            assert tx.get("missing", 7) == 7
            assert tx.mget(["a", "missing"], 7) == [1, 7]
            assert tx.exists("a") is True
            assert tx.get_entry("a").value == 1
            assert tx.increment("a", 4) == 5
            assert tx.set_if_absent("a", 9) is False
            assert tx.mset({"b": 1, "c": 2}) is None
            assert tx.delete("b") is True
            assert tx.mdelete(["c", "d"]) == 1
            assert sync.get("a") is None
        assert sync.get("a") == 5
        with pytest.raises(StorageError):
            tx.get("a")
        with pytest.raises(ZeroDivisionError), sync.transaction() as tx:
            tx.set("a", 6)
            raise ZeroDivisionError
        with pytest.raises(ConflictError), sync.transaction() as tx:
            tx.get("a")
            sync.set("a", 7)
            tx.set("b", 1)
        assert sync.mget(["a", "b"]) == [7, None]

    @requires("transactions")
    def test_a_blocking_transact(self, storage: Storage) -> None:
        attempts = []

        def body(tx: Any) -> str:
            attempts.append(tx.get("key"))
            if len(attempts) == 1:
                storage.sync.set("key", 5)
            tx.set("key", 6)
            return "done"

        assert storage.sync.transact(body) == "done"
        assert attempts == [None, 5]
        assert storage.sync.get("key") == 6


class _Meeting:
    """Lets go once `count` tasks wait: asyncio.Barrier, which Python 3.10 hasn't."""

    def __init__(self, count: int) -> None:
        self._missing = count
        self._complete = asyncio.Event()

    async def wait(self) -> None:
        self._missing -= 1
        if not self._missing:
            self._complete.set()
        await self._complete.wait()

"""`rotate()`, and options that change over data that is there."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import TYPE_CHECKING, Any

import pytest
from layered import COMPRESSED, ENCRYPTED, KEY, LZ4, OTHER_KEY, all_three, at, offloaded, payloads
from rrag_storage import Compression, CorruptedDataError, DecryptionError, InMemoryStorage, RotateProgress
from rrag_storage.testing import assert_same, asynchronous, cases

if TYPE_CHECKING:
    from pathlib import Path

BOTH = {"old": KEY, "new": OTHER_KEY}
VALUES: dict[str, Any] = {
    "small": 1,
    "text": "text that shrinks, " * 50,
    "noise": random.Random(1).randbytes(500),
    "numbers": list(range(500)),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.db"


def many(count: int = 100) -> dict[str, Any]:
    """Values of every size."""
    return {f"key-{number:04}": [number] * (number % 50 * 10) for number in range(count)}


class TestRotate:
    """One option or key after another."""

    def test_the_old_key_can_go(self, path: Path) -> None:
        with at(path, encryption_key={"old": KEY}).sync as storage:
            storage.mset(many(), ttl=3600)
            before = list(storage.entries())
        with at(path, encryption_key=BOTH, active_key="new").sync as storage:
            assert storage.rotate() == RotateProgress(seen=100, rewritten=100)
            assert list(storage.entries()) == before
            assert storage.rotate() == RotateProgress(seen=100, rewritten=0)
        with at(path, encryption_key={"new": OTHER_KEY}).sync as storage:
            assert dict(storage.items()) == many()
        with at(path, encryption_key={"old": KEY}).sync as storage, pytest.raises(DecryptionError, match='"new"'):
            storage.get("key-0000")

    @pytest.mark.parametrize("page_size", [1, 7, 100, 1000])
    def test_progress(self, path: Path, page_size: int) -> None:
        told: list[RotateProgress] = []
        with at(path).sync as storage:
            storage.mset(many())
        with at(path, require_encryption=False, **ENCRYPTED).sync as storage:
            done = storage.rotate(progress=told.append, page_size=page_size)
        assert done == told[-1] == RotateProgress(100, 100)
        # The last page may turn out to be empty.
        assert sorted({each.seen for each in told}) == [
            min(n, 100) for n in range(page_size, 100 + page_size, page_size)
        ]

    @asynchronous
    async def test_progress_may_be_awaited_and_may_stop_it(self, path: Path) -> None:
        async with at(path) as storage:
            await storage.mset(many())
        async with at(path, require_encryption=False, **ENCRYPTED) as storage:

            async def progress(so_far: RotateProgress) -> None:
                await asyncio.sleep(0)
                if so_far.seen >= 30:
                    raise KeyError("enough")

            with pytest.raises(KeyError, match="enough"):
                await storage.rotate(progress=progress, page_size=10)
            assert await storage.rotate() == RotateProgress(100, 70)

    @pytest.mark.parametrize(
        ("options", "error"),
        [({"page_size": 0}, ValueError), ({"page_size": "1"}, TypeError), ({"progress": 3}, TypeError)],
    )
    def test_bad_arguments(self, options: dict[str, Any], error: type[Exception]) -> None:
        with pytest.raises(error):
            InMemoryStorage().sync.rotate(**options)

    def test_an_empty_storage(self) -> None:
        assert InMemoryStorage(**ENCRYPTED).sync.rotate() == RotateProgress(0, 0)

    def test_a_view(self, path: Path) -> None:
        with at(path, encryption_key={"old": KEY}).sync as storage:
            storage.mset({"a::1": 1, "a::2": 2, "b::1": 3})
        with at(path, encryption_key=BOTH, active_key="new").sync as storage:
            assert storage.namespace("a").rotate(page_size=1) == RotateProgress(2, 2)
            assert storage.rotate() == RotateProgress(3, 1)

    def test_a_record_that_can_not_be_read(self, path: Path) -> None:
        with at(path, encryption_key={"old": KEY}).sync as storage:
            storage.mset({"a": 1, "z": 2})
        with at(path, encryption_key={"lost": OTHER_KEY}).sync as storage:
            storage.set("m", 3)
        with at(path, encryption_key=BOTH, active_key="new").sync as storage:
            with pytest.raises(DecryptionError, match='"lost"') as error:
                storage.rotate()
            assert error.value.key == "m"
            storage.delete("m")
            assert storage.rotate().seen == 2

    def test_a_missing_payload(self) -> None:
        store = InMemoryStorage()
        storage = InMemoryStorage(**all_three(store)).sync
        storage.set("key", list(range(1000)))
        store.sync.clear()
        with pytest.raises(CorruptedDataError, match="missing in the object store") as error:
            storage.rotate()
        assert error.value.key == "key"

    def test_versions_stay(self, path: Path) -> None:
        with at(path, encryption_key={"old": KEY}).sync as storage:
            storage.set("key", 1)
        with at(path, encryption_key=BOTH, active_key="new").sync as storage:
            entry = storage.get_entry("key")
            with storage.transaction() as tx:
                assert tx.get("key") == 1
                assert storage.rotate().rewritten == 1
                tx.set("key", 2)
            assert storage.compare_and_set("key", 3, entry.version) is False

    @asynchronous
    async def test_others_go_on(self, path: Path) -> None:
        """Every write that others make while it runs stands, and every read finds its value."""
        store = InMemoryStorage()
        options: dict[str, Any] = {"synchronous": "normal", **all_three(store)}
        async with at(path, **{**options, "encryption_key": {"old": KEY}}) as storage:
            await storage.mset(many(60))
            await storage.mset({f"count-{number}": 0 for number in range(4)})
        ring = {**options, "encryption_key": BOTH, "active_key": "new"}
        async with at(path, **ring) as storage, at(path, **ring) as other:
            done = asyncio.Event()

            async def count(number: int) -> int:
                turns = 0
                while not done.is_set() or not turns:
                    turns += 1
                    assert await other.increment(f"count-{number}") == turns
                return turns

            async def overwrite() -> None:
                turn = 0
                while not done.is_set():
                    turn += 1
                    await other.set(f"key-{turn % 10:04}", [turn] * 400)
                    await other.delete(f"key-{turn % 10 + 10:04}")

            async def read() -> None:
                while not done.is_set():
                    for key, value in many(60).items():
                        # A read from a file may be done at once: others want to run, too.
                        await asyncio.sleep(0)
                        found = await other.get(key)
                        assert found == value or int(key[4:]) < 20

            async def rotate() -> None:
                for _ in range(3):
                    await asyncio.gather(storage.rotate(page_size=5), other.rotate(page_size=3))
                done.set()

            *counts, _, _, _ = await asyncio.gather(*(count(n) for n in range(4)), overwrite(), read(), rotate())
            assert await storage.mget([f"count-{number}" for number in range(4)]) == counts
            assert (await storage.rotate()).rewritten == 0
        async with at(path, **{**options, "encryption_key": {"new": OTHER_KEY}}) as storage:
            left = [key async for key, _ in storage.items()]
            assert {*many(60)} - {f"key-{number:04}" for number in range(20)} <= {*left}
            await storage.collect_garbage(older_than=0.000_001)
            assert [value async for value in storage.items()]


def combinations(store: InMemoryStorage) -> dict[str, dict[str, Any]]:
    """Options, each of which reads what any other wrote: the key and the store are given to all of them."""
    samples = [f"text that shrinks, number {number}" for number in range(1000)]
    trained = {"compression": Compression.train(samples), "compression_threshold": 1}
    there = {"encryption_key": KEY, "require_encryption": False, **offloaded(store)}
    here = {**there, "large_value_threshold": 1 << 20}
    return {
        "encrypted": here,
        "zstd": {**here, **COMPRESSED},
        "lz4": {**here, **LZ4},
        "trained": {**here, **trained},
        "large": there,
        "zstd-large": {**there, **COMPRESSED},
        "lz4-large": {**there, **LZ4},
        "all-large": {**there, **trained, "large_value_threshold": 1},
    }


class TestSwitching:
    """Options that change over data that is there."""

    def test_every_order(self, path: Path) -> None:
        """From any combination to any other: what was written is read, and rotated into what it would be now."""
        store = InMemoryStorage()
        options = combinations(store)
        bodies: dict[str, int] = {}
        for before, after in itertools.permutations(options, 2):
            with at(path, synchronous="normal", **options[before]).sync as storage:
                storage.clear()
                storage.mset(VALUES)
            with at(path, synchronous="normal", **options[after]).sync as storage:
                assert storage.mget(list(VALUES)) == list(VALUES.values())
                storage.rotate()
                assert storage.rotate().rewritten == 0, (before, after)
                assert storage.mget(list(VALUES)) == list(VALUES.values())
                held = len(payloads(store))
                assert bodies.setdefault(after, held) == held, (before, after)
        assert bodies["encrypted"] == bodies["zstd"] == bodies["lz4"] == bodies["trained"] == 0
        assert bodies["large"] == 3
        assert bodies["all-large"] == 4

    @pytest.mark.parametrize("plain_first", [True, False])
    def test_without_a_key_and_with(self, path: Path, plain_first: bool) -> None:
        lenient = {**ENCRYPTED, "require_encryption": False}
        with at(path, **({} if plain_first else ENCRYPTED)).sync as storage:
            storage.mset(VALUES)
        if plain_first:
            with at(path, **lenient).sync as storage:
                assert storage.rotate() == RotateProgress(4, 4)
            with at(path, **ENCRYPTED).sync as storage:
                assert dict(storage.items()) == VALUES
        else:
            with at(path).sync as storage, pytest.raises(DecryptionError):
                storage.get("small")

    @pytest.mark.parametrize("options", [COMPRESSED, LZ4], ids=["zstd", "lz4"])
    def test_compressed_ones_without_options(self, path: Path, options: dict[str, Any]) -> None:
        values = {case.name: case.value for case in cases.VALUES}
        with at(path, **options).sync as storage:
            storage.mset(values)
            storage.mset(VALUES)
        with at(path).sync as storage:
            for name, value in [*values.items(), *VALUES.items()]:
                assert_same(storage.get(name), value)
            assert storage.pop("text") == VALUES["text"]
            assert storage.expire("numbers", 60) is True
            assert storage.get("numbers", refresh_ttl=600) == VALUES["numbers"]
            assert storage.rotate().rewritten > 0
            assert storage.rotate().rewritten == 0

    def test_what_does_not_shrink_stays_raw(self) -> None:
        noise = random.Random(2).randbytes(5_000)
        sizes = []
        for options in ({}, COMPRESSED, LZ4):
            storage = InMemoryStorage(**options).sync
            storage.set("noise", noise)
            sizes.append(storage.stats().memory_bytes)
            assert storage.get("noise") == noise
        assert sizes[0] == sizes[1] == sizes[2]

    def test_thresholds(self) -> None:
        sizes = {}
        for size in (500, 2_000):
            for threshold in (None, 0, 10_000):
                storage = InMemoryStorage(compression="zstd", compression_threshold=threshold).sync
                storage.set("key", "x" * size)
                sizes[size, threshold] = storage.stats().memory_bytes
        assert sizes[500, None] > sizes[500, 0]
        assert sizes[2_000, None] == sizes[2_000, 0] < sizes[2_000, 10_000]

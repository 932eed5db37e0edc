"""A Redis server that is full: what each policy takes away, and that the rest stays right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from rrag_storage import OperationTimeoutError, StorageError
from rrag_storage.testing import asynchronous
from servers import Redis

if TYPE_CHECKING:
    from collections.abc import Iterator

VOLATILE = ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"]
ALL = ["allkeys-lru", "allkeys-lfu", "allkeys-random"]

ROOM = 3_000_000
"""Bytes that are left when the writes begin."""

BODY = "x" * 4_000
MOST = 5_000
"""Writes after which a server without more room must have refused or taken something."""


@pytest.fixture(scope="module")
def full() -> Iterator[Redis]:
    """A server that has little room."""
    with Redis(durable=False) as server:
        yield server


def limit(server: Redis, policy: str) -> None:
    """An empty server with `ROOM` from now on."""
    server.ask("CONFIG", "SET", "maxmemory", 0)
    server.ask("FLUSHALL")
    used = next(line for line in server.ask("INFO", "memory").splitlines() if line.startswith("used_memory:"))
    server.ask("CONFIG", "SET", "maxmemory-policy", policy)
    server.ask("CONFIG", "SET", "maxmemory", int(used.partition(":")[2]) + ROOM)


def evicted(server: Redis) -> int:
    lines = server.ask("INFO", "stats").splitlines()
    return int(next(line for line in lines if line.startswith("evicted_keys:")).partition(":")[2])


@pytest.mark.parametrize("policy", ["noeviction", *VOLATILE])
@asynchronous
async def test_what_never_expires_is_kept_or_refused(full: Redis, policy: str) -> None:
    limit(full, policy)
    acked = {}
    async with full.storage() as storage:
        await storage.set("n::before", "there")
        with pytest.raises(StorageError, match="maxmemory") as refused:
            for number in range(MOST):
                await storage.set(f"n::{number}", BODY)
                acked[f"n::{number}"] = BODY
        assert "OOM" in str(refused.value)
        assert not isinstance(refused.value, OperationTimeoutError)
        # Reads go on, nothing that was acknowledged is gone, and what was refused left nothing.
        assert await storage.mget(list(acked)) == [BODY] * len(acked)
        assert await storage.get("n::before") == "there"
        assert sorted(await storage.keys()) == sorted([*acked, "n::before"])
        assert await storage.count() == len(acked) + 1
        with pytest.raises(StorageError, match="maxmemory"):
            await storage.mset({"n::a": BODY, "n::b": BODY})
        assert await storage.mget(["n::a", "n::b"]) == [None, None]
        # There is room again: by what is deleted, which takes none itself.
        assert await storage.clear() == len(acked) + 1
        await storage.set("n::after", BODY)
        assert await storage.keys() == ["n::after"]


@pytest.mark.parametrize("policy", VOLATILE)
@asynchronous
async def test_what_expires_makes_room_and_leaves_the_listings(full: Redis, policy: str) -> None:
    limit(full, policy)
    before = evicted(full)
    async with full.storage() as storage:
        await storage.mset({f"kept::{number}": number for number in range(50)})
        for number in range(MOST):
            await storage.set(f"n::{number}", BODY, ttl=3600 + number)
            if number % 50 == 0 and evicted(full) > before + 100:
                break
        assert evicted(full) > before + 100
        full.ask("CONFIG", "SET", "maxmemory", 0)
        there = {f"n::{at}" for at in range(number + 1) if await storage.exists(f"n::{at}")}
        assert 0 < len(there) < number
        assert set(await storage.keys(namespace="n")) == there
        assert {key async for key, value in storage.items(namespace="n") if value == BODY} == there
        assert await storage.count("n") == len(there)
        assert await storage.mget([f"kept::{number}" for number in range(50)]) == list(range(50))
        assert len(await storage.keys(namespace="kept")) == 50
        assert await storage.clear("n") == len(there)
        assert await storage.count() == 50


@pytest.mark.parametrize("policy", ALL)
@asynchronous
async def test_a_policy_that_takes_anything(full: Redis, policy: str) -> None:
    """It may take an index too: what is there by key is right, no listing names what isn't, and who is set anew is listed."""
    limit(full, policy)
    before = evicted(full)
    async with full.storage() as storage:
        for number in range(MOST):
            await storage.set(f"n::{number}", [number, BODY])
            if number % 50 == 0 and evicted(full) > before + 300:
                break
        assert evicted(full) > before + 300
        full.ask("CONFIG", "SET", "maxmemory", 0)
        keys = [f"n::{at}" for at in range(number + 1)]
        values = await storage.mget(keys)
        assert all(value in (None, [at, BODY]) for at, value in enumerate(values))
        there = {key for key, value in zip(keys, values, strict=True) if value is not None}
        assert 0 < len(there) < number
        assert set(await storage.keys()) <= there
        assert await storage.count() <= len(there)
        # The worst there is: every index is gone.
        for name in full.ask("KEYS", "*"):
            if "}." in name:
                full.ask("DEL", name)
        assert set(await storage.keys()) <= there
        assert await storage.mget(list(there)) == [[int(key[3:]), BODY] for key in there]
        for key in there:
            assert await storage.delete(key)
            await storage.set(key, "again")
        assert await storage.keys() == sorted(there)
        assert await storage.count() == len(there)
        assert await storage.namespaces() == ["n"]
        assert await storage.clear() == len(there)
        assert await storage.mget(list(there)) == [None] * len(there)

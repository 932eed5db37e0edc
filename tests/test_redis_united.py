"""Blind writes that wait at the same time share a script on Redis: each has its own outcome, as if it had gone alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rrag_storage import RedisStorage, StorageError
from rrag_storage.testing import asynchronous

if TYPE_CHECKING:
    from servers.redis import Redis

MANY = 300


@asynchronous
async def test_one_that_is_refused_takes_no_other_along(redis: Redis) -> None:
    options = redis.options()
    async with RedisStorage(**options) as storage:
        await storage.set("key::0", "before")
        (name,) = redis.ask("KEYS", options["key_prefix"] + "*key::0")
        # Another program's list stands under the names of some records.
        odd = {7, 64, 65, 150}
        for number in odd:
            redis.ask("LPUSH", name.replace("key::0", f"key::{number}"), "x")
        calls = (storage.set(f"key::{number}", number) for number in range(MANY))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        for number, outcome in enumerate(outcomes):
            if number in odd:
                assert isinstance(outcome, StorageError)
                assert "WRONGTYPE" in str(outcome)
            else:
                assert outcome is None, outcome
        right = [number for number in range(MANY) if number not in odd]
        assert await storage.mget([f"key::{number}" for number in right]) == right
        assert await storage.count("key") == len(right)


@asynchronous
async def test_writes_of_one_key_keep_their_order(redis: Redis) -> None:
    async with RedisStorage(**redis.options()) as storage:
        calls = []
        for number in range(MANY):
            calls += [storage.set("twice", number), storage.set(f"key::{number}", number), storage.get("twice")]
        answers = await asyncio.gather(*calls)
        assert answers[2::3] == list(range(MANY))
        assert await storage.get("twice") == MANY - 1
        assert await storage.count() == MANY + 1


@asynchronous
async def test_indexes_and_times_are_those_of_lone_writes(redis: Redis) -> None:
    options = redis.options()
    async with RedisStorage(**options) as storage:
        await asyncio.gather(*(storage.set(f"key::{number}", number, ttl=60) for number in range(MANY)))
        created = {
            entry.key: entry.created_at for entry in await storage.get_entries([f"key::{n}" for n in range(MANY)])
        }
        # Written over: some lose their time to live, some are new.
        await asyncio.gather(*(storage.set(f"key::{number}", -number) for number in range(0, 2 * MANY, 2)))
        entries = await storage.get_entries([f"key::{number}" for number in range(MANY)])
        assert {entry.key: entry.created_at for entry in entries} == created
        assert [entry.expires_at is None for entry in entries] == [number % 2 == 0 for number in range(MANY)]
        assert len({entry.version for entry in entries}) == MANY
        assert await storage.count("key") == MANY + MANY // 2
        assert sorted(await storage.keys()) == sorted(
            f"key::{number}" for number in {*range(MANY), *range(0, 2 * MANY, 2)}
        )
        assert await storage.delete("key::0")
        assert await storage.clear() == MANY + MANY // 2 - 1
        left = redis.ask("KEYS", options["key_prefix"] + "*")
        assert [name for name in left if ".notes." not in name and not name.endswith(".gone")] == []

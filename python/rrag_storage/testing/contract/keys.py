"""Keys are compared by code point, whatever they hold; nothing in a key or a prefix is special."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rrag_storage import InvalidKeyError, Storage, StorageError
from rrag_storage.testing import cases, operations, reference, strategies
from rrag_storage.testing.capabilities import requires
from rrag_storage.testing.loops import asynchronous, every_case

from .base import Contract

VALUES = {key: f"value of {key!r}" for key in cases.KEYS}


class Keys(Contract):
    """The tables of keys, prefixes and refused keys of `rrag_storage.testing.cases`."""

    @requires("listings")
    @asynchronous
    async def test_a_key_is_found_under_its_own_name(self, storage: Storage) -> None:
        with every_case() as case:
            for key in cases.KEYS:
                with case(ascii(key)):
                    await storage.clear()
                    await storage.set(key, 1)
                    assert await storage.get(key) == 1
                    assert await storage.exists(key) is True
                    assert await storage.keys() == [key]
                    assert (await storage.get_entry(key)).key == key
                    assert [found async for found, _ in storage.items()] == [key]
                    assert await storage.keys(prefix=key) == [key]
                    assert await storage.count(prefix=key) == 1
                    assert await storage.namespaces() == sorted(set(reference.namespaces_of(key)))
                    assert await storage.increment(key) == 2
                    assert await storage.mget([key]) == [2]
                    assert await storage.delete(key) is True
                    assert await storage.keys() == []

    @asynchronous
    async def test_no_key_is_taken_for_another(self, storage: Storage) -> None:
        assert len(VALUES) == len(cases.KEYS)
        for key, value in VALUES.items():
            await storage.set(key, value)
        assert await storage.count() == len(VALUES)
        assert await storage.mget(VALUES) == list(VALUES.values())
        for key, value in VALUES.items():
            assert await storage.get(key) == value
            assert await storage.pop(key) == value
            assert await storage.get(key) is None
        assert await storage.count() == 0

    @requires("listings")
    @asynchronous
    async def test_keys_are_sorted_by_code_point(self, storage: Storage) -> None:
        await self.fill(storage, VALUES)
        assert await storage.keys() == sorted(VALUES)
        assert [key async for key, _ in storage.items()] == sorted(VALUES)
        assert [entry.key async for entry in storage.entries()] == sorted(VALUES)

    @requires("listings")
    @asynchronous
    async def test_a_prefix_is_literal(self, storage: Storage) -> None:
        await self.fill(storage, VALUES)
        for prefix in [*cases.PREFIXES, *cases.KEYS]:
            wanted = sorted(key for key in VALUES if key.startswith(prefix))
            assert await storage.keys(prefix=prefix) == wanted, prefix
            assert await storage.count(prefix=prefix) == len(wanted), prefix

    @requires("listings")
    @asynchronous
    async def test_clear_of_a_prefix_takes_no_other(self, storage: Storage) -> None:
        with every_case() as case:
            for prefix in cases.PREFIXES:
                with case(ascii(prefix)):
                    await self.fill(storage, VALUES)
                    left = sorted(key for key in VALUES if not key.startswith(prefix))
                    assert await storage.clear(prefix=prefix) == len(VALUES) - len(left)
                    assert await storage.keys() == left
                    assert await storage.mget(left) == [VALUES[key] for key in left]

    @requires("listings")
    @asynchronous
    async def test_namespaces_of_odd_keys(self, storage: Storage) -> None:
        await self.fill(storage, VALUES)
        assert await storage.namespaces() == reference.namespaces(VALUES)
        for prefix in cases.PREFIXES:
            assert await storage.namespaces(prefix) == reference.namespaces(VALUES, prefix), prefix

    @requires("listings")
    def test_any_keys(self, storage: Storage) -> None:
        longest = self.capabilities.max_key_bytes

        @settings(deadline=None, max_examples=50)
        @given(keys=st.lists(strategies.keys(longest), min_size=1, max_size=12, unique=True), data=st.data())
        def check(keys: list[str], data: st.DataObject) -> None:
            sync = storage.sync
            sync.clear()
            for step in self.in_steps(keys):
                sync.mset({key: key for key in step})
            assert sync.keys() == sorted(keys)
            assert sync.mget(keys) == keys
            assert sync.namespaces() == reference.namespaces(keys)
            key = data.draw(st.sampled_from(keys))
            prefix = key[: data.draw(st.integers(0, len(key)))]
            assert sync.keys(prefix=prefix) == sorted(key for key in keys if key.startswith(prefix))
            assert sync.clear(prefix=prefix) == sum(key.startswith(prefix) for key in keys)
            assert sync.keys() == sorted(key for key in keys if not key.startswith(prefix))

        check()

    @requires("listings")
    @asynchronous
    async def test_the_longest_keys(self, storage: Storage) -> None:
        longest = self.capabilities.max_key_bytes
        keys = [
            "k" * longest,
            "é" * (longest // 2) + "k" * (longest % 2),
            "k" * (longest - 4) + "😀",
            "k" * (longest - 1),
        ]
        for key in keys:
            await storage.set(key, len(key))
        assert await storage.mget(keys) == [len(key) for key in keys]
        assert await storage.keys() == sorted(keys)
        assert await storage.keys(prefix="k" * (longest - 1)) == sorted([keys[0], keys[3]])
        assert await storage.keys(after=keys[3], limit=1) == [keys[0]]
        assert await storage.mdelete(keys) == 4

    @requires("listings")
    @asynchronous
    async def test_an_invalid_key_is_refused(self, storage: Storage) -> None:
        longest = self.capabilities.longest_key_bytes
        with every_case() as case:
            for problem, (key, word) in cases.invalid_keys(longest).items():
                for name, operation in operations.KEYED.items():
                    with case(f"{problem} in {name}"):
                        awaitable = operation(storage, key)
                        with pytest.raises(InvalidKeyError) as refused:
                            await awaitable
                        assert isinstance(refused.value, ValueError)
                        assert isinstance(refused.value, StorageError)
                        assert refused.value.retryable is False
                        assert len(str(refused.value)) < 5_000
                        assert re.search(word, str(refused.value).replace(",", ""))
                        assert await storage.keys() == []

    @requires("listings")
    @asynchronous
    async def test_what_is_no_str_is_no_key(self, storage: Storage) -> None:
        with every_case() as case:
            for key in cases.NOT_KEYS:
                for name, operation in operations.KEYED.items():
                    with case(f"{type(key).__name__} in {name}"):
                        awaitable = operation(storage, key)
                        with pytest.raises(TypeError):
                            await awaitable
        assert await storage.keys() == []

    @pytest.mark.parametrize("given", [1, b"a", ["a"]], ids=repr)
    @asynchronous
    async def test_a_filter_that_is_no_str(self, storage: Storage, given: Any) -> None:
        for name in ("namespace", "prefix", "pattern", "after"):
            with pytest.raises(TypeError):
                await storage.keys(**{name: given})
        for call in (storage.count, storage.clear, storage.namespaces):
            with pytest.raises(TypeError):
                await call(given)

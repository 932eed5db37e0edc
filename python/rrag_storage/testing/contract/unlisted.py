"""Storages that know no keys, only hashes of them: exact lookups work, and what looks for keys is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rrag_storage import Storage, UnsupportedOperationError
from rrag_storage.testing.capabilities import requires_not
from rrag_storage.testing.loops import asynchronous

from .base import Contract

if TYPE_CHECKING:
    from collections.abc import Callable


async def _all(iterator: Any) -> list[Any]:
    return [item async for item in iterator]


class Unlisted(Contract):
    """The refusals, and what is left."""

    @requires_not("listings")
    @pytest.mark.parametrize(
        "call",
        [
            pytest.param(lambda storage: storage.keys(), id="keys"),
            pytest.param(lambda storage: storage.keys(prefix="k", limit=1), id="keys-filtered"),
            pytest.param(lambda storage: _all(storage.items()), id="items"),
            pytest.param(lambda storage: _all(storage.entries()), id="entries"),
            pytest.param(lambda storage: storage.namespaces(), id="namespaces"),
            pytest.param(lambda storage: storage.count("users"), id="count-namespace"),
            pytest.param(lambda storage: storage.count(prefix="k"), id="count-prefix"),
            pytest.param(lambda storage: storage.clear("users"), id="clear-namespace"),
            pytest.param(lambda storage: storage.clear(prefix="k"), id="clear-prefix"),
            pytest.param(lambda storage: storage.namespace("users").count(), id="view-count"),
            pytest.param(lambda storage: storage.namespace("users").clear(), id="view-clear"),
            pytest.param(lambda storage: storage.namespace("users").stats(), id="view-stats"),
            pytest.param(lambda storage: storage.namespace("users").keys(), id="view-keys"),
        ],
    )
    @asynchronous
    async def test_what_looks_for_keys_is_refused(self, storage: Storage, call: Callable[[Storage], Any]) -> None:
        await storage.mset({"key": 1, "users::ada": 2})
        with pytest.raises(UnsupportedOperationError, match="hide_keys"):
            await call(storage)
        assert await storage.mget(["key", "users::ada"]) == [1, 2]

    @requires_not("listings")
    @asynchronous
    async def test_everything_is_counted_and_cleared(self, storage: Storage) -> None:
        await storage.mset({"key": 1, "users::ada": 2})
        assert await storage.count() == 2
        assert (await storage.stats()).total_keys == 2
        assert await storage.clear() == 2
        assert await storage.mget(["key", "users::ada"]) == [None, None]

    @requires_not("listings")
    @asynchronous
    async def test_views_keep_their_keys_apart(self, storage: Storage) -> None:
        users, docs = storage.namespace("users"), storage.namespace("docs")
        await users.set("key", 1)
        await docs.set("key", 2)
        assert [await users.get("key"), await docs.get("key"), await storage.get("users::key")] == [1, 2, 1]
        assert await users.delete("key") is True
        assert await docs.increment("key") == 3
        entry = await docs.get_entry("key")
        assert entry is not None
        assert (entry.key, entry.value) == ("key", 3)

"""A storage as a DataFrame: one row an entry, with the same columns and types whatever there is."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rrag_storage import DatabaseStorage, InMemoryStorage, ManualClock, MemoryQuery, SortOrder, Storage
from rrag_storage.testing import assert_same, asynchronous
from support import run_script

DTYPES = {
    "key": pd.Series([], dtype="str").dtype,
    "value": np.dtype(object),
    "kind": pd.Series([], dtype="str").dtype,
    "size_bytes": np.dtype("int64"),
    "created_at": pd.DatetimeTZDtype("us", "UTC"),
    "updated_at": pd.DatetimeTZDtype("us", "UTC"),
    "expires_at": pd.DatetimeTZDtype("us", "UTC"),
    "version": np.dtype("uint64"),
}
START = datetime(2024, 2, 29, 12, tzinfo=timezone.utc)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Any:
    storage: Storage
    if request.param == "memory":
        storage = InMemoryStorage(clock=clock)
    else:
        storage = DatabaseStorage(f"sqlite:{tmp_path}/a.db", clock=clock)
    with storage.sync:
        yield storage


@asynchronous
async def test_one_row_an_entry(storage: Storage, clock: ManualClock) -> None:
    await storage.mset({"docs::1": "one", "users::ada": {"born": 1815}})
    await storage.set("docs::2", None, ttl=60)
    clock.advance(10)
    await storage.set("docs::1", "three")
    frame = await storage.to_pandas()
    assert dict(frame.dtypes) == DTYPES
    assert frame["key"].tolist() == ["docs::1", "docs::2", "users::ada"]
    assert frame["kind"].tolist() == ["string", "null", "map"]
    assert frame.loc[0, "created_at"] == START
    assert frame.loc[0, "updated_at"] == START + timedelta(seconds=10)
    assert frame.loc[1, "expires_at"] == START + timedelta(seconds=60)
    assert frame["expires_at"].isna().tolist() == [True, False, True]
    for row in frame.itertuples():
        entry = await storage.get_entry(str(row.key))
        assert entry is not None
        assert (row.version, row.size_bytes) == (entry.version, entry.size_bytes)
    assert storage.sync.to_pandas().equals(frame)


@pytest.mark.parametrize("filled", [True, False])
def test_the_types_are_the_same_when_empty(storage: Storage, filled: bool) -> None:
    if filled:
        storage.sync.set("other", 1)
    frame = storage.sync.to_pandas(namespace="none")
    assert len(frame) == 0
    assert dict(frame.dtypes) == DTYPES


def test_values_stay_as_they_are(storage: Storage) -> None:
    values = [None, 5, 2**70, 1.5, "text", b"bytes", [1, 2], [3, 4], (1, 2), {"a": 1}, {1}, np.arange(3), START]
    storage.sync.mset({f"{place:02}": value for place, value in enumerate(values)})
    for got, value in zip(storage.sync.to_pandas()["value"], values, strict=True):
        assert_same(got, value)
    storage.sync.clear()
    storage.sync.mset({"a": np.zeros(2), "b": np.ones(2)})
    assert [cell.tolist() for cell in storage.sync.to_pandas()["value"]] == [[0, 0], [1, 1]]


@asynchronous
async def test_filters(storage: Storage) -> None:
    await storage.mset({f"n::{number}": number for number in range(5)} | {"other": 0})
    assert (await storage.to_pandas(namespace="n", limit=2, sort_order=SortOrder.KEY_DESC))["value"].tolist() == [4, 3]
    assert (await storage.to_pandas(MemoryQuery(prefix="o")))["key"].tolist() == ["other"]
    assert (await storage.namespace("n").to_pandas())["key"].tolist() == ["0", "1", "2", "3", "4"]
    wrong: Any = storage
    with pytest.raises(TypeError):
        await wrong.to_pandas(MemoryQuery(prefix="o"), limit=5)
    with pytest.raises(TypeError):
        wrong.sync.to_pandas(unknown=1)


def test_without_pandas_the_extra_is_named() -> None:
    printed = run_script(
        """
        import asyncio, sys
        sys.modules["pandas"] = None
        from rrag_storage import InMemoryStorage

        storage = InMemoryStorage()
        for call in (storage.sync.to_pandas, lambda: asyncio.run(storage.to_pandas())):
            try:
                call()
            except ImportError as error:
                print("rrag-storage[pandas]" in str(error), error.name)
        """
    )
    assert printed == "True pandas\nTrue pandas\n"

"""A typed view has the storage's calls, awaitable and blocking, and means the same by them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from refusal import refused
from rrag_storage import (
    ConflictError,
    DatabaseStorage,
    ManualClock,
    Storage,
    SyncStorage,
    SyncTransaction,
    SyncTypedTransaction,
    SyncTypedView,
    Transaction,
    TypedEntry,
    TypedTransaction,
    TypedView,
)
from rrag_storage.testing import asynchronous
from typed_models import (
    Circle,
    Square,
)


def public(cls: type) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")}


def test_a_view_has_the_storages_interface() -> None:
    without = {"increment", "typed", "to_pandas"}  # of values that are no models, and of the storage's own
    assert public(TypedView) == (public(Storage) - without) | {"model", "storage"}
    assert public(SyncTypedView) == (public(SyncStorage) - without) | {"model", "storage"}
    assert public(TypedTransaction) == (public(Transaction) - {"increment"}) | {"transaction"}
    assert public(SyncTypedTransaction) == (public(SyncTransaction) - {"increment"}) | {"transaction"}


@asynchronous
async def test_every_call(storage: Storage, clock: ManualClock) -> None:
    view: TypedView[Square] = storage.typed(Square)
    assert (view.model, view.backend_name, view.url) == (Square, storage.backend_name, storage.url)
    assert view.storage is storage
    assert repr(view) == f"{storage!r}.typed(Square)"
    one, two = Square(1.0), Square(2.0)

    await view.set("a", one, ttl=60)
    clock.advance(30)
    assert await view.get("a", refresh_ttl=60) == one
    assert await view.ttl("a") == pytest.approx(60)
    assert await view.persist("a") is True
    assert await view.ttl("a") == math.inf
    assert await view.get("missing") is None
    assert await view.get("missing", two) is two
    assert await view.set_if_absent("a", two) is False
    assert await view.set_if_absent("b", two) is True
    await view.mset({"c::1": one, "c::2": two})
    await view.mset(iter([("c::3", one)]), ttl=60)
    assert await view.mget(iter(["a", "x", "b", "a"]), default=0, refresh_ttl=90) == [one, 0, two, one]
    assert await view.exists("b") is True
    assert await view.keys(namespace="c") == ["c::1", "c::2", "c::3"]
    assert await view.namespaces() == ["c"]
    assert await view.count() == 5
    assert [item async for item in view.items(prefix="c", limit=2)] == [("c::1", one), ("c::2", two)]
    assert [(entry.key, entry.value) async for entry in view.entries(namespace="c", limit=1)] == [("c::1", one)]

    entry = await view.get_entry("c::3")
    plain = await storage.get_entry("c::3")
    assert entry is not None
    assert plain is not None
    assert entry == TypedEntry(
        "c::3",
        one,
        plain.created_at,
        plain.updated_at,
        plain.expires_at,
        plain.version,
        plain.size_bytes,
        plain.kind,
    )
    assert await view.get_entry("missing") is None
    assert await view.get_entries(["c::3", "missing"]) == [entry, None]
    assert await view.compare_and_set("c::3", two, entry.version + 1) is False
    assert await view.compare_and_set("c::3", two, entry.version) is True
    assert await view.pop("c::3") == two
    assert await view.pop("c::3", "gone") == "gone"
    value = await view.get_value("a")
    assert value is not None
    assert value == {"size": 1.0}
    assert await view.expire("a", 5) is True
    assert await view.delete("a") is True
    assert await view.mdelete(["b", "missing"]) == 1

    inner = view.namespace("c")
    assert await inner.get("1") == one
    assert await inner.clear() == 2
    assert (await view.stats()).total_keys == 0
    assert await view.health_check() is True
    assert (await view.rotate()).rewritten == 0
    with pytest.raises(ValueError, match="large_values"):
        await view.collect_garbage()
    assert view.closed is False


def test_every_blocking_call(storage: Storage, clock: ManualClock) -> None:
    view: SyncTypedView[Square] = storage.sync.typed(Square)
    assert (view.model, view.backend_name, view.url) == (Square, storage.backend_name, storage.url)
    assert repr(view) == f"{storage!r}.sync.typed(Square)"
    one, two = Square(1.0), Square(2.0)

    view.set("a", one, ttl=60)
    clock.advance(30)
    assert view.get("a", refresh_ttl=60) == one
    assert view.ttl("a") == pytest.approx(60)
    assert view.persist("a") is True
    assert view.get("missing", two) is two
    assert view.set_if_absent("a", two) is False
    view.mset({"c::1": one, "c::2": two})
    assert view.mget(iter(["a", "x"]), default=0) == [one, 0]
    assert view.exists("a") is True
    assert view.keys(namespace="c") == ["c::1", "c::2"]
    assert view.namespaces() == ["c"]
    assert view.count() == 3
    assert list(view.items(namespace="c")) == [("c::1", one), ("c::2", two)]
    assert [entry.value for entry in view.entries(namespace="c")] == [one, two]
    entry = view.get_entry("a")
    assert entry is not None
    assert view.get_entries(["a", "missing"]) == [entry, None]
    assert view.compare_and_set("a", two, entry.version) is True
    assert view.pop("a") == two
    assert view.get_value("c::1") == {"size": 1.0}
    assert view.expire("c::1", 5) is True
    assert view.delete("c::1") is True
    assert view.mdelete(["c::2", "missing"]) == 1
    assert view.namespace("c").clear() == 0
    assert view.stats().total_keys == 0
    assert view.health_check() is True
    assert view.rotate().rewritten == 0
    assert isinstance(view.storage, SyncStorage)
    view.storage.set("plain", 5)
    assert storage.sync.get("plain") == 5


@asynchronous
async def test_transactions(storage: Storage) -> None:
    view = storage.typed(Square)
    await view.set("a", Square(1.0))
    async with view.transaction() as tx:
        before = await tx.get("a")
        assert before == Square(1.0)
        await tx.set("a", Square(2.0))
        await tx.mset([("b", Square(3.0))])
        assert await tx.set_if_absent("b", Square(4.0)) is False
        assert await tx.mget(["a", "b", "c"]) == [Square(2.0), Square(3.0), None]
        entry = await tx.get_entry("b")
        assert entry is not None
        assert entry.value == Square(3.0)
        assert await tx.exists("b") is True
        with refused("c", "not stored"):
            await tx.set("c", Circle(1.0))  # type: ignore[arg-type]
        assert await tx.delete("c") is False
        assert await tx.mdelete(["a"]) == 1
        assert await tx.transaction.increment("changes") == 1
    assert await storage.get("changes") == 1
    assert await view.keys(prefix="b") == ["b"]

    with pytest.raises(ConflictError):
        async with view.transaction() as tx:
            await tx.get("b")
            await view.set("b", Square(9.0))
            await tx.set("b", Square(8.0))

    async def grow(tx: TypedTransaction[Square]) -> float:
        square = await tx.get("b", Square(0.0))
        await tx.set("b", Square(square.size + 1))
        return square.size

    assert await view.transact(grow) == 9.0
    assert await view.get("b") == Square(10.0)


def test_blocking_transactions(storage: Storage) -> None:
    view = storage.sync.typed(Square)
    with view.transaction() as tx:
        assert tx.get("a", 0) == 0
        tx.set("a", Square(1.0))
        tx.mset({"b": Square(2.0)})
        assert tx.set_if_absent("b", Square(3.0)) is False
        assert tx.mget(["a", "b"]) == [Square(1.0), Square(2.0)]
        entry = tx.get_entry("a")
        assert entry is not None
        assert entry.value == Square(1.0)
        assert tx.exists("a") is True
        assert tx.delete("b") is True
        assert tx.mdelete(["b"]) == 0
        assert tx.transaction.increment("changes") == 1
    with pytest.raises(ZeroDivisionError), view.transaction() as tx:
        tx.set("a", Square(5.0))
        raise ZeroDivisionError

    def grow(tx: SyncTypedTransaction[Square]) -> float:
        square = tx.get("a")
        assert square is not None
        tx.set("a", Square(square.size + 1))
        return square.size

    assert view.transact(grow) == 1.0
    assert view.get("a") == Square(2.0)


@asynchronous
async def test_opening_and_closing(tmp_path: Path) -> None:
    async with DatabaseStorage(f"sqlite:{tmp_path}/a.db").typed(Square) as view:
        await view.set("a", Square(1.0))
    assert view.closed is True
    again = await DatabaseStorage(f"sqlite:{tmp_path}/a.db").typed(Square)
    assert await again.get("a") == Square(1.0)
    await again.close()
    with DatabaseStorage(f"sqlite:{tmp_path}/a.db").sync.typed(Square) as blocking:
        assert blocking.get("a") == Square(1.0)
    assert blocking.closed is True


@asynchronous
async def test_bad_arguments_are_refused_as_by_the_storage(storage: Storage) -> None:
    view: Any = storage.typed(Square)
    for call in (
        lambda: view.set(5, Square(1.0)),
        lambda: view.mset("ab"),
        lambda: view.mset([["a", Square(1.0)]]),
        lambda: view.mget("ab"),
        lambda: view.get("a", refresh_ttl="x"),
        lambda: view.items(unknown=1).__anext__(),
    ):
        with pytest.raises(TypeError):
            await call()

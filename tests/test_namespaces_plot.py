"""The namespaces of a storage by size and age: the figures, and the plot of them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import matplotlib.dates
import pytest
from rrag_storage import DatabaseStorage, InMemoryStorage, Key, ManualClock, Storage, UnsupportedOperationError
from rrag_storage.notebook import describe_namespaces, plot_namespaces
from rrag_storage.testing import asynchronous
from support import run_script

START = datetime(2024, 2, 29, 12, tzinfo=timezone.utc)
PNG = b"\x89PNG"


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
        storage.sync.mset({"docs::a::1": "x" * 10_000, "users::ada": 1, "plain": "x" * 50_000})
        clock.advance(3600)
        storage.sync.mset({"docs::a::2": "x" * 1_000, "docs::b::1": 1})
        yield storage


@asynchronous
async def test_figures(storage: Storage) -> None:
    docs, users = await describe_namespaces(storage)
    assert (docs.name, docs.entries, docs.oldest, docs.newest) == ("docs", 3, START, START + timedelta(hours=1))
    assert (users.name, users.entries, users.oldest, users.newest) == ("users", 1, START, START)
    assert docs.size_bytes == (await storage.namespace("docs").stats()).memory_bytes
    assert docs.size_bytes > 11_000 > users.size_bytes > 0
    assert [each.name for each in await describe_namespaces(storage, "docs", max_depth=2)] == [
        "docs",
        "docs::a",
        "docs::b",
    ]
    assert [each.name for each in await describe_namespaces(storage.namespace("docs"))] == ["a", "b"]
    assert await describe_namespaces(storage, "none") == []


def texts(figure: Any) -> list[str]:
    """The names of the rows."""
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


@asynchronous
async def test_the_plot_shows_sizes_and_ages(storage: Storage) -> None:
    figure: Any = await plot_namespaces(storage)
    docs, users = await describe_namespaces(storage)
    sizes, ages = figure.axes
    assert texts(figure) == ["docs", "users"]
    assert [bar.get_width() for bar in sizes.patches] == [docs.size_bytes, users.size_bytes]
    (lines,) = ages.collections
    spans = [[matplotlib.dates.num2date(x) for x, _ in segment.vertices] for segment in lines.get_paths()]  # type: ignore[no-untyped-call]
    assert spans == [[docs.oldest, docs.newest], [users.oldest, users.newest]]
    assert figure._repr_png_().startswith(PNG)


@asynchronous
async def test_the_largest_are_shown(storage: Storage) -> None:
    figure: Any = await plot_namespaces(storage, max_depth=2, at_most=1)
    assert texts(figure) == ["docs"]
    assert figure.get_supxlabel() == "and 3 smaller ones"
    with pytest.raises(ValueError, match="at_most"):
        await plot_namespaces(storage, at_most=0)


@asynchronous
async def test_an_empty_storage() -> None:
    figure: Any = await plot_namespaces(InMemoryStorage())
    assert figure.get_suptitle() == "no namespaces"
    assert figure._repr_png_().startswith(PNG)


@asynchronous
async def test_names_are_drawn_as_they_are() -> None:
    storage = InMemoryStorage()
    names = ["$x^2$", "a" * 300, "line\nbreak\0", "$", r"\frac{", "_%{}"]
    await storage.mset({f"{name}::k": 1 for name in names})
    figure: Any = await plot_namespaces(storage)
    assert figure._repr_png_().startswith(PNG)
    assert r"\$x^2\$" in texts(figure)
    assert max(map(len, texts(figure))) < 40


@asynchronous
async def test_what_cannot_be_described() -> None:
    async with InMemoryStorage(encryption_key=Key.generate(), hide_keys=True) as hidden:
        await hidden.set("n::k", 1)
        with pytest.raises(UnsupportedOperationError):
            await describe_namespaces(hidden)
    wrong: Any = InMemoryStorage().sync
    for bad in (wrong, "memory://"):
        with pytest.raises(TypeError, match="a storage is described"):
            await describe_namespaces(bad)


def test_without_matplotlib_the_extra_is_named() -> None:
    printed = run_script(
        """
        import asyncio, sys
        sys.modules["matplotlib"] = None
        from rrag_storage import InMemoryStorage
        from rrag_storage.notebook import describe_namespaces, plot_namespaces

        async def main():
            storage = InMemoryStorage()
            await storage.set("n::k", 1)
            print(len(await describe_namespaces(storage)))
            try:
                await plot_namespaces(storage)
            except ImportError as error:
                print("rrag-storage[plot]" in str(error))

        asyncio.run(main())
        """
    )
    assert printed == "1\nTrue\n"

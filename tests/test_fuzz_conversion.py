"""Conversion under objects that nobody chose: what comes back, and what a refusal leaves behind.

Here in its short form, of chance; tests/fuzzing/conversion.py has the long one. That every value of a kind that is stored
comes back is in the contract and in tests/test_values.py; here something that is refused stands anywhere in it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from fuzzing.checks import opened
from fuzzing.conversion import by_chance
from hypothesis import given, settings
from hypothesis import strategies as st
from rrag_storage import DatabaseStorage, InMemoryStorage, MemoryValue, Storage, UnsupportedTypeError
from rrag_storage.testing import strategies, unsupported
from rrag_storage.testing.equality import assert_same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

RUNS = 2_500
EXAMPLES = 40
OUTCOMES = {"came back", "was refused", "a document came back", "a document was refused"}
OUTCOMES |= {"an export was cut off", "an export was read", "an export held nothing"}

Wrap = tuple[str, "Callable[[Any], Any]"]


def wraps() -> st.SearchStrategy[Wrap]:
    """Containers of something, and how an error names its place in them."""
    beside = st.lists(strategies.values(), max_size=2)
    lists = beside.map(lambda items: (f"[{len(items)}]", lambda inner: [*items, inner]))
    tuples = beside.map(lambda items: (f"[{len(items)}]", lambda inner: (*items, inner)))
    keys = st.text("abc", min_size=1, max_size=3)
    maps = keys.map(lambda key: (f'["{key}"]', lambda inner: {"beside": 1, key: inner}))
    return lists | tuples | maps


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    made = (
        InMemoryStorage()
        if request.param == "memory"
        else DatabaseStorage(f"sqlite:{tmp_path / 'a.db'}", synchronous="normal")
    )
    with made.sync:
        yield made


def refused() -> st.SearchStrategy[Any]:
    """What no storage takes, made anew each time."""
    makes = [*unsupported.SUBCLASSES.values(), *(make for make, _ in unsupported.ARRAYS.values())]
    return st.sampled_from([*makes, object, lambda: "\udc80", lambda: {1: 2}, lambda: 1j]).map(lambda make: make())


def test_what_is_refused_is_named_and_leaves_nothing(storage: Storage) -> None:
    storage.sync.set("key", "older")

    @settings(max_examples=EXAMPLES)
    @given(st.lists(wraps(), max_size=5), refused())
    def check(around: list[Wrap], value: Any) -> None:
        place = "value" + "".join(step for step, _ in around)
        for _, wrap in reversed(around):
            value = wrap(value)
        before = storage.sync.get_entry("key")
        for write in (
            lambda: storage.sync.set("key", value),
            lambda: storage.sync.mset({"first": 1, "key": value}),
            lambda: storage.sync.set_if_absent("other", value),
            lambda: storage.sync.compare_and_set("key", value, before.version),
            lambda: MemoryValue.from_python(value),
        ):
            with pytest.raises(UnsupportedTypeError) as caught:
                write()
            assert str(caught.value).startswith(place), caught.value
        with storage.sync.transaction() as tx:
            tx.set("first", 1)
            with pytest.raises(UnsupportedTypeError):
                tx.set("key", value)
            tx.delete("first")
        assert storage.sync.keys() == ["key"]
        assert storage.sync.get_entry("key") == before

    check()


def test_every_way_in_and_out_gives_the_same(storage: Storage) -> None:
    @settings(max_examples=EXAMPLES)
    @given(strategies.values())
    def check(value: Any) -> None:
        storage.sync.clear()
        sync = storage.sync
        sync.mset({"a": value, "b": value})
        assert sync.set_if_absent("c", MemoryValue.from_python(value))
        assert sync.compare_and_set("c", value, sync.get_entry("c").version)
        with sync.transaction() as tx:
            tx.set("d", value)
            assert_same(tx.get("d"), value)
        found = [sync.get("a"), *sync.mget(["b", "c"]), sync.get_value("d").to_python(), sync.get_entry("a").value]
        found += [item for _, item in sync.items()]
        found.append(sync.pop("a"))
        for other in found:
            assert_same(other, value)

    check()


def test_objects_and_exports_of_chance() -> None:
    with opened() as checks:
        made = by_chance(checks, runs=RUNS, seconds=math.inf, seed=1)
        print(f"{made} executions", checks.counts)
    assert sum(checks.counts.values()) == made == RUNS
    assert checks.counts.keys() == OUTCOMES

"""Methods written as steps: what fails is handled in them, and what is written together stands or falls together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from rrag_storage import ConflictError, Storage, UnsupportedTypeError
from rrag_storage.integrations._steps import Steps, awaited, blocking, items, together, write, write_new
from rrag_storage.testing import run
from rrag_storage.testing.loops import cancelled_at

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[[Steps[Any]], Any]


@pytest.fixture(params=["blocking", "awaited"])
def drive(request: pytest.FixtureRequest) -> Run:
    return blocking if request.param == "blocking" else lambda steps: run(awaited(steps))


def test_results_and_errors_reach_the_steps(any_storage: Storage, drive: Run) -> None:
    def steps() -> Steps[tuple[bool, Any]]:
        refused = False
        try:
            yield any_storage.set("k", object())  # type: ignore[arg-type]
        except UnsupportedTypeError:
            refused = True
        yield any_storage.set("k", 1)
        return refused, (yield any_storage.get("k"))

    assert drive(steps()) == (True, 1)

    def empty() -> Steps[int]:
        yield from ()
        return 7

    assert drive(empty()) == 7
    assert drive(items(any_storage)) == [("k", 1)]


def test_a_conflict_is_tried_again(any_storage: Storage, drive: Run) -> None:
    seen = []

    def body(tx: Any) -> Steps[None]:
        seen.append((yield tx.get("k")))
        if len(seen) < 3:
            any_storage.sync.set("k", len(seen))
        yield tx.set("mine", len(seen))

    drive(together(any_storage, body))
    assert seen == [None, 1, 2]
    assert any_storage.sync.get("mine") == 3

    def always(tx: Any) -> Steps[None]:
        yield tx.increment("k")
        any_storage.sync.increment("k")

    with pytest.raises(ConflictError):
        drive(together(any_storage, always))


def test_an_error_leaves_nothing(any_storage: Storage, drive: Run) -> None:
    any_storage.sync.set("old", 0)
    with pytest.raises(UnsupportedTypeError):
        drive(write(any_storage, [(None, {"a": 1}), (5, {"b": object()})], ["old"]))
    with pytest.raises(UnsupportedTypeError):
        drive(write_new(any_storage, {"a": 1}, {"old": 2, "b": object()}, None))
    assert any_storage.sync.keys() == ["old"]
    drive(write(any_storage, [(None, {"a": 1}), (5, {"b": 1})], ["old"]))
    drive(write_new(any_storage, {"a": 2}, {"b": 2, "c": 2}, None))
    assert dict(any_storage.sync.items()) == {"a": 2, "b": 1, "c": 2}


def test_a_cancelled_write_is_whole_or_not_there(any_storage: Storage) -> None:
    number = 1
    while run(cancelled_at(awaited(write(any_storage, [(None, {"a": 1}), (500, {"b": 1})], ["old"])), number)):
        assert any_storage.sync.keys() in ([], ["a", "b"])
        any_storage.sync.clear()
        number += 1
    assert any_storage.sync.keys() == ["a", "b"]

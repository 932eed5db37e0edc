"""The log under the chat adapters: nothing gets lost, and the order is that of the calls, whatever the clocks show."""

from __future__ import annotations

import asyncio
import random
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from rrag_storage import DatabaseStorage, Key, ManualClock, ObjectStorage, Storage, UnsupportedOperationError
from rrag_storage.integrations import _log
from rrag_storage.integrations._log import GONE, MessageLog, Stamps
from rrag_storage.integrations._steps import awaited, blocking

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def log(any_storage: Storage) -> MessageLog:
    return MessageLog(any_storage.namespace("log"), None)


def machine(monkeypatch: pytest.MonkeyPatch, now: int) -> None:
    """From here on this is another process, on a machine whose clock stands at `now` nanoseconds."""
    monkeypatch.setattr(_log, "STAMPS", Stamps())
    monkeypatch.setattr(_log, "time", SimpleNamespace(time_ns=lambda: now))


def test_stamps_grow_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    stamps = Stamps()
    first = stamps.next()
    monkeypatch.setattr(_log, "time", SimpleNamespace(time_ns=lambda: first - 10**12))
    assert first < stamps.next() < stamps.next()
    assert stamps.next(after=first + 10**12) == first + 10**12 + 1


def test_a_machine_whose_clock_is_behind_adds_at_the_end(log: MessageLog, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    expected = []
    for number, ahead in enumerate([0, -(10**12), 5 * 10**9, -(10**9), 0]):
        machine(monkeypatch, now + ahead)
        blocking(log.append([number, "and"]))
        blocking(log.append([number + 0.5]))
        expected += [number, "and", number + 0.5]
    assert blocking(log.read()) == expected


async def test_overlapping_calls_keep_their_order(log: MessageLog) -> None:
    await asyncio.gather(*(awaited(log.append([number, -number])) for number in range(120)))
    assert await awaited(log.read()) == [message for number in range(120) for message in (number, -number)]


async def test_overlapping_calls_keep_their_order_beside_another_machine(
    log: MessageLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, time.time_ns() + 10**12)
    await awaited(log.append(["of the future"]))
    machine(monkeypatch, time.time_ns())
    await awaited(log.append(["before"]))
    await asyncio.gather(*(awaited(log.append([number])) for number in range(50)))
    assert await awaited(log.read()) == ["of the future", "before", *range(50)]


def test_threads_lose_nothing(log: MessageLog) -> None:
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda thread: [blocking(log.append([(thread, n)])) for n in range(10)], range(12)))
    messages = blocking(log.read())
    assert len(messages) == 120
    for thread in range(12):
        assert [n for of, n in messages if of == thread] == list(range(10))


def test_it_is_a_list(log: MessageLog) -> None:
    rng = random.Random(7)
    model: list[int] = []
    for number in range(300):
        act = rng.choice(["append", "append", "insert", "insert", "pop", "replace" if number % 60 == 0 else "last"])
        place = rng.randint(-len(model) - 1, len(model) + 1)
        if act == "append":
            blocking(log.append([number, -number]))
            model += [number, -number]
        elif act == "insert":
            blocking(log.insert(place, number))
            model.insert(place, number)
        elif act == "replace":
            blocking(log.replace(model[:5]))
            model = model[:5]
        else:
            place = -1 if act == "last" else place
            there = -len(model) <= place < len(model)
            assert blocking(log.pop(place)) == (model.pop(place) if there else GONE)
        assert blocking(log.read()) == model
    assert blocking(log.read(4)) == model[-4:]
    assert blocking(log.take()) == model
    assert blocking(log.take()) is None


def test_many_insertions_at_one_place(any_storage: Storage) -> None:
    view = any_storage.namespace("log")
    log = MessageLog(view, None)
    blocking(log.append(["first", "last"]))
    for number in range(200):
        blocking(log.insert(1, number))
    assert blocking(log.read()) == ["first", *reversed(range(200)), "last"]
    assert max(map(len, view.sync.keys())) < 300  # of the 2,048 bytes that a key may have


async def test_one_message_for_each_caller(log: MessageLog) -> None:
    await awaited(log.append(range(20)))
    taken = await asyncio.gather(*(awaited(log.pop(-1)) for _ in range(25)))
    assert sorted(number for number in taken if number is not GONE) == list(range(20))
    assert await awaited(log.read()) == []


async def test_replacements_never_mix(any_storage: Storage) -> None:
    view = any_storage.namespace("log")
    log = MessageLog(view, None)
    await asyncio.gather(*(awaited(log.replace([number] * 5)) for number in range(20)))
    messages = await awaited(log.read())
    assert len(messages) == 5
    assert len(set(messages)) == 1
    await awaited(log.replace(["anew"]))
    assert await awaited(log.read()) == ["anew"]
    assert await view.count() == 2


async def test_a_replacement_hides_what_a_crash_left_before_it(any_storage: Storage) -> None:
    view = any_storage.namespace("log")
    log = MessageLog(view, None)
    await awaited(log.append(["old"]))
    steps = log.replace(["new"])
    newest = await next(steps)
    await steps.send(newest)  # the write; the clean-up behind it never comes
    assert await awaited(log.read()) == ["new"]
    assert await awaited(log.pop(-1)) == "new"
    assert await awaited(log.pop(-1)) is GONE
    assert await awaited(log.pop(0)) is GONE
    await awaited(log.insert(0, "first"))
    assert await awaited(log.read()) == ["first"]
    assert await awaited(log.take()) == ["first"]
    assert await view.count() == 0


def test_none_is_a_message(log: MessageLog) -> None:
    blocking(log.append([None]))
    assert blocking(log.read()) == [None]
    assert blocking(log.pop(-1)) is None
    assert blocking(log.pop(-1)) is GONE


def test_each_message_expires(any_storage: Storage, clock: ManualClock) -> None:
    log = MessageLog(any_storage.namespace("log"), 60)
    blocking(log.replace(["one"]))
    clock.advance(40)
    blocking(log.append(["two"]))
    blocking(log.insert(0, "zero"))
    assert blocking(log.read()) == ["zero", "one", "two"]
    clock.advance(30)
    assert blocking(log.read()) == ["zero", "two"]
    clock.advance(31)
    assert any_storage.sync.count() == 0


def test_an_object_store_will_do(tmp_path: Path) -> None:
    (tmp_path / "bucket").mkdir()
    with ObjectStorage(f"file://{tmp_path / 'bucket'}").sync as storage:
        log = MessageLog(storage._storage.namespace("log"), None)
        blocking(log.append(["a", "b"]))
        blocking(log.replace(["c", "e"]))
        blocking(log.insert(1, "d"))
        assert blocking(log.read()) == ["c", "d", "e"]
        assert blocking(log.take()) == ["c", "d", "e"]


def test_hidden_keys_have_no_order() -> None:
    with DatabaseStorage("sqlite::memory:", encryption_key=Key.generate(), hide_keys=True).sync as storage:
        log = MessageLog(storage._storage.namespace("log"), None)
        with pytest.raises(UnsupportedOperationError, match="hide_keys"):
            blocking(log.append(["never stored"]))

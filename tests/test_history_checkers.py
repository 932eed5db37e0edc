"""The checkers of histories: what is bad is found, what is good is not, and small histories are judged as by brute force."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pytest
from histories import linearizability, serialisability
from histories.record import Call, Outcome, Recorder, Transaction, read
from hypothesis import given
from hypothesis import strategies as st

OUTCOMES: list[Outcome] = ["ok", "failed", "unknown"]

# Calls of one key: (kind, argument, result, began, ended); no end is an unknown outcome.


def call(kind: str, argument: Any, result: Any, began: int, ended: int | None, outcome: Outcome | None = None) -> Call:
    return Call(f"c{began}", kind, "key", argument, began, ended, outcome or ("ok" if ended else "unknown"), result)


GOOD_CALLS: dict[str, list[Call]] = {
    "nothing": [],
    "one after the other": [
        call("get", None, None, 1, 2),
        call("set", 1, None, 3, 4),
        call("get", None, 1, 5, 6),
        call("delete", None, True, 7, 8),
        call("exists", None, False, 9, 10),
    ],
    "reads on both sides of a write under way": [
        call("set", 1, None, 1, 20),
        call("get", None, None, 2, 3),
        call("get", None, 1, 4, 5),
    ],
    "two writes under way, either may be last": [
        call("set", 1, None, 1, 9),
        call("set", 2, None, 1, 9),
        call("get", None, 1, 10, 11),
    ],
    "an unknown write takes effect late": [
        call("set", 1, None, 1, None),
        call("set", 2, None, 2, 3),
        call("get", None, 2, 4, 5),
        call("get", None, 1, 6, 7),
    ],
    "an unknown write never takes effect": [
        call("set", 1, None, 1, None),
        call("get", None, None, 2, 3),
    ],
    "a failed write has no effect": [
        call("set", 1, None, 1, 2, "failed"),
        call("get", None, None, 3, 4),
    ],
    "one of several pops gets it": [
        call("set", 1, None, 1, 2),
        call("pop", None, 1, 3, 9),
        call("pop", None, None, 4, 8),
    ],
    "compare and set after a read": [
        call("set", 1, None, 1, 2),
        call("compare_and_set", [1, 2], True, 3, 9),
        call("compare_and_set", [1, 3], False, 3, 9),
        call("get", None, 2, 10, 11),
    ],
    "the same written and deleted twice": [
        *(call("set", 1, None, 1, 9) for _ in range(2)),
        *(call("delete", None, True, 1, 9) for _ in range(2)),
    ],
    "increments, one of them unknown": [
        call("increment", 1, 1, 1, 2),
        call("increment", 1, None, 3, None),
        call("increment", 1, 3, 4, 9),
        call("get", None, 3, 10, 11),
    ],
}

BAD_CALLS: dict[str, list[Call]] = {
    "stale read": [
        call("set", 1, None, 1, 2),
        call("set", 2, None, 3, 4),
        call("get", None, 1, 5, 6),
    ],
    "lost write": [
        call("set", 1, None, 1, 2),
        call("get", None, None, 3, 4),
    ],
    "read of what was never written": [
        call("get", None, 1, 1, 2),
        call("set", 1, None, 3, 4),
    ],
    "read of a failed write": [
        call("set", 1, None, 1, 2, "failed"),
        call("get", None, 1, 3, 4),
    ],
    "two readers see two orders": [
        call("set", 1, None, 1, 20),
        call("set", 2, None, 1, 20),
        call("get", None, 1, 2, 3),
        call("get", None, 2, 4, 5),
        call("get", None, 1, 6, 7),
    ],
    "a write that is done twice": [
        call("set", 1, None, 1, 20),
        call("get", None, 1, 2, 3),
        call("set", 2, None, 4, 5),
        call("get", None, 2, 6, 7),
        call("get", None, 1, 8, 9),
    ],
    "an unknown write that takes effect twice": [
        call("set", 1, None, 1, None),
        call("get", None, 1, 2, 3),
        call("set", 2, None, 4, 5),
        call("get", None, 1, 8, 9),
    ],
    "two pops get it": [
        call("set", 1, None, 1, 2),
        call("pop", None, 1, 3, 9),
        call("pop", None, 1, 4, 8),
    ],
    "two deletes were true": [
        call("set", 1, None, 1, 2),
        call("delete", None, True, 3, 9),
        call("delete", None, True, 4, 8),
    ],
    "lost update by compare and set": [
        call("set", 1, None, 1, 2),
        call("compare_and_set", [1, 2], True, 3, 9),
        call("compare_and_set", [1, 3], True, 3, 9),
    ],
    "compare and set that was refused and happened": [
        call("set", 1, None, 1, 2),
        call("compare_and_set", [1, 2], False, 3, 4),
        call("get", None, 2, 5, 6),
    ],
    "set_if_absent over a value": [
        call("set", 1, None, 1, 2),
        call("set_if_absent", 2, True, 3, 4),
    ],
    "counter that goes back": [
        call("increment", 1, 1, 1, 2),
        call("increment", 1, 2, 3, 4),
        call("get", None, 1, 5, 6),
    ],
    "two increments gave the same": [
        call("increment", 1, 1, 1, 9),
        call("increment", 1, 1, 1, 9),
    ],
    "an unknown increment applied twice": [
        call("increment", 1, 1, 1, 2),
        call("increment", 1, None, 3, None),
        call("get", None, 3, 10, 11),
    ],
    "an increment applied although it failed": [
        call("increment", 1, 1, 1, 2, "failed"),
        call("increment", 1, 2, 3, 4),
    ],
}


@pytest.mark.parametrize("name", GOOD_CALLS)
def test_good_calls(name: str) -> None:
    assert linearizability.check(GOOD_CALLS[name]) == []


@pytest.mark.parametrize("name", BAD_CALLS)
def test_bad_calls(name: str) -> None:
    violation, *more = linearizability.check(BAD_CALLS[name])
    assert more == []
    assert "key is not linearizable" in str(violation)


def test_keys_are_checked_by_themselves() -> None:
    one, other = BAD_CALLS["stale read"], BAD_CALLS["lost write"]
    calls = [Call("c", c.kind, f"{c.key}{n}", *_rest(c)) for n, some in enumerate((one, other)) for c in some]
    assert sorted(found.call.key for found in linearizability.check(calls)) == ["key0", "key1"]


def _rest(each: Call) -> tuple[Any, ...]:
    return each.argument, each.began, each.ended, each.outcome, each.result


def test_many_calls_of_unknown_outcome_are_decided() -> None:
    calls = [call("increment", 1, None, n, None) for n in range(1, 60)] + [call("increment", 1, 40, 100, 101)]
    assert linearizability.check(calls) == []
    assert linearizability.check([*calls, call("get", None, 61, 102, 103)]) != []


def test_too_many_are_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linearizability, "MOST", 100)
    calls = [call("set", n, None, n, None) for n in range(1, 60)] + [call("get", None, 99, 100, 101)]
    with pytest.raises(linearizability.UndecidedError):
        linearizability.check(calls)


def by_brute_force(calls: list[Call]) -> bool:
    """Whether any order, of any of the unknown calls, explains all answers."""
    known = [each for each in calls if each.outcome == "ok"]
    unknown = [each for each in calls if each.outcome == "unknown"]
    for many in range(len(unknown) + 1):
        for some in itertools.combinations(unknown, many):
            for order in itertools.permutations([*known, *some]):
                if _in_time(order) and _explained(order):
                    return True
    return False


def _in_time(order: tuple[Any, ...]) -> bool:
    return all(
        later.outcome != "ok" or later.ended >= earlier.began
        for earlier, later in itertools.combinations(order, 2)
        if later.ended is not None
    )


def _explained(order: tuple[Call, ...]) -> bool:
    state = None
    for each in order:
        answer, state = linearizability.apply(state, each.kind, each.argument)
        if each.outcome == "ok" and answer != each.result:
            return False
    return True


VALUES = st.integers(1, 3)
REGISTER = st.sampled_from(["set", "get", "delete", "pop", "set_if_absent", "compare_and_set", "exists"])


@st.composite
def any_call(draw: st.DrawFn, kinds: st.SearchStrategy[str]) -> Call:
    """A call with an answer out of the blue."""
    kind = draw(kinds)
    argument: Any = {"compare_and_set": draw(st.lists(VALUES, min_size=2, max_size=2)), "increment": 1}.get(kind)
    argument = draw(VALUES) if kind in ("set", "set_if_absent") else argument
    result: Any = {"set": None, "get": draw(st.none() | VALUES), "pop": draw(st.none() | VALUES)}.get(kind)
    if kind == "increment":
        result = draw(VALUES)
    elif kind not in ("set", "get", "pop"):
        result = draw(st.booleans())
    began = draw(st.integers(1, 12))
    ended = draw(st.none() | st.integers(began, began + 6))
    return call(kind, argument, result, began, ended)


@given(st.lists(any_call(REGISTER), max_size=5) | st.lists(any_call(st.sampled_from(["increment", "get"])), max_size=5))
def test_linearizability_is_judged_as_by_brute_force(calls: list[Call]) -> None:
    assert (linearizability.check(calls) == []) == by_brute_force(calls)


def simulated_calls(rng: random.Random, many: int, counter: bool) -> list[Call]:
    """A history that a key could have: each call takes effect at a moment within it."""
    state, calls = None, []
    kinds = ["increment", "get"] if counter else ["set", "get", "delete", "pop", "set_if_absent", "compare_and_set"]
    for number in range(1, many + 1):
        kind = rng.choice(kinds)
        argument: Any = {"set": number, "set_if_absent": number, "increment": rng.randrange(1, 3)}.get(kind)
        if kind == "compare_and_set":
            argument = [state if state is not None and rng.random() < 0.7 else -number, number]
        outcome: Outcome = rng.choices(OUTCOMES, (20, 1, 1))[0]
        result = None
        if outcome == "ok" or (outcome == "unknown" and rng.random() < 0.5):
            result, state = linearizability.apply(state, kind, argument)
        moment = number * 10
        began, ended = moment - rng.randrange(60), moment + rng.randrange(60)
        calls.append(call(kind, argument, result, began, None if outcome == "unknown" else ended, outcome))
    rng.shuffle(calls)
    return calls


@given(st.randoms(use_true_random=False), st.integers(0, 40), st.booleans())
def test_what_a_key_can_do_is_accepted(rng: random.Random, many: int, counter: bool) -> None:
    assert linearizability.check(simulated_calls(rng, many, counter)) == []


# Transactions: (steps, began, ended); no end is an unknown outcome.


def tx(steps: str, began: int, ended: int | None, outcome: Outcome | None = None) -> Transaction:
    """`x+1` appends 1 to x, `x=12` reads [1, 2], `x=` reads nothing, `x?` reads what nobody learned."""
    made: list[tuple[str, str, Any]] = []
    for word in steps.split():
        key, sign, values = word[0], word[1], word[2:]
        if sign == "+":
            made.append(("append", key, int(values)))
        else:
            made.append(("read", key, None if sign == "?" else [int(value) for value in values]))
    return Transaction(f"c{began}", tuple(made), began, ended, outcome or ("ok" if ended else "unknown"))


GOOD_TRANSACTIONS: dict[str, list[Transaction]] = {
    "nothing": [],
    "one after the other": [tx("x= x+1 y+2", 1, 2), tx("x=1 x+2 y=2", 3, 4), tx("x=12 y=2", 5, 6)],
    "reads its own writes": [tx("x= x+1 x=1 x+2 x=12", 1, 2), tx("x=12", 3, 4)],
    "at the same time, in either order": [tx("x=1 x+2", 1, 9), tx("x= x+1", 1, 9), tx("x=12", 10, 11)],
    "an unknown one that happened": [tx("x= x+1 y? y+1", 1, None), tx("x=1 y=1", 5, 6)],
    "an unknown one that happened late": [tx("x= x+1", 1, None), tx("x=", 5, 6), tx("x=1", 7, 8)],
    "an unknown one that did not": [tx("x= x+1", 1, None), tx("x=", 5, 6)],
    "a failed one": [tx("x= x+1", 1, 2, "failed"), tx("x=", 5, 6)],
    "read only ones before and after": [tx("x= y=", 1, 20), tx("x= x+1 y= y+1", 1, 20), tx("x=1 y=1", 1, 20)],
}

BAD_TRANSACTIONS: dict[str, tuple[str, list[Transaction]]] = {
    "dirty write": ("G0", [tx("x+1 y+1", 1, 9), tx("x+2 y+2", 1, 9), tx("x=12", 10, 11), tx("y=21", 10, 11)]),
    "aborted read": ("G1a", [tx("x+1", 1, 2, "failed"), tx("x=1", 3, 4)]),
    "intermediate read": ("G1b", [tx("x+1 x+2", 1, 9), tx("x=1", 1, 9), tx("x=12", 10, 11)]),
    "each reads the other": ("G1c", [tx("x+1 y=1", 1, 9), tx("y+1 x=1", 1, 9)]),
    "lost update": ("G-single", [tx("x= x+1", 1, 9), tx("x= x+2", 1, 9), tx("x=12", 10, 11)]),
    "read skew": ("G-single", [tx("x= y=1", 1, 9), tx("x+1 y+1", 1, 9), tx("x=1", 10, 11)]),
    "an append that is gone": ("G-single-realtime", [tx("x= x+1", 1, 2), tx("x=", 3, 4)]),
    "stale read": ("G-single-realtime", [tx("x+1", 1, 2), tx("x+2", 3, 4), tx("x=1", 5, 6), tx("x=12", 7, 8)]),
    "write skew": ("G2", [tx("x= y+1", 1, 9), tx("y= x+1", 1, 9), tx("x=1 y=1", 10, 11)]),
    "an unknown one by halves": ("G-single", [tx("x+1 y+1", 1, None), tx("x=1 y=", 2, 3), tx("x=1 y=1", 4, 5)]),
    "write skew of an unknown one": ("G2", [tx("x= y+1", 1, None), tx("y= x+1", 1, 9), tx("x=1 y=1", 10, 11)]),
    "long fork": (
        "G2",
        [tx("x+1", 1, 9), tx("y+1", 1, 9), tx("x=1 y=", 1, 9), tx("x= y=1", 1, 9), tx("x=1 y=1", 10, 11)],
    ),
    "an effect before its cause": ("G0-realtime", [tx("x+2", 1, 2), tx("x+1", 3, 4), tx("x=12", 5, 6)]),
    "a read of the future": ("G1c-realtime", [tx("x=1", 1, 2), tx("x+1", 3, 4)]),
    "two orders": ("incompatible-order", [tx("x+1", 1, 9), tx("x+2", 1, 9), tx("x=12", 1, 9), tx("x=21", 1, 9)]),
    "applied twice": ("duplicate", [tx("x= x+1", 1, None), tx("x=11", 3, 4)]),
    "from nowhere": ("unwritten", [tx("x=7", 3, 4)]),
    "a read that changes": ("internal", [tx("x= x=1", 1, 9), tx("x+1", 1, 9)]),
    "its own write is missing": ("internal", [tx("x= x+1 x=", 1, 9)]),
}


@pytest.mark.parametrize("name", GOOD_TRANSACTIONS)
def test_good_transactions(name: str) -> None:
    assert serialisability.check(GOOD_TRANSACTIONS[name]) == []


@pytest.mark.parametrize("name", BAD_TRANSACTIONS)
def test_bad_transactions(name: str) -> None:
    phenomenon, transactions = BAD_TRANSACTIONS[name]
    found = serialisability.check(transactions)
    assert phenomenon in [anomaly.phenomenon for anomaly in found], [str(anomaly) for anomaly in found]
    assert all(anomaly.told for anomaly in found)


def serial(order: tuple[Transaction, ...]) -> bool:
    """Whether each transaction reads what those before it wrote."""
    lists: dict[str, list[int]] = {"x": [], "y": []}
    for each in order:
        for step, key, value in each.steps:
            if step == "append":
                lists[key].append(value)
            elif lists[key] != value:
                return False
    return True


@given(st.data())
def test_serialisability_is_judged_as_by_brute_force(data: st.DataObject) -> None:
    numbers = itertools.count(1)
    transactions: list[list[tuple[str, str, Any]]] = []
    orders = {key: data.draw(st.permutations(range(1, 5))) for key in "xy"}
    for _ in range(data.draw(st.integers(1, 4))):
        steps: list[tuple[str, str, Any]] = []
        for _ in range(data.draw(st.integers(1, 3))):
            key = data.draw(st.sampled_from("xy"))
            if data.draw(st.booleans()) and len(appended := _appended([*transactions, steps], key)) < 4:
                steps.append(("append", key, len(appended) + 1))
            else:
                steps.append(("read", key, orders[key][: data.draw(st.integers(0, 4))]))
        transactions.append(steps)
    ends = {key: [v for v in orders[key] if v in _appended(transactions, key)] for key in "xy"}
    history = []
    for steps in transactions:
        began = data.draw(st.integers(1, 8))
        history.append(Transaction(f"c{next(numbers)}", tuple(steps), began, data.draw(st.integers(began, 9)), "ok"))
    last = tx("", 20, 21)
    history.append(Transaction(last.client, tuple(("read", key, ends[key]) for key in "xy"), 20, 21, "ok"))
    possible = any(_in_time(order) and serial(order) for order in itertools.permutations(history))
    assert (serialisability.check(history) == []) == possible


def _appended(transactions: list[list[tuple[str, str, Any]]], of: str) -> list[int]:
    return [value for steps in transactions for step, key, value in steps if step == "append" and key == of]


@given(st.randoms(use_true_random=False), st.integers(0, 60))
def test_what_serial_transactions_do_is_accepted(rng: random.Random, many: int) -> None:
    lists: dict[str, list[int]] = {key: [] for key in "xyz"}
    history = []
    for number in range(1, many + 1):
        outcome: Outcome = rng.choices(OUTCOMES, (20, 2, 1))[0]
        happens = outcome == "ok" or (outcome == "unknown" and rng.random() < 0.5)
        now = {key: list(values) for key, values in lists.items()}
        steps: list[tuple[str, str, Any]] = []
        for each in range(rng.randrange(1, 5)):
            key = rng.choice("xyz")
            steps.append(("read", key, list(now[key]) if outcome == "ok" else None))
            if rng.random() < 0.5:
                now[key].append(number * 10 + each)
                steps.append(("append", key, number * 10 + each))
        if happens:
            lists = now
        began, ended = number * 10 - rng.randrange(60), number * 10 + rng.randrange(60)
        history.append(Transaction("c", tuple(steps), began, None if outcome == "unknown" else ended, outcome))
    rng.shuffle(history)
    assert serialisability.check(history) == []


# The record.


def test_what_is_recorded_is_read(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "one")
    recorder.begins("p1.c2/1", "set", "key", 7)
    recorder.begins("p1.c3/1", "transaction", None, [["read", "x", None], ["append", "x", 1]])
    recorder.ends("p1.c2/1", "ok", None)
    recorder.begins("p1.c2/2", "get", "key", None)
    recorder.begins("p1.c4/1", "transaction", None, [["append", "x", 2]])
    recorder.ends("p1.c3/1", "ok", [["read", "x", [5]], ["append", "x", 1]])
    recorder.ends("p1.c2/2", "failed")
    recorder.close()
    calls, transactions = read([tmp_path / "one"])
    assert [(c.client, c.kind, c.argument, c.outcome) for c in calls] == [
        ("p1.c2", "set", 7, "ok"),
        ("p1.c2", "get", None, "failed"),
    ]
    assert [(t.steps, t.outcome) for t in transactions] == [
        ((("read", "x", [5]), ("append", "x", 1)), "ok"),
        ((("append", "x", 2),), "unknown"),
    ]
    assert transactions[1].ended is None
    assert calls[0].ended is not None
    assert calls[0].began <= calls[0].ended <= calls[1].began

"""The suite itself: no test hides another, and what a backend denies is asserted, not passed over."""

from __future__ import annotations

import inspect
from collections import Counter

from rrag_storage.testing import Capabilities, StorageContract, cases, same
from rrag_storage.testing.contract.base import Contract
from rrag_storage.testing.equality import canonical


def test_no_test_hides_another() -> None:
    parts = [part for part in StorageContract.__mro__ if issubclass(part, Contract) and part is not Contract]
    names = Counter(name for part in parts for name in vars(part) if name.startswith("test_"))
    assert [name for name, count in names.items() if count > 1] == []
    assert sum(names.values()) > 200


def test_every_test_says_what_it_needs() -> None:
    fixtures = {"self", "storage", "make_storage", "clock", "capfd"}
    for name, test in inspect.getmembers(StorageContract, inspect.isfunction):
        if name.startswith("test_"):
            marked = {
                argument
                for mark in getattr(test, "pytestmark", [])
                if mark.name == "parametrize"
                for argument in (mark.args[0].split(",") if isinstance(mark.args[0], str) else mark.args[0])
            }
            assert set(inspect.signature(test).parameters) <= fixtures | marked, name


def test_capabilities_choose_the_tests() -> None:
    class Whole(StorageContract):
        pass

    class Poor(StorageContract):
        capabilities = Capabilities(transactions=False, atomic_mset=False, created_order=False)

    assert callable(Whole.test_no_write_skew)
    assert Whole.test_transactions_are_refused is None
    assert Whole.test_an_order_by_creation_is_refused is None
    assert Poor.test_no_write_skew is None
    assert Poor.test_msets_do_not_mix is None
    assert callable(Poor.test_transactions_are_refused)
    assert callable(Poor.test_an_order_by_creation_is_refused)
    assert callable(StorageContract.test_no_write_skew)


def test_exact_equality_is_exact() -> None:
    twins = [(case.name, case.kind, canonical(case.value)) for case in cases.VALUES]
    for case, (name, kind, twin) in zip(cases.VALUES, twins, strict=True):
        assert canonical(case.value) == twin, name
        assert all(twin != other for _, other_kind, other in twins if other_kind != kind), name
    different = [
        (1, True),
        (1, 1.0),
        (0.0, -0.0),
        ([1], (1,)),
        ({1}, {True}),
        ({1}, frozenset({1})),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ("a", b"a"),
        ([float("nan")], [1.0]),
    ]
    for one, other in different:
        assert not same(one, other)
    assert same([float("nan")], [float("nan")])


def test_the_tables_have_no_doubles() -> None:
    assert len(set(cases.KEYS)) == len(cases.KEYS)
    for table in (cases.VALUES, cases.REFUSED, cases.EXACT_OR_REFUSED):
        names = [case.name for case in table]
        assert len(set(names)) == len(names)

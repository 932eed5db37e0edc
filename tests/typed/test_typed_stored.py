"""What is stored and fits its model no longer is refused by its key; fields may come, and go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pydantic
import pytest
from refusal import refused
from rrag_storage import (
    InMemoryStorage,
    InvalidValueError,
    Storage,
)
from rrag_storage.testing import assert_same, asynchronous
from typed_models import (
    Author,
    Circle,
    DataRecord,
    Page,
    Point,
    Square,
)


@dataclass
class Drawing:
    shape: Circle | Square


@pytest.mark.parametrize(
    ("model", "stored", "words"),
    [
        (Square, 5, ["must be Square, not int"]),
        (Square, {}, ["size: is missing"]),
        (DataRecord, 5, ["must be DataRecord, not int"]),
        (Square, {"size": "1"}, ["size: must be float, not str"]),
        (Square, {"size": 1.0, "color": "red"}, ["color: is stored and not among the fields of the model"]),
        (Drawing, {"shape": {"__type__": [], "size": 1.0}}, ["shape.__type__: is stored and not among"]),
        (Drawing, {"shape": {"__type__": "Triangle", "size": 1.0}}, ["shape.__type__: is stored and not among"]),
        (Drawing, {"shape": {"__type__": "Circle", "size": "1"}}, ["shape.size: must be float, not str"]),
        (Drawing, {"shape": 5}, ["shape: must be Circle or Square, not int"]),
        (Author, {"name": ""}, ["name: String should have at least 1 character"]),
        (Author, {"fullName": "Ada"}, ["name: Field required"]),
        (Author, {"name": 1, "born": "x"}, ["name: Input should be a valid string (and 1 more)"]),
        (Page, {"pageNumber": "x"}, ["pageNumber: Expected `int`, got `str`"]),
        (Page, 5, ["Expected `object`, got `int`"]),
    ],
)
@asynchronous
async def test_what_is_stored_and_does_not_fit_is_refused(
    storage: Storage, model: type[Any], stored: Any, words: list[str]
) -> None:
    view = storage.typed(model)
    await storage.set("users::ada", stored)
    for read in (
        lambda: view.get("users::ada"),
        lambda: view.mget(["users::bob", "users::ada"]),
        lambda: view.get_entry("users::ada"),
        lambda: view.get_entries(["users::ada"]),
        lambda: view.items().__anext__(),
        lambda: view.entries().__anext__(),
        lambda: view.transact(lambda tx: tx.get("users::ada")),
        lambda: view.pop("users::ada"),
    ):
        with refused("users::ada", f"what is stored is no valid {model.__name__}", *words) as error:
            await read()
        assert error.value.key == "users::ada"
    assert_same(error.value.stored, stored)  # of the pop, after which nobody else has it
    assert await storage.exists("users::ada") is False


@asynchronous
async def test_an_iteration_goes_on_behind_what_does_not_fit(storage: Storage) -> None:
    view = storage.typed(Square)
    await view.mset({"a": Square(1.0), "c": Square(3.0)})
    await storage.set("b", {"size": None})
    found: list[Any] = []
    items = view.items()
    while True:
        try:
            found.append(await items.__anext__())
        except InvalidValueError as error:
            found.append(error.key)
        except StopAsyncIteration:
            break
    assert found == [("a", Square(1.0)), "b", ("c", Square(3.0))]
    blocking = view.sync.items()
    assert next(blocking) == ("a", Square(1.0))
    with refused("b"):
        next(blocking)
    assert list(blocking) == [("c", Square(3.0))]


@pytest.mark.parametrize("model", [Author, Page])
def test_the_cause_is_the_validators_own_error(model: type[Any]) -> None:
    storage = InMemoryStorage().sync
    storage.set("key", {"name": 5, "pageNumber": "x"})
    with refused("key") as error:
        storage.typed(model).get("key")
    assert isinstance(error.value.__cause__, pydantic.ValidationError | msgspec.ValidationError)


def test_what_a_constructor_says_is_told() -> None:
    @dataclass
    class Positive:
        number: int

        def __post_init__(self) -> None:
            if self.number < 0:
                raise ValueError("number must not be negative")

    storage = InMemoryStorage().sync
    storage.set("key", {"number": -1})
    with refused("key", "Positive refuses it: ValueError: number must not be negative") as error:
        storage.typed(Positive).get("key")
    assert isinstance(error.value.__cause__, ValueError)


def test_no_stored_value_is_in_a_message() -> None:
    storage = InMemoryStorage().sync
    secret = "hunter2-hunter2"
    for model, stored in (
        (Square, {"size": secret}),
        (Square, secret),
        (DataRecord, {"identity": secret}),
        (Author, {"name": "Ada", "born": secret}),
        (Author, secret),
        (Page, {"pageNumber": secret}),
    ):
        storage.set("key", stored)
        with pytest.raises(InvalidValueError) as error:
            storage.typed(model).get("key")  # type: ignore[type-var]
        assert secret not in str(error.value)
        assert secret not in repr(error.value)


def test_a_new_field_takes_its_default() -> None:
    storage = InMemoryStorage().sync
    storage.set("key", {"x": 1.0})
    assert storage.typed(Point).get("key") == Point(1.0, 0.0)


def test_a_field_that_becomes_a_union_reads_what_was_stored_before() -> None:
    storage = InMemoryStorage().sync
    storage.set("key", {"shape": {"size": 1.0}})
    assert storage.typed(Drawing).get("key") == Drawing(Circle(1.0))


def test_pydantics_own_rules_hold_for_unknown_fields() -> None:
    storage = InMemoryStorage().sync
    storage.set("key", {"name": "Ada", "unknown": 1})
    assert storage.typed(Author).get("key") == Author(fullName="Ada")

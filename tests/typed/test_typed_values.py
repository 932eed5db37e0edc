"""What goes into a typed view comes out as it was; what would not is refused by its key, and not stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pydantic
import pytest
from hypothesis import given
from refusal import refused
from rrag_storage import (
    InMemoryStorage,
    Storage,
    StorageError,
    UnsupportedTypeError,
)
from rrag_storage._typed._difference import difference
from rrag_storage.testing import assert_same, asynchronous, strategies
from typed_models import (
    RECORDS,
    Author,
    Circle,
    Color,
    DataRecord,
    Page,
    Point,
    Square,
    data_record,
    dict_record,
    model_record,
    struct_record,
)


@pytest.mark.parametrize(("model", "record"), RECORDS, ids=[model.__name__ for model, _ in RECORDS])
@asynchronous
async def test_a_record_comes_back_as_it_was(storage: Storage, model: type[Any], record: Any) -> None:
    view = storage.typed(model)
    await view.set("key", record)
    back = await view.get("key")
    assert type(back) is type(record)
    assert difference(record, back) is None
    assert back is not record
    # What is stored is plain Python: the storage itself gives it, its exact types kept.
    stored = await storage.get("key")
    assert type(stored) is dict
    assert stored["identity"] == record_field(record, "identity")
    assert type(stored["tags"]) is set
    assert type(stored["color"]) is str
    assert stored["matrix"].dtype == np.int16


def record_field(record: Any, name: str) -> Any:
    return record[name] if isinstance(record, dict) else getattr(record, name)


@asynchronous
async def test_what_a_dataclass_is_stored_as(storage: Storage) -> None:
    await storage.typed(DataRecord).set("key", data_record())
    stored = await storage.get("key")
    assert stored["shape"] == {"__type__": "Square", "size": 2.0}
    assert stored["shapes"] == [{"__type__": "Square", "size": 1.0}, {"__type__": "Circle", "size": 1.0}, {"size": 1}]
    assert stored["old"] == {"x": 1.0, "y": 2.0}
    assert_same(stored["rights"], 3)
    assert_same(stored["mode"], "red")
    assert_same(stored["several"], (1, 2))
    assert stored["author"] == {"name": "Ada", "born": data_record().author.born}
    assert stored["page"] == {"pageNumber": 3, "words": frozenset({"word"})}


@given(strategies.values())
def test_any_value_that_a_storage_keeps_stands_in_any_model(value: Any) -> None:
    storage = InMemoryStorage().sync
    storage.set("plain", value)
    for model in (AnyData, AnyModel, AnyStruct):
        view = storage.typed(model)
        view.set("key", model(value=value))
        back = view.get("key")
        assert back is not None
        assert_same(back.value, storage.get("plain"))


@dataclass
class AnyData:
    value: Any


class AnyModel(pydantic.BaseModel):
    value: Any


class AnyStruct(msgspec.Struct):
    value: Any


def test_a_value_is_encoded_when_the_call_is_made() -> None:
    view = InMemoryStorage().typed(Square)
    square = Square(1.0)
    call = view.sync._storage.typed(Square).set("key", square)
    square.size = 2.0
    call.wait()  # type: ignore[attr-defined]  # it is an Operation
    assert view.sync.get("key") == Square(1.0)


def test_none_that_is_stored_is_not_a_missing_key() -> None:
    storage = InMemoryStorage().sync
    view = storage.typed(pydantic.RootModel[int | None])
    view.set("key", pydantic.RootModel[int | None](None))
    assert storage.get("key", "missing") is None
    assert view.get("key", "missing") == pydantic.RootModel[int | None](None)
    assert view.get("other", "missing") == "missing"


def test_equality_to_the_last_detail() -> None:
    for one, other in (
        (Point(0.0), Point(-0.0)),
        (AnyData(1), AnyData(True)),
        (AnyData([1]), AnyData([1, 2])),
        (AnyData({"a": 1, "b": 2}), AnyData({"b": 2, "a": 1})),
        (AnyData({1}), AnyData({True})),
        (AnyData(np.zeros(2)), AnyData(np.zeros((1, 2)))),
        (AnyModel(value=1), AnyModel(value=1.0)),
        (AnyStruct(value="a"), AnyStruct(value=b"a")),
    ):
        assert difference(one, other) is not None
        assert difference(one, one) is None
    assert difference(AnyData(float("nan")), AnyData(float("nan"))) is None
    assert difference(struct_record(), struct_record()) is None
    assert difference(dict_record(), dict_record()) is None


# Refusals


@pytest.mark.parametrize(
    ("model", "value", "words"),
    [
        (Square, {"size": 1.0}, ["must be Square, not dict"]),
        (Square, None, ["must be Square, not None"]),
        (Square, Circle(1.0), ["must be Square, not Circle"]),
        (Square, Square("1"), ["size: must be float, not str"]),  # type: ignore[arg-type]
        (Square, Square(True), ["size: must be float, not bool"]),
        (DataRecord, data_record(tags=["a"]), ["tags: must be set, not list"]),
        (DataRecord, data_record(tags={1}), ["tags[…]: must be str, not int"]),
        (DataRecord, data_record(pair=(1, "a", 2)), ["pair: must be a tuple of 2, not of 3"]),
        (DataRecord, data_record(pair=("a", "a")), ["pair[0]: must be int, not str"]),
        (DataRecord, data_record(counts={1: 1}), ["counts: a key must be str, not int"]),
        (DataRecord, data_record(by_color={"red": 1}), ["by_color: a key must be Color, not str"]),
        (DataRecord, data_record(counts={"a": 1.0}), ["counts['a']: must be int, not float"]),
        (DataRecord, data_record(mode="slow"), ["mode: must be one of 'fast', 1, <Color.RED: 'red'>, not str"]),
        (DataRecord, data_record(mode=True), ["mode: must be one of", "not bool"]),
        (DataRecord, data_record(mode=[1]), ["mode: must be one of", "not list"]),
        (DataRecord, data_record(color="red"), ["color: must be Color, not str"]),
        (DataRecord, data_record(either=1.5), ["either: must be int or str or None, not float"]),
        (DataRecord, data_record(old=Point("x")), ["old.x: must be float, not str"]),  # type: ignore[arg-type]
        (DataRecord, data_record(vector=np.ones(3)), ["vector: must be array of float32, not an array of float64"]),
        (DataRecord, data_record(matrix=[1]), ["matrix: must be ndarray, not list"]),
        (DataRecord, data_record(label={"name": "x", "size": 1}), ["label: 'size' is no key of Label"]),
        (DataRecord, data_record(label={}), ["label.name: is missing"]),
        (DataRecord, data_record(label={"name": "x", 1: 2}), ["label: a key must be str, not int"]),
        (DataRecord, data_record(children=[data_record(flag=0)]), ["children[0].flag: must be bool, not int"]),
        (DataRecord, data_record(author=Author.model_construct(name="")), ["author.name: String should have"]),
        (DataRecord, data_record(page=Page("1")), ["page.pageNumber: Expected `int`, got `str`"]),  # type: ignore[arg-type]
    ],
)
@asynchronous
async def test_a_value_of_another_kind_is_not_stored(
    storage: Storage, model: type[Any], value: Any, words: list[str]
) -> None:
    view = storage.typed(model)
    for call in (
        view.set("users::ada", value),
        view.mset([("users::ada", value)]),
        view.set_if_absent("users::ada", value),
        view.compare_and_set("users::ada", value, 1),
    ):
        with refused("users::ada", "not stored", *words) as error:
            await call
        assert error.value.key == "users::ada"
        assert isinstance(error.value, StorageError)
        assert isinstance(error.value, ValueError)
    with refused("users::ada", "not stored", *words):
        view.sync.set("users::ada", value)
    assert await storage.keys() == []


class Animal(pydantic.BaseModel):
    name: str


class Dog(Animal):
    tricks: list[str] = []


class Owner(pydantic.BaseModel):
    pet: Animal


class Cat(pydantic.BaseModel):
    name: str


class Keeper(pydantic.BaseModel):
    pet: Animal | Cat


class Hashing(pydantic.BaseModel):
    text: str

    @pydantic.field_validator("text")
    @classmethod
    def longer(cls, text: str) -> str:
        return text + "!"


@dataclass
class Growing:
    count: int

    def __post_init__(self) -> None:
        self.count += 1


@dataclass
class Ambiguous:
    color: Color | str


class Loose(msgspec.Struct):
    ratio: float


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Owner(pet=Dog(name="Rex", tricks=["sit"])), ["pet: Dog would come back as Animal"]),
        (Keeper(pet=Cat(name="Tom")), ["pet: Cat would come back as Animal"]),
        (Hashing(text="x"), ["text: another value would come back"]),
        (Growing(1), ["count: another value would come back"]),
        (Ambiguous("red"), ["color: str would come back as Color"]),
        (Loose(1), ["ratio: int would come back as float"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_would_not_come_back_the_same_is_not_stored(value: Any, words: list[str]) -> None:
    storage = InMemoryStorage().sync
    with refused("key", "not stored", "would not come back the same", *words):
        storage.typed(type(value)).set("key", value)
    assert storage.keys() == []


def test_a_cycle_is_refused() -> None:
    record = data_record()
    record.children.append(record)
    record.anything = None
    with refused("key", "not stored"):
        InMemoryStorage().sync.typed(DataRecord).set("key", record)
    model = model_record()
    model.children.append(model)
    with refused("key", "not stored"):
        InMemoryStorage().sync.typed(type(model)).set("key", model)


def test_a_value_that_the_storage_refuses_is_refused_by_the_storage() -> None:
    with pytest.raises(UnsupportedTypeError, match=r'value\["value"\]: object is not supported'):
        InMemoryStorage().sync.typed(AnyData).set("key", AnyData(object()))

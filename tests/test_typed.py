"""Typed views: what goes in comes out as it was, what does not fit is refused by its key, and keys work as ever."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import InitVar, dataclass
from pathlib import Path
from threading import Thread
from typing import Any, Generic, NamedTuple, TypedDict, TypeVar

import msgspec
import numpy as np
import pydantic
import pytest
from hypothesis import given
from rrag_storage import (
    ConflictError,
    DatabaseStorage,
    InMemoryStorage,
    InvalidValueError,
    ManualClock,
    Storage,
    StorageError,
    SyncStorage,
    SyncTransaction,
    SyncTypedTransaction,
    SyncTypedView,
    Transaction,
    TypedEntry,
    TypedTransaction,
    TypedView,
    UnsupportedTypeError,
)
from rrag_storage._typed._difference import difference
from rrag_storage.testing import assert_same, asynchronous, strategies
from support import run_script
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

T = TypeVar("T")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", "sqlite", "view"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Any:
    storage: Storage
    if request.param == "sqlite":
        storage = DatabaseStorage(f"sqlite:{tmp_path}/typed.db", clock=clock)
    else:
        storage = InMemoryStorage(clock=clock)
    with storage.sync:
        yield storage.namespace("outer") if request.param == "view" else storage


def refused(key: str, *words: str) -> Any:
    """The refusal of a value under `key`: its message has these words."""
    return pytest.raises(InvalidValueError, match="(?s)" + ".*".join(map(_literally, (f"key {key!r}", *words))))


def _literally(word: str) -> str:
    return "".join(f"[{letter}]" if letter in "[](){}.*+?|$" else letter for letter in word).replace("[[]", r"\[")


# Values


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


# Refusals of values


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


# What is stored and does not fit


@pytest.mark.parametrize(
    ("model", "stored", "words"),
    [
        (Square, 5, ["must be Square, not int"]),
        (Square, {}, ["size: is missing"]),
        (Square, {"size": "1"}, ["size: must be float, not str"]),
        (Square, {"size": 1.0, "color": "red"}, ["color: is stored and not among the fields of the model"]),
        (DataRecord, {"shape": {"__type__": []}}, []),
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


# Fields that come and go


def test_a_new_field_takes_its_default() -> None:
    storage = InMemoryStorage().sync
    storage.set("key", {"x": 1.0})
    assert storage.typed(Point).get("key") == Point(1.0, 0.0)


def test_a_field_that_becomes_a_union_reads_what_was_stored_before() -> None:
    @dataclass
    class Drawing:
        shape: Circle | Square

    storage = InMemoryStorage().sync
    storage.set("key", {"shape": {"size": 1.0}})
    assert storage.typed(Drawing).get("key") == Drawing(Circle(1.0))


def test_pydantics_own_rules_hold_for_unknown_fields() -> None:
    storage = InMemoryStorage().sync
    storage.set("key", {"name": "Ada", "unknown": 1})
    assert storage.typed(Author).get("key") == Author(fullName="Ada")


# Models that can't be used


@dataclass
class WithLock:
    name: str
    locks: list[Thread | None]


@dataclass
class Outer:
    inner: dict[str, WithLock]


@dataclass
class WithCallable:
    call: Callable[[], None]


@dataclass
class WithIntKeys:
    counts: dict[int, str]


@dataclass
class WithSetOfRecords:
    points: set[Point]


@dataclass
class WithInitVar:
    seed: InitVar[int]


@dataclass
class WithTag:
    __type__: str


@dataclass
class WithPath:
    path: Path


@dataclass
class Wrapper(Generic[T]):
    value: T


@dataclass
class WithUnknown:
    value: NotDefined  # type: ignore[name-defined]  # noqa: F821


class Coordinates(NamedTuple):
    x: int


class WithObject(TypedDict):
    lock: Thread


class ModelWithLock(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    path: Path | Point | None = None
    locks: list[Thread | None] = []


class ModelWithSecret(pydantic.BaseModel):
    password: pydantic.SecretStr


class ModelWithExcluded(pydantic.BaseModel):
    cached: int = pydantic.Field(default=0, exclude=True)


class ModelWithCallable(pydantic.BaseModel):
    call: Callable[[], None]


class ModelWithModel(pydantic.BaseModel):
    inner: list[ModelWithSecret]


class StructWithObject(msgspec.Struct):
    value: list[Coordinates | None]
    path: Path


@dataclass
class WithModel:
    model: ModelWithSecret


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (WithLock, "WithLock.locks: "),
        (Outer, "WithLock.locks: "),
        (WithCallable, "WithCallable.call: collections.abc.Callable"),
        (WithIntKeys, "WithIntKeys.counts: a stored map has str keys, not int"),
        (WithSetOfRecords, "WithSetOfRecords.points: what is stored for Point can't stand in a set"),
        (WithInitVar, "WithInitVar.seed: an InitVar"),
        (WithTag, "WithTag.__type__: "),
        (WithPath, "WithPath.path: Path"),
        (Wrapper, "Wrapper.value: ~T"),
        (WithUnknown, "NotDefined"),
        (WithObject, "WithObject.lock: "),
        (ModelWithLock, "ModelWithLock.locks: Thread can't be stored"),
        (ModelWithSecret, "ModelWithSecret.password: pydantic masks a SecretStr"),
        (ModelWithExcluded, "ModelWithExcluded.cached: exclude=True"),
        (ModelWithCallable, "ModelWithCallable.call: a callable can't be stored"),
        (ModelWithModel, "ModelWithModel.inner.password: pydantic masks"),
        (StructWithObject, "StructWithObject.path: Path can't be stored"),
        (WithModel, "WithModel.model.password: pydantic masks"),
    ],
)
def test_a_field_that_cannot_be_kept_is_named(model: type[Any], words: str) -> None:
    storage = InMemoryStorage()
    for use in (storage, storage.sync, storage.namespace("x")):
        with pytest.raises(UnsupportedTypeError) as error:
            use.typed(model)
        assert words in str(error.value)


@pytest.mark.parametrize("model", [int, dict, Coordinates, Wrapper[int], "User", None, Square(1.0), Storage])
def test_what_is_no_model_is_refused(model: Any) -> None:
    with pytest.raises(TypeError, match="a model is"):
        InMemoryStorage().typed(model)


def test_a_field_with_a_serializer_of_its_own_may_be_of_any_type() -> None:
    class Account(pydantic.BaseModel):
        password: pydantic.SecretStr

        @pydantic.field_serializer("password")
        def shown(self, password: pydantic.SecretStr) -> str:
            return password.get_secret_value()

    view = InMemoryStorage().sync.typed(Account)
    view.set("key", Account(password=pydantic.SecretStr("hunter2")))
    account = view.get("key")
    assert account is not None
    assert account.password.get_secret_value() == "hunter2"


def test_neither_library_is_imported_for_a_dataclass() -> None:
    printed = run_script(
        """
        import sys
        from dataclasses import dataclass
        from rrag_storage import InMemoryStorage

        @dataclass
        class User:
            name: str

        view = InMemoryStorage().sync.typed(User)
        view.set("ada", User("Ada"))
        print(view.get("ada"), [name for name in ("pydantic", "msgspec", "numpy") if name in sys.modules])
        """
    )
    assert printed == "User(name='Ada') []\n"


# The interface


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

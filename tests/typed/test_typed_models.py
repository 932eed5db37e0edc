"""Which classes are models, and which fields can't be kept: told when the view is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import InitVar, dataclass
from pathlib import Path
from threading import Thread
from typing import Any, Generic, NamedTuple, TypedDict, TypeVar

import msgspec
import numpy as np
import pydantic
import pytest
from rrag_storage import (
    InMemoryStorage,
    Storage,
    UnsupportedTypeError,
)
from rrag_storage._typed._difference import difference
from support import run_script
from typed_models import (
    Point,
    Square,
)

T = TypeVar("T")


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


class ModelWithUnknown(pydantic.BaseModel):
    value: NotDefined  # type: ignore[name-defined]  # noqa: F821


class StructWithUnknown(msgspec.Struct):
    value: NotDefined  # type: ignore[name-defined]  # noqa: F821


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
        (ModelWithUnknown, "NotDefined"),
        (StructWithUnknown, "NotDefined"),
        (WithModel, "WithModel.model.password: pydantic masks"),
    ],
)
def test_a_field_that_cannot_be_kept_is_named(model: type[Any], words: str) -> None:
    storage = InMemoryStorage()
    for use in (storage, storage.sync, storage.namespace("x")):
        with pytest.raises(UnsupportedTypeError) as error:
            use.typed(model)
        assert words in str(error.value)


@pytest.mark.parametrize("model", [int, dict, Coordinates, Wrapper[int], "User", None, Square(1.0), Storage, list[int]])
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


@dataclass
class WithArray:
    matrix: np.ndarray[Any, Any]
    threads: list[int]


def test_a_dataclass_in_a_pydantic_model_is_checked_as_a_part_of_it() -> None:
    class Holder(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
        inner: list[WithArray]

    view = InMemoryStorage().sync.typed(Holder)
    holder = Holder(inner=[WithArray(np.arange(3), [1])])
    view.set("key", holder)
    assert difference(holder, view.get("key")) is None

    class Wrong(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
        inner: WithLock

    with pytest.raises(UnsupportedTypeError, match=r"Wrong\.inner\.locks: Thread can't be stored"):
        InMemoryStorage().typed(Wrong)


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

"""What is done with bytes that nobody chose. A finding is an exception."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rrag_storage import DatabaseStorage, InMemoryStorage, MemoryValue, SyncStorage, UnsupportedTypeError
from rrag_storage.cli import notation
from rrag_storage.cli.json_lines import read_json_lines
from rrag_storage.cli.records import BadRecordError, CutOffError
from rrag_storage.testing.equality import assert_same

from . import exports
from .choices import Choices
from .objects import Objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OLDER = "what stood there before"


class Checks:
    """Gives bytes to the storages, and counts.

    Attributes:
        counts: how many inputs came back, were refused, and so on.
    """

    def __init__(self, storages: list[SyncStorage]) -> None:
        self.counts: dict[str, int] = {}
        self._storages = storages
        for storage in storages:
            storage.set("key", OLDER)

    def one_input(self, data: bytes) -> None:
        """Whatever `data` is taken for, what must hold of it holds."""
        choices = Choices(data)
        check = choices.of((self._native, self._native, self._native, self._document, self._export))
        outcome = check(choices)
        self.counts[outcome] = self.counts.get(outcome, 0) + 1

    def _native(self, choices: Choices) -> str:
        objects = Objects(choices)
        value = objects.any()
        if not objects.refused:
            assert_same(MemoryValue.from_python(value).to_python(), value)
            for storage in self._storages:
                storage.mset({"key": value})
                assert_same(storage.get("key"), value)
                storage.set("key", OLDER)
            return "came back"
        _refused(lambda: MemoryValue.from_python(value))
        for storage in self._storages:
            _refused(lambda storage=storage: storage.set("key", value))
            _refused(lambda storage=storage: storage.mset({"other": 1, "key": value}))
            _refused(lambda storage=storage: storage.set_if_absent("other", value))
            assert (storage.count(), storage.get("key")) == (1, OLDER)
        return "was refused"

    def _document(self, choices: Choices) -> str:
        document = exports.data(choices)
        try:
            value = MemoryValue.json(document)
        except UnsupportedTypeError:
            assert "\\ud800" in ascii(document)
            return "a document was refused"
        assert value.kind == "json"
        assert_same(value.to_python(), document)
        for storage in self._storages:
            storage.set("key", value)
            assert_same(storage.get("key"), document)
            storage.set("key", OLDER)
        return "a document came back"

    def _export(self, choices: Choices) -> str:
        lines = exports.lines(choices)
        read = 0
        try:
            for record in read_json_lines(lines):
                if isinstance(record, BadRecordError):
                    continue
                read += _comes_back(record.value)
        except CutOffError:
            return "an export was cut off"
        return "an export was read" if read else "an export held nothing"


def _refused(call: Callable[[], Any]) -> None:
    try:
        call()
    except UnsupportedTypeError as error:
        assert str(error).startswith("value")
        assert str(error).endswith("is not supported")
    else:
        raise AssertionError("it was taken")


def _comes_back(value: Any) -> bool:
    """Whether what an export held can be stored; where it can, it is exported as what it is."""
    try:
        stored = value if isinstance(value, MemoryValue) else MemoryValue.from_python(value)
    except UnsupportedTypeError:
        return False
    again = notation.loads(notation.dumps(stored.to_python(), stored.kind))
    assert_same(again.to_python() if isinstance(again, MemoryValue) else again, stored.to_python())
    return True


@contextmanager
def opened() -> Iterator[Checks]:
    """Checks on a storage in memory and one in a file."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:{Path(folder) / 'a.db'}"
        with InMemoryStorage().sync as memory, DatabaseStorage(url, synchronous="normal").sync as file:
            yield Checks([memory, file])

"""What a notebook shows: a `repr`, and a small table in which nothing escapes from its cell."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rrag_storage import (
    DatabaseConfig,
    DatabaseStorage,
    InMemoryConfig,
    InMemoryStorage,
    MemoryQuery,
    MemoryValue,
    SortOrder,
    Storage,
)

HOSTILE = "</td></table><script>alert('x')</script><img src=x onerror=\"alert(1)\">&amp;"


class Tags(HTMLParser):
    """Reads a table: fails where a tag is not one of a table's, or is not closed."""

    ALLOWED = frozenset({"table", "thead", "tbody", "tr", "th", "td", "caption", "div", "span", "code", "b", "strong"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.ALLOWED
        assert not any(name.startswith("on") or name == "src" for name, _ in attrs)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + "\n"


def shown(thing: Any) -> str:
    """The text that a notebook shows for `thing`."""
    tags = Tags()
    tags.feed(thing._repr_html_())
    tags.close()
    assert tags.open == []
    return tags.text


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    storage: Storage
    if request.param == "memory":
        storage = InMemoryStorage()
    else:
        storage = DatabaseStorage(f"sqlite:{tmp_path}/<b>&'.db")
    with storage.sync:
        yield storage


def test_a_storage(storage: Storage) -> None:
    text = shown(storage)
    assert storage.backend_name in text
    assert storage.url in text
    assert type(storage).__name__ in repr(storage)
    assert storage.url in repr(storage)
    assert shown(storage.sync) == text


def test_a_view(storage: Storage) -> None:
    view = storage.namespace(HOSTILE)
    assert storage.backend_name in shown(view)
    assert "<script" not in view._repr_html_()
    assert repr(view) != repr(storage)


def test_an_entry(storage: Storage) -> None:
    storage.sync.set(HOSTILE, {"text": HOSTILE, "number": 5}, ttl=60)
    entry = storage.sync.get_entry(HOSTILE)
    html = entry._repr_html_()
    assert "<script" not in html
    assert "<img" not in html
    text = shown(entry)
    assert HOSTILE in text
    assert "map" in text
    assert str(entry.version) in text
    assert "map" in repr(entry)


def test_an_entry_of_a_large_value_is_small(storage: Storage) -> None:
    for value in ("x" * 1_000_000, list(range(100_000)), bytes(1_000_000), "😀" * 100_000):
        storage.sync.set("key", value)
        entry = storage.sync.get_entry("key")
        assert len(entry._repr_html_()) < 10_000
        assert len(repr(entry)) < 10_000
        shown(entry)


def test_stats(storage: Storage) -> None:
    storage.sync.mset({f"n::{number}": number for number in range(1_234)})
    stats = storage.sync.stats()
    text = shown(stats)
    assert storage.backend_name in text
    assert "1234" in text.replace(",", "").replace("_", "")
    assert "1234" in repr(stats).replace(",", "").replace("_", "")


def test_a_closed_storage_can_be_shown(storage: Storage) -> None:
    storage.sync.close()
    assert type(storage).__name__ in repr(storage)
    shown(storage)


def test_showing_a_storage_opens_nothing(tmp_path: Path) -> None:
    storage = DatabaseStorage(f"sqlite:{tmp_path}/a.db")
    repr(storage)
    storage._repr_html_()
    assert list(tmp_path.iterdir()) == []


def test_other_representations() -> None:
    assert "MemoryQuery" in repr(MemoryQuery(prefix="a", limit=3))
    assert "prefix='a'" in repr(MemoryQuery(prefix="a", limit=3)).replace('"', "'")
    assert "KEY_DESC" in repr(SortOrder.KEY_DESC)
    assert "MemoryValue" in repr(MemoryValue.from_python(5))
    assert "5" in repr(MemoryValue.from_python(5))
    assert "InMemoryConfig" in repr(InMemoryConfig())
    assert "DatabaseConfig" in repr(DatabaseConfig("sqlite::memory:"))
    assert "InMemoryStorage.set" in repr_of_operation()


def repr_of_operation() -> str:
    """What an operation says of itself, which is then closed as a coroutine would be."""
    operation = InMemoryStorage().set("key", 1)
    text = repr(operation)
    operation.close()
    return text

"""What the adapters share: keys of labels that never meet, and arguments that are checked where they are given."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rrag_storage import InMemoryStorage
from rrag_storage.integrations._support import checked_ttl, escape, join, needs, split, unescape, view
from support import run_script

LABELS = st.lists(st.text(st.sampled_from("ab:%35A/é\0"), max_size=6), min_size=1, max_size=4)


@given(LABELS)
@example([""])
@example(["", ""])
@example(["%", "%25", "%3A", ":", "::"])
def test_labels_come_back(labels: list[str]) -> None:
    assert split(join(labels)) == tuple(labels)
    assert join(labels)


def test_no_two_sequences_share_a_key() -> None:
    labels = ["", "a", ":", "::", "a:", ":a", "a::b", "%", "%3A"]
    sequences = [s for length in (1, 2, 3) for s in itertools.product(labels, repeat=length)]
    assert len({join(sequence) for sequence in sequences}) == len(sequences)


@given(st.text(max_size=8), st.text(min_size=1, max_size=8))
def test_prefixes_stay_prefixes(rest: str, start: str) -> None:
    assert escape(start + rest).startswith(escape(start))
    assert unescape(escape(start)) == start


def test_a_missing_module_names_the_extra() -> None:
    with pytest.raises(ImportError, match=r"pip install 'rrag-storage\[some-extra\]'") as caught, needs("some-extra"):
        import a_framework_that_nobody_installed  # type: ignore[import-not-found]  # noqa: F401
    assert caught.value.name == "a_framework_that_nobody_installed"


@pytest.mark.parametrize(("adapter", "framework"), [("langchain", "langchain_core"), ("langgraph", "langgraph")])
def test_a_missing_framework_names_its_extra(adapter: str, framework: str) -> None:
    said = run_script(
        f"""
        import sys
        sys.modules["{framework}"] = None
        try:
            import rrag_storage.integrations.{adapter}
        except ImportError as error:
            print(error)
        """
    )
    assert f"pip install 'rrag-storage[{adapter}]'" in said


def test_another_error_stays_itself() -> None:
    with pytest.raises(ZeroDivisionError), needs("some-extra"):
        _ = 1 // 0


@pytest.mark.parametrize("ttl", [None, 1, 0.5, timedelta(days=1)])
def test_good_ttls(ttl: Any) -> None:
    assert checked_ttl(ttl) is ttl


@pytest.mark.parametrize(
    ("ttl", "kind"),
    [
        (True, TypeError),
        ("1", TypeError),
        (0, ValueError),
        (-1, ValueError),
        (float("nan"), ValueError),
        (float("inf"), ValueError),
        (timedelta(0), ValueError),
    ],
)
def test_bad_ttls(ttl: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="default_ttl must be"):
        checked_ttl(ttl, "default_ttl")


def test_views_are_of_storages() -> None:
    with InMemoryStorage().sync as blocking, pytest.raises(TypeError, match="not SyncStorage"):
        view(blocking, "name")  # type: ignore[arg-type]
    storage = InMemoryStorage()
    with pytest.raises(TypeError, match="namespace must be a str, not int"):
        view(storage, 7)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="namespace must not be empty"):
        view(storage, "")
    view(storage, "app::chat").sync.set("k", 1)
    assert storage.sync.keys() == ["app::chat::k"]

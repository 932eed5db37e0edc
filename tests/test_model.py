"""Any sequence of operations against the model: in memory, on a file, on servers, through a view."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from rrag_storage import DatabaseStorage, InMemoryStorage, ManualClock, Storage
from rrag_storage.testing import Capabilities, storage_machine

if TYPE_CHECKING:
    from unittest import TestCase

    from rrag_storage.testing.model import StorageMachine

EXAMPLES = int(os.environ.get("RRAG_MODEL_EXAMPLES", "60"))
"""How many sequences each backend runs."""


def of(examples: int) -> settings:
    """The settings for so many sequences."""
    return settings(
        settings.get_profile("suite"),
        max_examples=examples,
        stateful_step_count=40,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


def test_case(machine: type[StorageMachine], examples: int) -> type[TestCase]:
    """The machine's test, of so many sequences."""
    case: type[TestCase] = machine.TestCase
    case.settings = of(examples)  # type: ignore[attr-defined]
    return case


test_case.__test__ = False  # type: ignore[attr-defined]


class OnFile(storage_machine(lambda clock: InMemoryStorage(clock=clock))):  # type: ignore[misc]
    """A file of its own for each sequence."""

    folder: Path

    @staticmethod
    def make(clock: ManualClock) -> Storage:
        """A storage in a new folder."""
        folder = Path(tempfile.mkdtemp(prefix="rrag-model-"))
        OnFile.folder = folder
        return DatabaseStorage(f"sqlite:{folder / 'memory.db'}", clock=clock, synchronous="normal")

    def teardown(self) -> None:
        """Closes and removes the file."""
        super().teardown()
        shutil.rmtree(self.folder)


def view_of_sqlite(clock: ManualClock) -> Storage:
    """A view, beside which there are other entries."""
    parent = DatabaseStorage("sqlite::memory:", clock=clock)
    parent.sync.mset({"a": 1, "a::b": 2, "view": 3, "viewa": 4})
    return parent.namespace("view")


TestInMemoryModel = test_case(storage_machine(lambda clock: InMemoryStorage(clock=clock)), EXAMPLES * 2)
TestSqliteMemoryModel = test_case(
    storage_machine(lambda clock: DatabaseStorage("sqlite::memory:", clock=clock)), EXAMPLES
)
TestSqliteModel = test_case(OnFile, EXAMPLES)
TestViewModel = test_case(storage_machine(view_of_sqlite), EXAMPLES // 2)


@pytest.mark.parametrize(
    ("kind", "capabilities"),
    [
        ("postgres", Capabilities()),
        ("mariadb", Capabilities()),
        ("redis", Capabilities()),
        ("redis_cluster", Capabilities(spans_namespaces=False)),
    ],
)
def test_servers(kind: str, capabilities: Capabilities, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue(kind)
    machine = storage_machine(lambda clock: server.storage(clock=clock), capabilities)
    run_state_machine_as_test(machine, settings=of(EXAMPLES // 2))

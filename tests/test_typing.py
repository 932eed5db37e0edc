"""tests/typing/every_call.py, which type checkers read in CI, leaves out nothing that the package has."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
import rrag_storage

SOURCE = Path(__file__).resolve().parent / "typing" / "every_call.py"

# What is made by the package only; its attributes are read.
CLASSES = [
    rrag_storage.Storage,
    rrag_storage.InMemoryStorage,
    rrag_storage.DatabaseStorage,
    rrag_storage.RedisStorage,
    rrag_storage.ObjectStorage,
    rrag_storage.SyncStorage,
    rrag_storage.Transaction,
    rrag_storage.SyncTransaction,
    rrag_storage.TypedView,
    rrag_storage.SyncTypedView,
    rrag_storage.TypedTransaction,
    rrag_storage.SyncTypedTransaction,
    rrag_storage.MemoryValue,
    rrag_storage.MemoryEntry,
    rrag_storage.MemoryStats,
    rrag_storage.MemoryQuery,
    rrag_storage.SortOrder,
    rrag_storage.InMemoryConfig,
    rrag_storage.DatabaseConfig,
    rrag_storage.RedisConfig,
    rrag_storage.ObjectConfig,
    rrag_storage.CopyProgress,
    rrag_storage.RotateProgress,
    rrag_storage.Key,
    rrag_storage.Compression,
    rrag_storage.ManualClock,
]


@pytest.fixture(scope="module")
def functions() -> dict[str, set[str]]:
    """The attributes and names that each function of the file uses."""
    tree = ast.parse(SOURCE.read_text())
    return {
        function.name: {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}
        | {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        for function in tree.body
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
    }


LAYERS = {
    "compression",
    "compression_threshold",
    "encryption_key",
    "active_key",
    "require_encryption",
    "hide_keys",
    "large_values",
    "large_value_threshold",
}


def public(cls: type) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")}


def test_every_exported_name_is_used(functions: dict[str, set[str]]) -> None:
    used = set().union(*functions.values())
    missing = {name for name in rrag_storage.__all__ if name not in used}
    assert not missing


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_attribute_of_a_class_is_used(cls: type, functions: dict[str, set[str]]) -> None:
    assert public(cls)
    assert not public(cls) - set().union(*functions.values())


def test_every_call_is_made_awaited_and_blocking(functions: dict[str, set[str]]) -> None:
    steps = public(rrag_storage.Transaction)
    assert not public(rrag_storage.Storage) - functions["every_operation"]
    assert not public(rrag_storage.SyncStorage) - functions["every_blocking_call"]
    assert not steps - functions["every_step"]
    assert not steps - functions["every_blocking_step"]


@pytest.mark.parametrize("cls", rrag_storage.Storage.__subclasses__(), ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("call", ["__init__", "with_config"])
def test_every_storage_shows_the_layers(cls: type, call: str) -> None:
    signature = inspect.signature(cls if call == "__init__" else getattr(cls, call))
    assert set(signature.parameters) >= LAYERS


def test_the_blocking_twin_has_every_call() -> None:
    assert public(rrag_storage.Storage) - {"sync"} == public(rrag_storage.SyncStorage)
    assert public(rrag_storage.Transaction) == public(rrag_storage.SyncTransaction)

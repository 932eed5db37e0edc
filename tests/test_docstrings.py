"""What the docstrings show is what happens: every `>>>` example in the stub and in the Python modules is executed.

The pages have their tests in tests/docs.
"""

from __future__ import annotations

import ast
import asyncio
import doctest
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
import rrag_storage

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "python" / "rrag_storage"
STUB = PACKAGE / "_native.pyi"

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def documented(node: Documented, name: str) -> Iterator[tuple[str, Documented]]:
    yield name, node
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from documented(child, f"{name}.{child.name}")


def docstring_examples() -> Iterator[doctest.DocTest]:
    parser = doctest.DocTestParser()
    for path in [STUB, *sorted(PACKAGE.rglob("*.py"))]:
        module = path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".")
        for name, node in documented(ast.parse(path.read_text()), module):
            text = ast.get_docstring(node)
            if text and ">>>" in text:
                yield parser.get_doctest(text, {}, name, str(path), getattr(node, "lineno", 0))


EXAMPLES = list(docstring_examples())


@pytest.fixture
def names() -> dict[str, object]:
    exported = {name: getattr(rrag_storage, name) for name in rrag_storage.__all__}
    return {"asyncio": asyncio, "__name__": "__main__", **exported}


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.name for example in EXAMPLES])
def test_example_of_a_docstring(
    example: doctest.DocTest, names: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    example.globs = names
    report = io.StringIO()
    outcome = doctest.DocTestRunner(verbose=False).run(example, out=report.write, clear_globs=False)
    assert outcome.failed == 0, report.getvalue()
    assert outcome.attempted > 0


def test_each_call_of_the_stub_is_documented_with_an_example() -> None:
    stub = dict(documented(ast.parse(STUB.read_text()), "_native"))
    examples = {example.name for example in EXAMPLES}
    public = {name for name in stub if not any(part.startswith("_") for part in name.split(".")[1:])}
    classes = {name for name in public if isinstance(stub[name], ast.ClassDef)}
    calls = {name for name in public - classes if name.startswith(("_native.Storage.", "_native.DatabaseStorage."))}
    assert len(calls) > 30
    # An EntryIterator is only ever met through the calls that give one.
    assert not (classes | calls) - examples - {"_native", "_native.EntryIterator"}
    # What a coroutine has is documented by Python.
    coroutine = {f"_native.Operation.{name}" for name in ("send", "throw", "close", "cr_running")}
    assert {name for name in public if not documentation_of(STUB, name)} == coroutine


def documentation_of(path: Path, name: str) -> str | None:
    """The first docstring of a name: of several overloads one carries it."""
    texts = (
        ast.get_docstring(node) for found, node in documented(ast.parse(path.read_text()), path.stem) if found == name
    )
    return next(filter(None, texts), None)

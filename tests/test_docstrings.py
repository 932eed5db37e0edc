"""What the documentation shows is what happens: every example in it is executed.

Three kinds: `>>>` examples in the stub and in the Python modules, fenced `python` blocks in README.md and docs/*.md.
A block is executed as a script, in a directory and with names that the blocks of one file share; what it prints must
be what its `# ->` comments say, line by line.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import io
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest
import rrag_storage

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "python" / "rrag_storage"
STUB = PACKAGE / "_native.pyi"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

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


def blocks(page: Path) -> list[tuple[int, str]]:
    """The fenced `python` blocks of a page, each with its line."""
    text = page.read_text()
    fences = re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(text.count("\n", 0, fence.start()) + 2, fence[1]) for fence in fences]


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_code_of_a_page(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for line, source in blocks(page):
        expected = [said.strip() for said in re.findall(r"# -> (.*)", source)]
        printed = io.StringIO()
        script = tmp_path / f"page_{page.stem}.py"  # pytest.md must not become a module of that name
        script.write_text("\n" * (line - 1) + source)  # A traceback then names the line of the page.
        with contextlib.redirect_stdout(printed):
            names = runpy.run_path(str(script), names)
        assert printed.getvalue().splitlines() == expected, f"{page.name}, line {line}"


def test_the_readme_has_code() -> None:
    assert blocks(ROOT / "README.md")


@pytest.mark.parametrize("page", [*PAGES, *ROOT.glob("[CS]*.md")], ids=lambda page: page.name)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:\s]+)\)", page.read_text())
    assert not [target for target in targets if not (page.parent / target).exists()]

"""Every `python` block of README.md and of the documentation runs, in the order of its page; no page is left out.

A page is run in an interpreter and a directory of its own, as `run_page.py` says. Where the code names one of the urls
in `SERVERS`, that server is started for it. A block is left out only by its fence, which has to say why:
```` ```python not-run="needs a cloud account" ````.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from blocks import blocks, python_blocks
from rrag_storage import connect

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it there

ROOT = Path(__file__).parents[2]
RUNNER = Path(__file__).with_name("run_page.py")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

SERVERS = {
    "postgres://user:secret@localhost/app": "postgres",
    "mysql://user:secret@localhost/app": "mariadb",
    "redis://localhost:6379/0": "redis",
}
"""What a page writes for the url of a server that it uses, and the fixture that starts one."""


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def run_page(page: Path, *urls: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(RUNNER), str(page), *urls]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


WITH_CODE = [page for page in PAGES if python_blocks(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", WITH_CODE, ids=name)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    text = page.read_text(encoding="utf-8")
    code = "".join(block.source for block in python_blocks(text))
    urls = {
        placeholder: request.getfixturevalue(fixture).url
        for placeholder, fixture in SERVERS.items()
        if placeholder in code
    }
    arguments = [word for pair in urls.items() for word in pair]
    try:
        done = run_page(page, *arguments, folder=tmp_path)
    finally:
        for url in urls.values():  # the next page finds an empty server too
            with connect(url).sync as storage:
                storage.clear()
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.split() == [str(block.line) for block in python_blocks(text)]


def test_there_is_code_to_run() -> None:
    assert ROOT / "README.md" in WITH_CODE
    assert len(WITH_CODE) > 20


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_python_hides_in_a_page(page: Path) -> None:
    """What looks like the start of a Python block is one, whatever it is indented by."""
    text = page.read_text(encoding="utf-8")
    starts = [number for number, line in enumerate(text.splitlines(), 1) if re.match(r"\s*(```|~~~).*[Pp]y", line)]
    assert starts == [block.line - 1 for block in blocks(text) if block.language == "python"]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_what_a_page_installs_exists(page: Path) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.findall(r"(?:rrag-storage|'\.)\[([^\]]+)\]", page.read_text(encoding="utf-8"))
    assert {extra.strip() for names in named for extra in names.split(",")} <= {*extras, "…"}


def test_a_block_is_read_as_it_stands() -> None:
    page = '# A\n\n```python\na = """\n"""\n```\n\n- b\n\n  ````python not-run="no account"\n  ```\n  ````\n'
    run, left_out = blocks(page)
    assert (run.line, run.source, run.not_run) == (4, 'a = """\n"""\n', None)
    assert (left_out.source, left_out.not_run) == ("```\n", "no account")
    assert python_blocks(page) == [run]


@pytest.mark.parametrize("info", ["py", "python3", "python not-run", 'python not-run=""', "python skip"])
def test_a_fence_that_would_hide_its_code_is_refused(info: str) -> None:
    with pytest.raises(ValueError, match="line 1: "):
        blocks(f"```{info}\n1 / 0\n```\n")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("print(1)  # -> 2", r"line 2: printed \['1'\], not \['2'\]"),
        ("print(1)", r"printed \['1'\], not \[\]"),
        ("import asyncio\nawait asyncio.sleep(0)\nawait missing()", "NameError"),
    ],
)
def test_code_that_is_wrong_fails(code: str, message: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"```python\n{code}\n```\n")
    done = run_page(page, folder=tmp_path)
    assert done.returncode == 1
    assert re.search(message, done.stderr)
    assert str(page) in done.stderr

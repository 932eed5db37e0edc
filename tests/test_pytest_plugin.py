"""The pytest plugin, in test runs of their own: each test has its storage, and nothing is left."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rrag_storage
import rrag_storage_pytest
from rrag_storage import DatabaseStorage, ObjectStorage, connect

if TYPE_CHECKING:
    from servers import Postgres

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parent.parent
CLASHING = ["pytest_asyncio.plugin", "anyio.pytest_plugin", "pytest_timeout"]


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project of its own, with this plugin and no other, whether or not the package is installed here."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return project.runpytest_subprocess("-p", "rrag_storage_pytest", "-p", "no:cacheprovider", *arguments)


FIXTURES = """
    import asyncio
    from rrag_storage import DatabaseStorage, InMemoryStorage

    def test_memory(memory_storage):
        assert type(memory_storage) is InMemoryStorage
        assert memory_storage.sync.keys() == []
        memory_storage.sync.set("k", 1)

    def test_memory_again(memory_storage):
        test_memory(memory_storage)

    def test_sqlite(sqlite_storage, tmp_path):
        assert type(sqlite_storage) is DatabaseStorage
        assert sqlite_storage.sync.keys() == []
        sqlite_storage.sync.set("k", 1)
        assert (tmp_path / "sqlite_storage.db").exists()

    def test_sqlite_again(sqlite_storage, tmp_path):
        test_sqlite(sqlite_storage, tmp_path)

    def test_all_together(memory_storage, sqlite_storage, storage):
        for each in (memory_storage, sqlite_storage, storage):
            each.sync.set("k", each.backend_name)
        assert memory_storage.sync.get("k") == "in_memory"
        assert sqlite_storage.sync.get("k") == "sqlite"

    def test_storage(storage):
        async def main():
            assert await storage.keys() == []
            await storage.mset({"k": 1, "n::k": 2})
            assert await storage.count() == 2
        asyncio.run(main())

    def test_storage_again(storage):
        test_storage(storage)

    def test_that_closes(storage):
        storage.sync.set("k", 1)
        storage.sync.close()
"""


def test_each_test_has_an_empty_storage(project: pytest.Pytester) -> None:
    project.makepyfile(FIXTURES)
    result = run(project, "-v")
    result.assert_outcomes(passed=12)
    result.stdout.fnmatch_lines(["*::test_storage[[]memory] PASSED*", "*::test_storage[[]sqlite] PASSED*"])


def test_urls_say_where(project: pytest.Pytester, tmp_path: Path) -> None:
    project.makepyfile(FIXTURES)
    bucket = tmp_path / "bucket"
    bucket.mkdir()
    with DatabaseStorage(f"sqlite:{tmp_path}/a.db").sync as kept, ObjectStorage(f"file://{bucket}").sync as objects:
        kept.set("kept", 1)
        result = run(project, "-v", f"--rrag-url=sqlite:{tmp_path}/a.db", f"--rrag-url=file://{bucket}")
        assert kept.keys() == ["kept"]
        assert objects.keys() == []
    assert "test_storage[sqlite] PASSED" in result.stdout.str()
    assert "test_storage[object] PASSED" in result.stdout.str()
    result.assert_outcomes(passed=12)


def test_a_failed_test_leaves_nothing(project: pytest.Pytester, tmp_path: Path) -> None:
    project.makepyfile(
        """
        def test_that_fails(storage):
            storage.sync.set("k", 1)
            assert storage.sync.get("k") == 2
        """
    )
    run(project, f"--rrag-url=sqlite:{tmp_path}/a.db").assert_outcomes(failed=1)
    with DatabaseStorage(f"sqlite:{tmp_path}/a.db").sync as storage:
        assert storage.keys() == []


def test_a_clock_that_the_test_moves(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import time

        import pytest

        def test_expiry(storage, memory_storage, sqlite_storage, storage_clock):
            for each in (storage, memory_storage, sqlite_storage):
                each.sync.set("k", 1, ttl=3600)
            storage_clock.advance(3601)
            for each in (storage, memory_storage, sqlite_storage):
                assert each.sync.exists("k") is False

        @pytest.fixture
        def session(storage, storage_clock):
            storage.sync.set("k", 1, ttl=3600)
            return storage

        def test_through_another_fixture(session, storage_clock):
            assert session.sync.ttl("k") == pytest.approx(3600)

        def test_the_systems_clock_without_it(storage):
            storage.sync.set("k", 1, ttl=0.05)
            end = time.monotonic() + 60
            while storage.sync.exists("k"):
                assert time.monotonic() < end
        """
    )
    run(project).assert_outcomes(passed=6)


def test_a_server(project: pytest.Pytester, postgres: Postgres) -> None:
    project.makepyfile(FIXTURES)
    result = run(project, "-v", f"--rrag-url={postgres.url}")
    result.assert_outcomes(passed=8)
    assert "test_storage[postgres] PASSED" in result.stdout.str()
    with connect(postgres.url).sync as storage:
        assert storage.keys(prefix="test-") == []


def test_no_password_is_shown(project: pytest.Pytester) -> None:
    project.makepyfile("def test_that_connects(storage):\n    storage.sync.get('k')\n")
    secret = "hunter2-hunter2"
    url = f"postgres://ada:{secret}@127.0.0.1:1/none"
    result = run(project, "-vv", "--showlocals", "--tb=long", "--setup-show", f"--rrag-url={url}")
    assert "BackendUnavailableError" in result.stdout.str()
    assert secret not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize("url", ["nonsense", "ftp://ada:hunter2@host", "sqlite:a.db?mode=ro"])
def test_a_url_that_cannot_be_used(project: pytest.Pytester, url: str) -> None:
    project.makepyfile("def test_it(storage):\n    pass\n")
    result = run(project, f"--rrag-url={url}")
    assert result.ret != 0
    assert "--rrag-url" in result.stdout.str() + result.stderr.str()
    assert "hunter2" not in result.stdout.str() + result.stderr.str()


def test_fixtures_of_the_project_go_first(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        @pytest.fixture
        def storage():
            return "its own"

        def test_its_own(storage):
            assert storage == "its own"
        """
    )
    result = run(project, "-v", "--rrag-url=nonsense")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*::test_its_own PASSED*"])


@pytest.mark.parametrize("mark", ["asyncio", "anyio"])
def test_beside_plugins_of_event_loops(project: pytest.Pytester, mark: str) -> None:
    project.makepyfile(
        f"""
        import pytest

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.mark.{mark}
        async def test_it(storage, sqlite_storage, memory_storage):
            for each in (storage, sqlite_storage, memory_storage):
                await each.set("k", 1)
                assert await each.get("k") == 1
        """
    )
    plugins = [argument for plugin in CLASHING for argument in ("-p", plugin)]
    options = ["-o", "asyncio_default_fixture_loop_scope=function"]
    result = run(project, *plugins, *options, "--strict-config", "--strict-markers")
    result.assert_outcomes(passed=2)


def test_the_contract_of_a_backend_of_ones_own(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest
        from rrag_storage import InMemoryStorage
        from rrag_storage.testing import Capabilities, StorageContract

        class TestTenant(StorageContract):
            capabilities = Capabilities(max_key_bytes=2048 - len("tenant::"))

            @pytest.fixture
            def make_storage(self, clock):
                return lambda: InMemoryStorage(clock=clock).namespace("tenant")

        class TestForgetful(StorageContract):
            @pytest.fixture
            def make_storage(self, clock):
                return lambda: InMemoryStorage(clock=clock, max_keys=1, eviction="lru")
        """
    )
    result = run(project, "-k", "mset or expire or namespaces")
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] > 20
    assert outcomes["failed"] > 5
    failed = re.findall(r"FAILED \S+::(\w+)::", result.stdout.str())
    assert set(failed) == {"TestForgetful"}


def test_the_examples_of_the_page(project: pytest.Pytester) -> None:
    page = (ROOT / "docs" / "pytest.md").read_text()
    first, *others = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    project.makepyfile(test_sessions=first, test_others="".join(others))
    result = run(project, "-k", "session or test_increment or test_get")
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] > 5
    assert "failed" not in outcomes


def test_a_project_that_uses_none_of_it_does_not_pay_for_it(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import sys

        def test_it():
            assert not [name for name in sys.modules if name.startswith("rrag_storage") and name != "rrag_storage_pytest"]
        """
    )
    command = [sys.executable, "-m", "pytest", "-p", "rrag_storage_pytest", "-p", "no:cacheprovider"]
    places = os.pathsep.join(str(Path(each.__file__ or "").parents[1]) for each in (rrag_storage, rrag_storage_pytest))
    environment = {**os.environ, "PYTHONPATH": places}
    done = subprocess.run(command, cwd=project.path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_entry_point_names_the_plugin() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    assert f'[project.entry-points.pytest11]\nrrag_storage = "{rrag_storage_pytest.__name__}"\n' in text

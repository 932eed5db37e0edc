"""The contract on a SQLite file whose disk fails at the first call, the second, the third, until a test meets no failure.

    python tests/disk/failing.py [--every] [--error EIO|ENOSPC|SHORT] [--forever] [-k EXPRESSION]

Each test of the contract runs again and again. With `--every` each call fails in turn; without, the first twenty do, and
then ever fewer. A test that meets a failure may end with a `StorageError`, and with nothing else; afterwards, on a disk that
works, what the storage held is what the file holds when it is opened anew, whole and usable. The last line is a sum in JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import errno
import json
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.runner import runtestprotocol
from disk import SHORT_WRITE, Disk, preload_self
from rrag_storage import (
    BackendUnavailableError,
    DatabaseStorage,
    ManualClock,
    OperationTimeoutError,
    StorageError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

ERRORS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "SHORT": SHORT_WRITE}
OF_THE_DISK = {StorageError, BackendUnavailableError, OperationTimeoutError}
"""What a call raises where the disk fails; where a lock can't be had, it waits in vain."""
MOST_STEPS = 400
"""After so many runs of one test without `--every` the rest of its steps is left out."""


class FailingDisk:
    """The pytest plugin that runs each test with a failure at step 1, 2, 3 ..."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        """Storages lie below `folder`."""
        self.folder = folder
        self.disk = Disk(folder)
        self.options = options
        self.step = 0
        self.has_failed = False
        self.broken: list[str] = []
        self.sums: collections.Counter[str] = collections.Counter()
        self._raised: BaseException | None = None

    def steps(self) -> Iterator[int]:
        step = 0
        for _ in range(1_000_000 if self.options.every else MOST_STEPS):
            yield step
            step += 1 if self.options.every or step < 20 else max(1, step // 8)

    def arm(self) -> None:
        self.has_failed = False
        self.disk.arm(self.step, ERRORS[self.options.error], forever=self.options.forever)

    def disarm(self) -> None:
        self.has_failed |= self.disk.disarm() > 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        siblings = (other for other in item.session.items if other is not item and other.parent is item.parent)
        sibling = next(siblings, None)
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        self.sums["tests"] += 1
        for step in self.steps():
            self.step, self._raised = step, None
            with gathered_failures_are_raised():
                reports = runtestprotocol(item, nextitem=sibling, log=False)
            self.sums["runs"] += 1
            self.sums["failures of the disk"] += self.has_failed
            bad = [report for report in reports if report.failed]
            if bad and not (self.has_failed and self.is_allowed()):
                self.broken.append(f"{item.nodeid}, step {self.step}: {self._raised!r}"[:600])
                self.sums["promises broken"] += 1
                sys.stderr.write(f"{bad[0].longreprtext[-6000:]}\n")
                break
            self.sums["ended with an error"] += bool(bad)
            self.sums["ended well all the same"] += self.has_failed and not bad
            if not self.has_failed:
                self.sums["tests that ended untouched"] += 1
                break
        item.ihook.pytest_runtest_logreport(report=reports[-1])
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Iterator[None]:
        if call.excinfo is not None and (self._raised is None or isinstance(call.excinfo.value, Broken)):
            self._raised = call.excinfo.value
        return (yield)

    def is_allowed(self) -> bool:
        """Whether the test ended as it may where the disk fails."""
        return not isinstance(self._raised, Broken) and has_storage_error(self._raised)

    def check(self, path: Path, held: dict[str, Any] | None, clock: ManualClock) -> None:
        """Promises of a file, on a disk that works again. `held` is what the storage said that it holds."""
        if path.exists() and path.stat().st_size:
            with contextlib.closing(sqlite3.connect(path)) as connection:
                if (found := connection.execute("PRAGMA integrity_check").fetchall()) != [("ok",)]:
                    raise Broken(f"integrity: {found}")
        storage = DatabaseStorage(f"sqlite:{path}", clock=clock).sync
        try:
            there = {entry.key: entry.version for entry in storage.entries()}
            if held is not None and there != held:
                raise Broken(f"the file does not hold what the storage held: {there} and {held}"[:2000])
            if storage.count() != len(there):
                raise Broken("count() is not what there is")
            storage.set("after", {"a": [1]})
            if storage.get("after") != {"a": [1]} or not storage.delete("after"):
                raise Broken("it does not work after the failure")
        finally:
            storage.close()


@contextlib.contextmanager
def gathered_failures_are_raised() -> Iterator[None]:
    """A test that looks at gathered outcomes itself would take the disk's failure among them for a wrong answer."""
    gather = asyncio.gather

    def telling(*awaitables: Any, return_exceptions: bool = False) -> Any:
        gathering = gather(*awaitables, return_exceptions=return_exceptions)
        if not return_exceptions:
            return gathering

        async def told() -> list[Any]:
            outcomes = await gathering
            for outcome in outcomes:
                if type(outcome) in OF_THE_DISK:
                    raise outcome
            return outcomes

        return asyncio.ensure_future(told())

    asyncio.gather = telling  # type: ignore[assignment]
    try:
        yield
    finally:
        asyncio.gather = gather


class Broken(Exception):  # noqa: N818
    """A promise was broken."""


def has_storage_error(error: BaseException | None) -> bool:
    """Whether `error` is a `StorageError`, consists of such, or was raised because of or while handling one."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, StorageError):
            return True
        group = getattr(error, "exceptions", None)
        if group:
            return all(has_storage_error(one) for one in group)
        error = error.__cause__ or error.__context__
    return False


def main() -> int:
    """Run, and print the sum."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", action="store_true", help="every step of every test")
    parser.add_argument("--error", choices=ERRORS, default="EIO")
    parser.add_argument(
        "--forever", action="store_true", help="once failed, the disk stays broken until the test has ended"
    )
    parser.add_argument("-k", dest="expression", default="", help="which tests, as pytest's -k")
    options = parser.parse_args()
    preload_self()
    folder = Path(tempfile.mkdtemp(prefix="rrag-failing-disk-")).resolve()
    plugin = FailingDisk(folder, options)
    try:
        module = Path(__file__).with_name("contract_on_a_failing_disk.py")
        # Where one call of several fails, the others are left unawaited by the test.
        quiet = ["-p", "no:unraisableexception", "-W", "ignore::RuntimeWarning"]
        # This script has imported the package before pytest could.
        quiet += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
        arguments = [str(module), "-q", "-p", "no:cacheprovider", "-p", "no:faulthandler", "--timeout=0", *quiet]
        arguments += ["-k", options.expression] if options.expression else []
        status = pytest.main([*arguments, "--no-header", "--tb=no"], plugins=[plugin])
    finally:
        shutil.rmtree(folder)
    for line in plugin.broken:
        print(line)
    print(json.dumps({"error": options.error, "forever": options.forever, **plugin.sums}))
    ran = plugin.sums["failures of the disk"] > 0
    return 0 if ran and not plugin.broken and status in (0, 1) else 1


if __name__ == "__main__":
    sys.exit(main())

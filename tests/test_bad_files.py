"""Files that others cut, damage or take away: SQLite's log after a crash, and the folder of an object store."""

from __future__ import annotations

import os
import random
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rrag_storage import DatabaseStorage, ObjectStorage, StorageError
from support import run_script

if TYPE_CHECKING:
    from rrag_storage import SyncStorage

COMMITS = 60

WRITES = """
    import os, sys
    from rrag_storage import DatabaseStorage

    storage = DatabaseStorage(f"sqlite:{sys.argv[1]}").sync
    for number in range(int(sys.argv[2])):
        storage.mset({f"a-{number:03}": number, f"b-{number:03}": "x" * 500, "last": number})
    os._exit(0)
"""
"""A process that commits one batch after the other, and ends without writing the log back."""


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as a killed process left it: all of the entries are in its log."""
    path = tmp_path_factory.mktemp("crashed") / "memory.db"
    run_script(WRITES, path, COMMITS)
    assert Path(f"{path}-wal").stat().st_size > 100_000
    return path


def copied(crashed: Path, folder: Path, log: bytes) -> Path:
    """A copy of it in `folder`, with this log."""
    path = folder / "memory.db"
    shutil.copyfile(crashed, path)
    Path(f"{path}-wal").write_bytes(log)
    Path(f"{path}-shm").unlink(missing_ok=True)
    return path


def whole_commits(path: Path) -> int:
    """How many of the commits are there: all up to one, each as a whole, and none behind it."""
    with DatabaseStorage(f"sqlite:{path}").sync as storage:
        count = storage.get("last", -1) + 1
        assert storage.keys(prefix="a-") == [f"a-{number:03}" for number in range(count)]
        assert dict(storage.items(prefix="b-")) == {f"b-{number:03}": "x" * 500 for number in range(count)}
        assert storage.count() == 2 * count + (count > 0)
        # What is left is a storage like any other.
        storage.set("new", 1)
        assert storage.delete("new") is True
    return int(count)


def test_a_log_that_is_cut(crashed: Path, tmp_path: Path) -> None:
    log = Path(f"{crashed}-wal").read_bytes()
    counts = []
    sizes = [0, 1, 31, 32, 33, 56, *random.Random(7).sample(range(57, len(log)), 30), len(log) - 1, len(log)]
    for size in sorted(sizes):
        counts.append(whole_commits(copied(crashed, tmp_path, log[:size])))
    assert counts == sorted(counts)
    assert counts[0] == 0
    assert counts[-1] == COMMITS
    assert len(set(counts)) > 10


def test_a_log_that_is_damaged(crashed: Path, tmp_path: Path) -> None:
    log = Path(f"{crashed}-wal").read_bytes()
    lost = 0
    for at in random.Random(8).sample(range(len(log)), 30):
        damaged = log[:at] + bytes([log[at] ^ 0xFF]) + log[at + 1 :]
        lost += whole_commits(copied(crashed, tmp_path, damaged)) < COMMITS
    # SQLite's checksums find it out wherever it is, but for what the header does not use.
    assert lost > 20


@pytest.fixture
def objects(tmp_path: Path) -> SyncStorage:
    """A storage in a folder, with an entry."""
    storage = ObjectStorage(f"file://{tmp_path}/objects").sync
    storage.set("n::key", "value")
    return storage


def test_a_folder_of_objects_that_is_deleted(objects: SyncStorage, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "objects")
    # Gone is gone, for every operation alike.
    assert objects.get("n::key") is None
    assert objects.keys() == []
    assert objects.count() == 0
    assert objects.delete("n::key") is False
    objects.set("n::key", "new")
    assert objects.get("n::key") == "new"
    assert objects.keys() == ["n::key"]
    objects.close()


def test_a_folder_of_objects_that_a_file_takes_the_place_of(objects: SyncStorage, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "objects")
    (tmp_path / "objects").write_text("mine")
    for call in (lambda: objects.set("n::key", 1), lambda: objects.set("key", 1)):
        with pytest.raises(StorageError, match="objects"):
            call()
    objects.close()
    assert (tmp_path / "objects").read_text() == "mine"


@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_a_folder_of_objects_of_someone_else(objects: SyncStorage, tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "objects"
    for parent in [tmp_path, *tmp_path.parents]:
        if parent.stat().st_uid == os.geteuid() and not parent.stat().st_mode & stat.S_IXOTH:
            parent.chmod(parent.stat().st_mode | 0o055)
    inner = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        path.chmod(0o444 if mode else 0o000)
    for path in reversed(inner):
        path.chmod(mode)
    superuser = os.geteuid() == 0
    if superuser:
        os.seteuid(65_534)
    try:
        for call in (lambda: objects.set("n::key", 1), lambda: objects.set("other", 1)):
            with pytest.raises(StorageError, match=r"(?i)permission"):
                call()
        if mode:
            assert objects.get("n::key") == "value"
            assert objects.keys() == ["n::key"]
        else:
            for call in (lambda: objects.get("n::key"), lambda: objects.keys()):
                with pytest.raises(StorageError, match=r"(?i)permission"):
                    call()
    finally:
        if superuser:
            os.seteuid(0)
        for path in inner:
            path.chmod(0o700)
    for path in files:
        path.chmod(0o600)
    assert objects.get("n::key") == "value"
    objects.close()

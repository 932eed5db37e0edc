"""What lies on the disk and what the process says: no plaintext, no key."""

from __future__ import annotations

import base64
import logging
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from layered import all_three, at
from rrag_storage import Compression, DatabaseStorage, InMemoryStorage, Key, ObjectStorage, StorageError
from rrag_storage.testing import asynchronous

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = b"attack-at-dawn-by-the-north-gate"
"""32 bytes that stand in every value."""
SECRET = b"0123456789-a-very-secret-key-!!!"


def forms(secret: bytes) -> list[bytes]:
    """The secret as it might be shown."""
    return [
        secret,
        secret.hex().encode(),
        base64.b64encode(secret),
        base64.urlsafe_b64encode(secret).rstrip(b"="),
        repr(secret).encode()[2:-1],
        ", ".join(map(str, secret)).encode(),
    ]


def files(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, its name included."""
    found = {str(file): str(file).encode() + file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert found
    return found


VALUES: dict[str, Any] = {
    "string": PLAIN.decode(),
    "bytes": PLAIN,
    "list": [PLAIN.decode()] * 50,
    "large": {"text": PLAIN.decode() * 1000},
    "key": {PLAIN.decode(): 1},
}


@pytest.mark.parametrize("compression", [None, "zstd", "lz4", "trained"])
@asynchronous
async def test_no_plaintext_on_the_disk(tmp_path: Path, compression: str | None) -> None:
    samples = [f"{PLAIN.decode()} and sample number {number}" for number in range(1_000)]
    compressed: Any = Compression.train(samples) if compression == "trained" else compression
    options: dict[str, Any] = {"compression": compressed, "encryption_key": SECRET, "large_value_threshold": 1_000}
    options["large_values"] = ObjectStorage(f"file://{tmp_path}/large")
    if compression:
        options["compression_threshold"] = 1
    async with at(tmp_path / "memory.db", **options) as storage:
        await storage.mset(VALUES, ttl=3600)
        async with storage.transaction() as tx:
            await tx.set("transaction", PLAIN)
        await storage.set("gone", PLAIN * 100)
        await storage.delete("gone")
        await storage.expire("string", 600)
        assert await storage.mget(list(VALUES)) == list(VALUES.values())
        while_open = files(tmp_path)
        assert any(name.endswith("-wal") for name in while_open)
    for name, held in {**while_open, **files(tmp_path)}.items():
        for part in (PLAIN, PLAIN[:16], PLAIN[8:24], *forms(SECRET)):
            assert part not in held, name


@asynchronous
async def test_the_search_would_find_it(tmp_path: Path) -> None:
    """The test above is worth as much as its search."""
    async with at(tmp_path / "memory.db") as storage:
        await storage.mset(VALUES)
        held = b"".join(files(tmp_path).values())
    assert PLAIN in held


@asynchronous
async def test_no_key_in_what_the_process_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    path = tmp_path / "memory.db"
    key, other = Key(SECRET), Key(SECRET[::-1])
    store = InMemoryStorage()
    rings: list[dict[str, Any]] = [
        {"encryption_key": SECRET},
        {"encryption_key": {"a": key, "b": other}, "active_key": "b"},
        {"encryption_key": other},
        {},
    ]
    said += [repr(key), str(key), repr([key]), f"{key!r:>50}"]
    for ring in rings:
        layers = {**all_three(store), **ring} if ring else {}
        storage = at(path, enable_query_logging=True, **layers)
        said += [repr(storage), str(storage), repr(storage.sync), repr(storage.namespace("a"))]
        for call in (
            lambda storage: storage.set("key", list(range(1000))),
            lambda storage: storage.get("key"),
            lambda storage: storage.rotate(),
            lambda storage: storage.collect_garbage(),
        ):
            try:
                await call(storage)
            except (StorageError, ValueError) as error:
                said += traceback.format_exception(error)
                said.append(repr(error))
        await storage.close()
    for bad in (
        {"encryption_key": SECRET[:-1]},
        {"encryption_key": {"a": SECRET, "b": 3}},
        {"encryption_key": SECRET, "x": 1},
    ):
        with pytest.raises((TypeError, ValueError)) as refused:
            DatabaseStorage("sqlite::memory:", **bad)
        said += [str(refused.value), repr(refused.value)]
    said += [record.getMessage() for record in caplog.records]
    assert caplog.records, "the operations are logged"
    output = capfd.readouterr()
    said += [output.out, output.err]
    everything = "\n".join(said).encode()
    for form in [*forms(SECRET), *forms(SECRET[::-1])]:
        assert form not in everything
        assert form[:12] not in everything


def test_keys_do_not_pickle() -> None:
    import copy
    import pickle

    key = Key(SECRET)
    for leak in (pickle.dumps, copy.copy, copy.deepcopy, vars):
        with pytest.raises(TypeError):
            leak(key)

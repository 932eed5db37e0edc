"""Threads, file descriptors, memory and references: as many after a thousand uses as after ten."""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path
from typing import Any

import pytest
from rrag_storage import DatabaseStorage, InMemoryStorage, Storage, StorageError
from rrag_storage.testing import cases, eventually, in_threads, operations
from support import open_files, run_script, threads

KINDS = ["memory", "sqlite", "sqlite-memory"]


def make(kind: str, folder: Path) -> Storage:
    """A storage of this kind."""
    if kind == "memory":
        return InMemoryStorage()
    url = "sqlite::memory:" if kind == "sqlite-memory" else f"sqlite:{folder / 'memory.db'}"
    return DatabaseStorage(url, synchronous="normal")


async def everything(storage: Storage) -> None:
    """Every operation, those included that fail or are cancelled."""
    for operation in operations.ALL.values():
        await operation(storage)
    for operation in operations.KEYED.values():
        await asyncio.gather(operation(storage, ""), return_exceptions=True)
    await storage.mset({"a": [1], "b": {"c": 2}}, ttl=60)
    [pair async for pair in storage.items()]
    [entry async for entry in storage.entries(limit=1)]
    await storage.transact(lambda tx: tx.increment("count"), max_attempts=1_000)
    await asyncio.gather(storage.set("key", object()), storage.set("key", 1, ttl=-1), return_exceptions=True)
    tasks = [asyncio.ensure_future(storage.set(f"key-{number}", number)) for number in range(10)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    storage.sync.get("a")
    await storage.namespace("view").set("key", 1)


@pytest.mark.parametrize("kind", KINDS)
def test_threads_and_descriptors_come_and_go(kind: str, tmp_path: Path) -> None:
    def use() -> None:
        async def main() -> None:
            async with make(kind, tmp_path) as storage:
                await everything(storage)

        asyncio.run(main())

    for _ in range(3):
        use()
    gc.collect()
    files, many = open_files(), threads()
    for _ in range(30):
        use()
    gc.collect()
    eventually(lambda: open_files() <= files, f"no more than {files} descriptors", deadline=20)
    eventually(lambda: threads() <= many, f"no more than {many} threads", deadline=20)


@pytest.mark.parametrize("kind", KINDS)
def test_descriptors_of_loops_come_and_go(kind: str, tmp_path: Path) -> None:
    storage = make(kind, tmp_path)

    def use() -> None:
        asyncio.run(everything(storage))

    for _ in range(3):
        use()
    in_threads(4, lambda _: use())
    gc.collect()
    files, many = open_files(), threads()
    for _ in range(30):
        use()
    for _ in range(3):
        in_threads(4, lambda _: use())
    gc.collect()
    # The readers' connections open as they are needed: two descriptors each. A leak would be one or more for each loop.
    eventually(lambda: open_files() <= files + 10, f"no more than {files} descriptors and some", deadline=20)
    eventually(lambda: threads() <= many + 4, f"no more than {many} threads and some", deadline=20)
    storage.sync.close()


@pytest.mark.parametrize("kind", KINDS)
def test_many_storages_at_once(kind: str, tmp_path: Path) -> None:
    before = threads()
    storages = [make(kind, tmp_path) for _ in range(20)]
    for number, storage in enumerate(storages):
        storage.sync.set(f"key-{number}", number)
    for storage in storages:
        storage.sync.close()
    eventually(lambda: threads() <= before + 2, "the threads are let go of", deadline=20)


MEMORY = """
    import asyncio, gc, sys
    from test_resources import everything, make
    from pathlib import Path

    def resident():
        with open("/proc/self/statm") as figures:
            return int(figures.read().split()[1]) * 4096

    kind, folder, way = sys.argv[1], Path(sys.argv[2]), sys.argv[3]

    def open_and_close():
        async def main():
            async with make(kind, folder) as storage:
                await everything(storage)
        asyncio.run(main())

    kept = make(kind, folder)

    def use():
        asyncio.run(everything(kept))
        for _ in range(3):
            kept.sync.set("large", b"x" * 100_000)
            kept.sync.get("large")
            kept.sync.delete("large")

    act = open_and_close if way == "open" else use
    for _ in range(40):
        act()
    gc.collect()
    before = resident()
    for _ in range(160):
        act()
    gc.collect()
    print(resident() - before)
"""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["open", "use"])
def test_memory_stays(kind: str, way: str, tmp_path: Path) -> None:
    path = f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    lines = [line.removeprefix("    ") for line in MEMORY.splitlines()]
    grown = int(run_script(path + "\n".join(lines), kind, tmp_path, way, timeout=120))
    # A buffer of 100 kB that leaks at each of 160 uses is 16 MB in the end, a thread's stack or a connection is more.
    assert grown < 4_000_000


@pytest.mark.parametrize("kind", KINDS)
def test_references_stay(kind: str, tmp_path: Path) -> None:
    storage = make(kind, tmp_path)
    key = "a key that nobody else has"
    value: list[Any] = [["inner"], {"map": ("tuple", 2.5)}, cases.VALUES[-1].value]
    default, bad = object(), object()

    class Reason(Exception):  # it is no error but a way out of the block
        pass

    async def use() -> None:
        await storage.set(key, value)
        await storage.get(key)
        await storage.get("missing", default)
        await storage.mget([key, "missing"], default)
        await storage.mset({key: value})
        await storage.pop("missing", default)
        await storage.get_entry(key)
        await asyncio.gather(
            storage.set(key, [value, bad]), storage.mset([(key, bad)]), storage.get(bad), return_exceptions=True
        )
        try:
            async with storage.transaction() as tx:
                await tx.set(key, value)
                await tx.get("missing", default)
                raise Reason
        except Reason:
            pass
        tasks = [asyncio.ensure_future(storage.set(key, value)), asyncio.ensure_future(storage.get("missing", default))]
        tasks[0].cancel()
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        storage.set(key, value).close()
        storage.get("missing", default).close()
        iterator = storage.items(prefix=key)
        await anext(iterator)

    def counts() -> list[int]:
        gc.collect()
        return [sys.getrefcount(each) for each in (key, value, value[0], value[1], default, bad, storage)]

    for _ in range(5):
        asyncio.run(use())
    before, objects = counts(), len(gc.get_objects())
    for _ in range(200):
        asyncio.run(use())
    after = counts()
    assert all(abs(now - then) <= 3 for now, then in zip(after, before, strict=True)), (before, after)
    assert len(gc.get_objects()) < objects + 100
    storage.sync.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_storage_in_a_cycle_is_collected(kind: str, tmp_path: Path) -> None:
    import weakref

    class Owner:
        def __init__(self) -> None:
            self.storage = make(kind, tmp_path)
            self.operation = self.storage.get("missing", self)
            self.owner = self

    owner = Owner()
    owner.storage.sync.set("key", 1)
    owner.operation.close()
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None


def test_ten_thousand_operations_at_once(tmp_path: Path) -> None:
    storage = make("sqlite", tmp_path)

    async def main() -> None:
        for _ in range(2):
            await asyncio.gather(*(storage.set(f"key-{number}", "x" * 100) for number in range(10_000)))
        results = await asyncio.gather(*(storage.get(f"key-{number}") for number in range(10_000)))
        assert results == ["x" * 100] * 10_000

    before = threads()
    asyncio.run(main())
    assert threads() <= before + 12
    storage.sync.close()
    with pytest.raises(StorageError):
        storage.sync.get("key")

"""Several processes on one file or server; forks; and how a process ends, whatever is under way."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

import process_worker
import pytest
from rrag_storage import DatabaseStorage, connect
from rrag_storage.testing import eventually
from support import finish, open_files, run_script, start, threads

SOON = 5.0
"""Seconds within which a process is gone."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.db"


SERVERS = ["postgres", "mariadb", "redis", "redis_cluster"]
SHARED = ["file", *SERVERS]
KINDS = ["memory", *SHARED]


@pytest.fixture
def where(kind: str, path: Path, request: pytest.FixtureRequest) -> tuple[str, str]:
    """The url and the options, as JSON, of a new storage, which a script gets as its arguments."""
    if kind == "memory":
        return "memory://", "{}"
    if kind == "file":
        return f"sqlite:{path}", "{}"
    options = request.getfixturevalue(kind).options()
    return options.pop("url"), json.dumps(options)


def storage_at(where: tuple[str, str]) -> Any:
    """The blocking twin of the storage that the scripts use."""
    url, options = where
    return connect(url, **json.loads(options)).sync


@pytest.mark.parametrize("kind", SHARED)
def test_eight_processes_count_together(where: tuple[str, str]) -> None:
    processes = [start("process_worker.py", "increments", number, *where) for number in range(8)]
    for process in processes:
        finish(process, timeout=120)
    with storage_at(where) as storage:
        assert storage.get("count") == 8 * process_worker.INCREMENTS


@pytest.mark.parametrize("kind", SHARED)
def test_four_processes_move_money(where: tuple[str, str]) -> None:
    with storage_at(where) as storage:
        storage.mset(dict.fromkeys(process_worker.ACCOUNTS, process_worker.START))
    seed = 20_240_229
    processes = [start("process_worker.py", "transfers", seed + number, *where) for number in range(4)]
    for process in processes:
        finish(process, timeout=120)
    with storage_at(where) as storage:
        amounts = storage.mget(process_worker.ACCOUNTS)
    assert sum(amounts) == process_worker.START * len(process_worker.ACCOUNTS)
    assert len(set(amounts)) > 10


@pytest.mark.parametrize("kind", SHARED)
def test_eight_processes_open_a_new_storage(where: tuple[str, str]) -> None:
    script = """
        import json, sys
        from rrag_storage import connect

        sys.stdin.readline()
        with connect(sys.argv[1], **json.loads(sys.argv[2])).sync as storage:
            storage.set(f"key-{sys.argv[3]}", int(sys.argv[3]))
            assert storage.get(f"key-{sys.argv[3]}") == int(sys.argv[3])
    """
    processes = [start(script, *where, number) for number in range(8)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in processes:
        finish(process)
    with storage_at(where) as storage:
        assert storage.mget([f"key-{number}" for number in range(8)]) == list(range(8))


FORK = """
    import asyncio, json, os, sys, threading, warnings
    from rrag_storage import connect

    # Python warns of a fork beside threads from 3.12 on; that it works is what is tested.
    warnings.simplefilter("ignore", DeprecationWarning)
    storage = connect(sys.argv[1], **json.loads(sys.argv[2]))

    def child_of(work):
        pid = os.fork()
        if pid == 0:
            try:
                work()
            except BaseException:
                import traceback
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        return pid

    def joined(pid):
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0, status
"""


@pytest.mark.parametrize("kind", KINDS)
def test_fork_before_opening(where: tuple[str, str]) -> None:
    run_script(
        FORK
        + """
    def work():
        storage.sync.set("child", 1)
        assert storage.sync.get("child") == 1

    pid = child_of(work)
    storage.sync.set("parent", 1)
    joined(pid)
    assert storage.sync.keys() == (["parent"] if sys.argv[1] == "memory://" else ["child", "parent"])
    """,
        *where,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_fork_after_opening(where: tuple[str, str]) -> None:
    run_script(
        FORK
        + """
    async def use(name):
        await asyncio.gather(*(storage.set(f"{name}::{number}", number) for number in range(50)))
        assert await asyncio.gather(*(storage.get(f"{name}::{number}") for number in range(50))) == list(range(50))
        assert await storage.get("before") == 1
        async with storage.transaction() as tx:
            await tx.increment(f"{name}::count")
        assert await storage.namespace(name).count() == 51
        assert len([key async for key, _ in storage.items(namespace=name)]) == 51

    storage.sync.set("before", 1)
    asyncio.run(use("warm"))
    pids = [child_of(lambda number=number: asyncio.run(use(f"child-{number}"))) for number in range(3)]
    asyncio.run(use("parent"))
    for pid in pids:
        joined(pid)
    asyncio.run(use("again"))
    wanted = 1 + 51 * (3 if sys.argv[1] == "memory://" else 6)
    assert storage.sync.count() == wanted, storage.sync.count()
    storage.sync.close()
    """,
        *where,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_fork_while_threads_are_at_work(where: tuple[str, str]) -> None:
    run_script(
        FORK
        + """
    stop = threading.Event()

    def work(thread):
        number = 0
        while not stop.is_set():
            storage.sync.set(f"{thread}::{number % 50}", number, ttl=5)
            storage.sync.get(f"{thread}::{number % 50}")
            number += 1

    workers = [threading.Thread(target=work, args=(thread,)) for thread in range(3)]
    for worker in workers:
        worker.start()

    def use():
        for number in range(20):
            storage.sync.set(f"child::{number}", number)
            assert storage.sync.get(f"child::{number}") == number
        assert storage.sync.health_check()

    for _ in range(15):
        joined(child_of(use))
    stop.set()
    for worker in workers:
        worker.join()
    storage.sync.set("after", 1)
    assert storage.sync.get("after") == 1
    """,
        *where,
        timeout=120,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_fork_inside_a_running_loop(where: tuple[str, str]) -> None:
    run_script(
        FORK
        + """
    async def main():
        writes = [asyncio.create_task(storage.set(f"key-{number}", number)) for number in range(100)]
        await asyncio.sleep(0)
        pid = child_of(lambda: asyncio.new_event_loop().run_until_complete(storage.set("child", 1)))
        await asyncio.gather(*writes)
        assert await storage.mget([f"key-{number}" for number in range(100)]) == list(range(100))
        joined(pid)

    # The child starts a loop of its own inside the parent's: Python would refuse that by itself.
    os.register_at_fork(after_in_child=lambda: asyncio._set_running_loop(None))
    asyncio.run(main())
    """,
        *where,
    )


@pytest.mark.parametrize("kind", SHARED)
def test_fork_with_a_transaction_under_way(where: tuple[str, str]) -> None:
    run_script(
        FORK
        + """
    storage.sync.set("key", 1)
    with storage.sync.transaction() as tx:
        tx.set("key", 2)
        pid = child_of(lambda: storage.sync.set("child", 1))
        joined(pid)
        assert storage.sync.get("key") == 1
    assert storage.sync.get("key") == 2
    assert storage.sync.get("child") == 1
    """,
        *where,
    )


@pytest.mark.parametrize("kind", SHARED)
def test_a_child_that_closes_takes_nothing_from_its_parent(where: tuple[str, str]) -> None:
    run_script(
        FORK
        + """
    storage.sync.set("key", 1)
    joined(child_of(lambda: storage.sync.close()))
    assert storage.closed is False
    storage.sync.set("key", 2)
    joined(child_of(lambda: storage.sync.set("key", 3)))
    assert storage.sync.get("key") == 3
    """,
        *where,
    )


MULTIPROCESSING = """
    import json, multiprocessing, sys, warnings
    from rrag_storage import connect

    warnings.simplefilter("ignore", DeprecationWarning)
    storage = connect(sys.argv[2], **json.loads(sys.argv[3]))

    def work(number):
        for _ in range(20):
            storage.sync.increment("count")
        return storage.sync.get("before", "none")

    if __name__ == "__main__":
        storage.sync.set("before", 1)
        context = multiprocessing.get_context(sys.argv[1])
        with context.Pool(3) as pool:
            assert pool.map(work, range(6)) == [1] * 6
            pool.close()
            pool.join()
        assert storage.sync.get("count") == 120
"""


@pytest.mark.parametrize("kind", SHARED)
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(where: tuple[str, str], tmp_path: Path, method: str) -> None:
    # A file, as spawn imports the main module anew.
    script = tmp_path / "script.py"
    lines = [line.removeprefix("    ") for line in MULTIPROCESSING.splitlines()]
    script.write_text("\n".join(lines))
    run_script(str(script), method, *where, timeout=120)


ENDS: dict[str, str] = {
    "a-loop-that-is-left": """
        async def main():
            for number in range(1_000):
                asyncio.ensure_future(storage.set(f"key-{number}", number))
            await asyncio.sleep(0)
        asyncio.run(main())
    """,
    "a-loop-that-nobody-closes": """
        loop = asyncio.new_event_loop()
        async def main():
            tasks = [loop.create_task(storage.set(f"key-{number}", number)) for number in range(1_000)]
            for task in tasks:
                task._log_destroy_pending = False
            globals()["kept"] = tasks
            await asyncio.sleep(0)
        loop.run_until_complete(main())
    """,
    "threads-that-go-on": """
        def work(thread):
            while True:
                storage.sync.set(f"{thread}", thread)
                storage.sync.get(f"{thread}")
        for thread in range(4):
            threading.Thread(target=work, args=(thread,), daemon=True).start()
        time.sleep(0.2)
    """,
    "threads-with-loops": """
        async def forever(thread):
            while True:
                await asyncio.gather(*(storage.set(f"{thread}::{number}", number) for number in range(20)))
        for thread in range(4):
            threading.Thread(target=lambda thread=thread: asyncio.run(forever(thread)), daemon=True).start()
        time.sleep(0.2)
    """,
    "an-operation-half-done": """
        operation = storage.set("key", 1)
        try:
            operation.send(None)
        except (StopIteration, RuntimeError):
            pass
    """,
    "iterators-and-transactions": """
        storage.sync.mset({f"key-{number:04}": number for number in range(3_000)})
        kept = storage.sync.items()
        next(kept)
        tx = storage.sync.transaction()
        tx.__enter__()
        tx.set("key", 1)
    """,
    "a-module-that-is-torn-down": """
        import atexit, sys
        sys.modules["kept"] = storage
        atexit.register(lambda: storage.sync.set("late", 1))
    """,
    "entries-that-expire": """
        storage.sync.mset({f"key-{number}": number for number in range(1_000)}, ttl=0.01)
    """,
    "expiries-far-away": """
        storage.sync.set("key", 1, ttl=3_600)
    """,
    "sys.exit": """
        storage.sync.set("key", 1)
        import sys
        sys.exit(0)
    """,
    "os._exit": """
        threading.Thread(target=lambda: [storage.sync.increment("count") for _ in range(10_000)], daemon=True).start()
        time.sleep(0.1)
        import os
        os._exit(0)
    """,
}

BEGIN = """
import asyncio, json, sys, threading, time
from rrag_storage import connect

storage = connect(sys.argv[1], **json.loads(sys.argv[2]))
storage.sync.set("before", 1)
"""


def assert_soon(seconds: float) -> None:
    """Fails where a process took too long, by `SOON` or by what this machine takes at the moment to start one."""
    if seconds >= SOON:
        began = time.monotonic()
        run_script(BEGIN, "memory://", "{}")
        assert seconds < SOON + 5 * (time.monotonic() - began)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", ENDS)
def test_a_process_ends_soon_and_silently(kind: str, end: str, where: tuple[str, str]) -> None:
    lines = [line.removeprefix("        ") for line in ENDS[end].splitlines()]
    began = time.monotonic()
    run_script(BEGIN + "\n".join(lines), *where, timeout=30)
    assert_soon(time.monotonic() - began)
    if kind != "memory":
        with storage_at(where) as storage:
            assert storage.get("before") == 1


@pytest.mark.parametrize("signal_number", [None, signal.SIGTERM, signal.SIGINT])
def test_a_process_ends_although_a_lock_holds_it_up(path: Path, signal_number: int | None) -> None:
    process = start(
        """
        import asyncio, sys, threading, time
        from rrag_storage import DatabaseStorage

        storage = DatabaseStorage(sys.argv[1])
        storage.sync.set("before", 1)
        print("ready", flush=True)
        sys.stdin.readline()
        threading.Thread(target=lambda: storage.sync.set("key", 1), daemon=True).start()
        async def main():
            asyncio.ensure_future(storage.set("other", 1))
            await asyncio.sleep(0.2)
            print("waiting", flush=True)
            if sys.argv[2] != "None":
                await asyncio.sleep(60)
        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            pass
        """,
        f"sqlite:{path}",
        signal_number,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        process.stdin.write(b"go\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"waiting\n"
        began = time.monotonic()
        if signal_number is not None:
            process.send_signal(signal_number)
        finish(process, timeout=30, code=-signal.SIGTERM if signal_number == signal.SIGTERM else 0)
        assert_soon(time.monotonic() - began)
    finally:
        connection.close()


def test_an_exception_at_import_is_the_only_thing_on_stderr(path: Path) -> None:
    process = start(BEGIN + 'raise SystemExit("stopped here")', f"sqlite:{path}", "{}")
    _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (1, b"stopped here\n")


def test_sub_interpreters_get_an_answer() -> None:
    """An ImportError that says so, or a module that works: no crash."""
    script = """
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        other = interpreters.create()
        try:
            interpreters.run_string(other, "import rrag_storage; rrag_storage.InMemoryStorage().sync.set('key', 1)")
        except Exception as refused:
            assert "interpreter" in str(refused), refused
        interpreters.destroy(other)
    """
    if sys.version_info < (3, 14):
        script = "import warnings\nwarnings.simplefilter('ignore')\n" + "\n".join(
            line.removeprefix("        ") for line in script.splitlines()
        )
    run_script(script)


@pytest.mark.parametrize("opened", ["sync", "loop"])
def test_what_the_garbage_collector_takes_is_let_go_of(path: Path, opened: str) -> None:
    import asyncio
    import gc

    def use() -> None:
        storage = DatabaseStorage(f"sqlite:{path}")
        if opened == "sync":
            storage.sync.mset({f"key-{number}": number for number in range(100)}, ttl=3_600)
        else:

            async def main() -> Any:
                await asyncio.gather(*(storage.set(f"key-{number}", number) for number in range(100)))
                return await asyncio.gather(*(storage.get(f"key-{number}") for number in range(100)))

            assert asyncio.run(main()) == list(range(100))

    use()
    gc.collect()
    eventually(lambda: open_files(path.parent) == 0, "the files are let go of", deadline=20)
    before = threads()
    for _ in range(10):
        use()
        gc.collect()
    eventually(lambda: open_files(path.parent) == 0, "the files are let go of", deadline=20)
    eventually(lambda: threads() <= before, "the threads are let go of", deadline=20)
    with DatabaseStorage(f"sqlite:{path}").sync as storage:
        assert storage.mget([f"key-{number}" for number in range(100)]) == list(range(100))


def test_files_are_not_shared_with_programs_that_are_started(path: Path) -> None:
    with DatabaseStorage(f"sqlite:{path}").sync as storage:
        storage.set("key", 1)
        out = run_script(
            """
            import os
            for descriptor in os.listdir("/proc/self/fd"):
                try:
                    print(os.readlink(f"/proc/self/fd/{descriptor}"))
                except OSError:
                    pass
            """
        )
        assert str(path.parent) not in out
        pid = os.posix_spawn(
            sys.executable,
            [
                sys.executable,
                "-c",
                f"""
import os
found = [os.readlink(f"/proc/self/fd/{{each}}") for each in os.listdir("/proc/self/fd")
         if os.path.islink(f"/proc/self/fd/{{each}}")]
raise SystemExit(any({str(path.parent)!r} in each for each in found))
""",
            ],
            os.environ,
        )
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0

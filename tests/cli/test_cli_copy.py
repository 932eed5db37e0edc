"""`copy`: identical entries, killed half way and begun again.

`RRAG_COPY_ENTRIES` says how many entries are copied by processes that are killed: a few thousand in continuous integration,
1,000,000 for the acceptance.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from cli_support import Where, existing, place_on
from rrag_storage import CopyProgress, InMemoryStorage, LimitExceededError, MemoryQuery, MemoryValue, Storage
from rrag_storage.cli.copying import Copier
from rrag_storage.testing import asynchronous, cases
from rrag_storage.testing.equality import canonical

if TYPE_CHECKING:
    from pathlib import Path

    from cli_support import Command
    from servers import S3, Postgres, RedisCluster

ENTRIES = int(os.environ.get("RRAG_COPY_ENTRIES", "6000"))
SMALL_STEPS = ("--page-size", "10", "--workers", "1") if ENTRIES < 100_000 else ("--page-size", "500")
MOST_MEMORY = 256 * 1024
"""What a copy takes at most, in KiB, however many entries there are."""


def assert_identical(one: Storage, other: Storage) -> int:
    """Every entry is the same in all that a storage knows of it; how many there are."""
    count = 0
    for here, there in zip(one.sync.entries(), other.sync.entries(), strict=True):
        assert facts(here) == facts(there)
        assert canonical(here.value) == canonical(there.value), here.key
        count += 1
    return count


def facts(entry: Any) -> tuple[Any, ...]:
    names = ("key", "kind", "version", "created_at", "updated_at", "expires_at", "size_bytes")
    return tuple(getattr(entry, name) for name in names)


def test_every_entry_is_identical(cli: Command, where: Where, tmp_path: Path) -> None:
    first, last = Where(f"sqlite:{tmp_path}/a.db"), Where(f"sqlite:{tmp_path}/z.db")
    source = first.storage()
    for number, case in enumerate(cases.VALUES):
        source.sync.set(f"values::{number:04}", case.value, ttl=5_000 + number if number % 3 == 0 else None)
    source.sync.mset({key: number for number, key in enumerate(cases.KEYS)})
    source.sync.mset({f"many::{number:05}": number for number in range(5_000)})
    source.sync.set("document", MemoryValue.json({"a": [1]}))
    total = source.sync.count()
    done = json.loads(cli("copy", first.url, *where.as_target, "--json").stdout)
    assert (done["copied"], done["skipped"]) == (total, 0)
    cli("copy", where.url, last.url, *where.option)
    target = last.storage()
    assert assert_identical(source, target) == total
    done = json.loads(cli("copy", first.url, last.url, "--json").stdout)
    assert (done["copied"], done["skipped"]) == (0, total)
    source.sync.close()
    target.sync.close()


def test_a_second_copy_brings_what_changed(cli: Command, where: Where, sqlite: Where, tmp_path: Path) -> None:
    sqlite = Where(f"sqlite:{tmp_path}/source.db")
    with sqlite.storage().sync as source:
        source.mset({f"key-{number:04}": number for number in range(3_000)})
    cli("copy", sqlite.url, *where.as_target, "--page-size", 100)
    with sqlite.storage().sync as source, where.storage().sync as target:
        source.set("key-0000", "changed")
        source.set("key-2999", "changed")
        source.expire("key-1500", 1_000)
        source.delete("key-0700")
        source.set("key-00001", "new")
        target.set("mine", 1)
        target.set("key-0001", "changed here")
    done = json.loads(cli("copy", sqlite.url, *where.as_target, "--json", "--page-size", 100).stdout)
    assert (done["copied"], done["skipped"]) == (5, 2_995)
    with where.storage().sync as target:
        assert target.mget(["key-0000", "key-2999", "key-00001", "key-0001"]) == ["changed", "changed", "new", 1]
        # What was deleted from the source stays, and so does what only the target has.
        assert target.mget(["key-0700", "mine"]) == [700, 1]
        assert existing(target.ttl("key-1500")) <= 1_000


def test_a_part_is_copied(cli: Command, sqlite: Where, tmp_path: Path) -> None:
    with sqlite.storage().sync as source:
        source.mset({"docs::a": 1, "docs::b": 2, "docs::old::c": 3, "users::ada": 4, "plain": 5})
    for number, (options, copied) in enumerate(
        [
            (["--namespace", "docs"], ["docs::a", "docs::b", "docs::old::c"]),
            (["--prefix", "docs::o"], ["docs::old::c"]),
            (["--pattern", "*::?"], ["docs::a", "docs::b", "docs::old::c"]),
            (["--pattern", "*a*", "--after", "docs::b"], ["plain", "users::ada"]),
            (["--after", "zzz"], []),
        ]
    ):
        target = f"sqlite:{tmp_path}/{number}.db"
        cli("copy", sqlite.url, target, *options, "--page-size", 1)
        assert cli("ls", target).stdout.split() == copied


def test_what_the_target_has_may_be_kept(cli: Command, sqlite: Where, tmp_path: Path) -> None:
    target = f"sqlite:{tmp_path}/target.db"
    cli("set", sqlite.url, "key", "theirs")
    cli("set", sqlite.url, "other", "theirs")
    cli("set", target, "key", "mine")
    assert cli("copy", sqlite.url, target, "--keep").stdout.startswith("1 copied, 1 were there already")
    assert cli("get", target, "key").stdout == "mine\n"


def test_to_a_cluster_and_other_layers(
    cli: Command, redis_cluster: RedisCluster, sqlite: Where, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COPY_KEY", "00" * 32)
    with sqlite.storage().sync as source:
        source.mset({f"space-{number % 7}::{number}": "text " * 500 for number in range(700)})
    target = place_on(redis_cluster)
    layers = ("--encryption-key-env", "COPY_KEY", "--compression", "zstd")
    cli("copy", sqlite.url, *target.as_target, *(word.replace("--", "--target-") for word in layers))
    assert "--encryption-key-env" in cli("get", *target.arguments, "space-1::1", code=4).stderr
    cli("copy", *target.arguments, f"sqlite:{tmp_path}/back.db", *layers)
    one, other = sqlite.storage(), Where(f"sqlite:{tmp_path}/back.db").storage()
    names = ("key", "value", "version", "created_at", "expires_at")
    here, there = ([[getattr(entry, name) for name in names] for entry in each.sync.entries()] for each in (one, other))
    assert here == there
    one.sync.close()
    other.sync.close()


def test_to_an_object_store(cli: Command, s3: S3, sqlite: Where, tmp_path: Path) -> None:
    options = s3.options()
    environment = {f"AWS_{name.upper()}": value for name, value in options["storage_options"].items()}
    with sqlite.storage().sync as source:
        source.mset({f"docs::{number}": bytes([number]) * number for number in range(50)}, ttl=5_000)
    cli("copy", sqlite.url, options["url"], "--target-allow-http", env=environment)
    cli("copy", options["url"], f"sqlite:{tmp_path}/back.db", "--allow-http", env=environment)
    one, other = sqlite.storage(), Where(f"sqlite:{tmp_path}/back.db").storage()
    assert assert_identical(one, other) == 50
    one.sync.close()
    other.sync.close()
    # And as the place of large values, of which a record in SQLite knows.
    large = ("--large-values", options["url"], "--large-value-threshold", "1000", "--allow-http")
    cli("set", sqlite.url, "large", "--file", "-", *large, stdin=b"x" * 5_000, env=environment)
    assert "no orphans among 51 objects" in cli("check", sqlite.url, *large, env=environment).stdout


def test_an_interrupted_copy_says_how_to_go_on(sqlite: Where, tmp_path: Path) -> None:
    target = Where(f"sqlite:{tmp_path}/target.db")
    with sqlite.storage().sync as source, target.storage().sync as there:
        source.mset({f"{number:05}": number for number in range(20_000)})
        process = copying(sqlite.url, target.url, "--page-size", "1", "--workers", "1")
        while not there.count():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
        assert (process.returncode, stdout) == (130, b"")
        assert re.fullmatch(
            rb"rrag-storage: \d+ copied; run the same command again to go on\nrrag-storage: interrupted\n", stderr
        )
        assert 0 < there.count() < 20_000


def test_a_source_that_is_not_there(cli: Command, sqlite: Where, tmp_path: Path) -> None:
    assert "there is no file" in cli("copy", f"sqlite:{tmp_path}/no.db", sqlite.url, code=3).stderr
    assert not (tmp_path / "storage.db").exists()


@asynchronous
async def test_no_key_is_passed_over_while_others_write() -> None:
    """Keys that come in the middle of a span push its end past the limit under which it is read."""
    source, target = InMemoryStorage(), InMemoryStorage()
    before = {f"{number:04}": number for number in range(400)}
    await source.mset(before)
    copier = Copier(source, target, MemoryQuery(), overwrite=True, page_size=10)
    told = 0

    def write() -> None:
        nonlocal told
        told += 1
        if told <= 20:
            # Ahead of what is being read.
            source.sync.mset({f"{number:04}-{told}": 1 for number in range(told * 10, 400, 3)})
            source.sync.delete(f"{399 - told:04}")

    await copier.run(None, 3, write)
    kept = await source.keys()
    assert set(before) & set(kept) <= set(await target.keys())
    assert await target.mget(sorted(set(before) & set(kept))) == sorted(before[key] for key in set(before) & set(kept))


@asynchronous
async def test_a_failure_ends_every_worker() -> None:
    source, target = InMemoryStorage(), InMemoryStorage(max_keys=250)
    await source.mset({f"{number:04}": number for number in range(2_000)})
    copier = Copier(source, target, MemoryQuery(), overwrite=True, page_size=10)
    told: list[CopyProgress] = []
    before = asyncio.all_tasks()
    with pytest.raises(LimitExceededError):
        await copier.run(None, 4, lambda: told.append(CopyProgress(copier.copied)))
    assert copier.copied == told[-1].copied <= await target.count() <= 250
    assert asyncio.all_tasks() == before


def fill(storage: Storage, count: int) -> None:
    """So many entries of several kinds; one in five expires."""
    for start in range(0, count, 5_000):
        numbers = range(start, min(count, start + 5_000))
        entries = {
            f"space-{number % 50}::{number:08}": {"id": number, "text": f"chunk {number} " * 8, "score": number / 7}
            for number in numbers
        }
        storage.sync.mset(entries, ttl=500_000 + start if start % 25_000 == 0 else None)


# A process begins with the peak of the one that it was forked from, which is this one's, unless another comes in between.
MEASURE = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def copying(*arguments: str, more: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
    command = [sys.executable, *more, "-m", "rrag_storage.cli", "copy", *arguments, "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def killed_half_way(arguments: tuple[str, ...], target: Where, count: int) -> None:
    """Kills a copy with -9 once about a half has arrived; again where it was faster."""
    with target.storage().sync as storage:
        for _ in range(10):
            storage.clear()
            process = copying(*arguments)
            while storage.count() < count // 2:
                if process.poll() is not None:
                    break
            process.kill()
            process.communicate()
            if process.returncode == -signal.SIGKILL and storage.count() < count:
                return
    pytest.fail("every copy had ended before it was killed")


def finished(arguments: tuple[str, ...]) -> dict[str, Any]:
    """Runs a copy to its end, in bounded memory."""
    began = time.monotonic()
    process = copying(*arguments, more=("-c", MEASURE, sys.executable))
    said, peak = process.communicate()
    assert process.returncode == 0, peak.decode()
    print(f"{said.decode().strip()} {time.monotonic() - began:.1f} s, {int(peak) // 1024} MiB")
    assert int(peak) < MOST_MEMORY
    done: dict[str, Any] = json.loads(said)
    return done


@pytest.mark.timeout(300 + ENTRIES // 500)
def test_killed_half_way_and_begun_again(postgres: Postgres, tmp_path: Path) -> None:
    first, last = Where(f"sqlite:{tmp_path}/a.db"), Where(f"sqlite:{tmp_path}/z.db")
    middle = place_on(postgres)
    source = first.storage(synchronous="normal")
    fill(source, ENTRIES)
    for arguments, target in (
        ((first.url, *middle.as_target, *SMALL_STEPS), middle),
        ((*middle.arguments, last.url, *SMALL_STEPS), last),
    ):
        killed_half_way(arguments, target, ENTRIES)
        done = finished(arguments[: -len(SMALL_STEPS)])
        assert done["copied"] + done["skipped"] == ENTRIES
        assert done["skipped"] >= ENTRIES // 2
    target_storage = last.storage()
    assert assert_identical(source, target_storage) == ENTRIES
    source.sync.close()
    target_storage.sync.close()

"""Rows of a SQLite file changed at random: what is sealed is refused, the rest is a value or damage, in bounded memory.

The larger run is `tests/layers_mutations.rs`.
"""

from __future__ import annotations

import random
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from layered import COMPRESSED, ENCRYPTED, LZ4, at
from rrag_storage import CorruptedDataError, DecryptionError
from support import run_script

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNT = 400
KEYS = [f"key-{number:03}" for number in range(COUNT)]


def mutations(rng: random.Random, bodies: list[bytes]) -> Iterator[bytes]:
    """Each body, changed in a way of its own."""
    for number, body in enumerate(bodies):
        changed = bytearray(body)
        way = number % 5
        if way == 0:
            for _ in range(rng.randrange(1, 5)):
                changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        elif way == 1:
            del changed[rng.randrange(len(changed)) :]
        elif way == 2:
            changed += rng.randbytes(rng.randrange(1, 20))
        elif way == 3:
            changed = bytearray(bodies[number - 1])
        else:
            changed[rng.randrange(min(8, len(changed)))] = rng.randrange(256)
        yield bytes(changed)


def mutated(path: Path, seed: int, **options: Any) -> list[str]:
    """Keys of a file whose rows were changed, of those that differ from what was written."""
    rng = random.Random(seed)
    values: list[Any] = [[number, "text " * (number % 40), rng.randbytes(number % 90)] for number in range(COUNT)]
    with at(path, synchronous="normal", **options).sync as storage:
        storage.mset(dict(zip(KEYS, values, strict=True)))
    connection = sqlite3.connect(path)
    rows = [row[0] for row in connection.execute("SELECT body FROM rrag_storage ORDER BY key")]
    after = list(mutations(rng, rows))
    with connection:
        pairs = [(body, key.encode()) for key, body in zip(KEYS, after, strict=True)]
        connection.executemany("UPDATE rrag_storage SET body = ? WHERE key = ?", pairs)
    connection.close()
    return [key for key, one, other in zip(KEYS, rows, after, strict=True) if one != other]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("options", [ENCRYPTED, {**COMPRESSED, **ENCRYPTED}], ids=["encrypted", "both"])
def test_sealed_rows_are_refused(tmp_path: Path, options: dict[str, Any], seed: int) -> None:
    path = tmp_path / "memory.db"
    changed = mutated(path, seed, **options)
    assert len(changed) > 0.9 * COUNT
    with at(path, **options).sync as storage:
        for key in changed:
            with pytest.raises((DecryptionError, CorruptedDataError)) as error:
                storage.get(key)
            assert error.value.key == key


READ = """
    import resource, sys
    from rrag_storage import CorruptedDataError, ConfigurationError, DatabaseStorage, DecryptionError

    resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000, 1_500_000_000))
    values = 0
    with DatabaseStorage(f"sqlite:{sys.argv[1]}").sync as storage:
        for key in storage.keys():
            try:
                storage.get(key)
                values += 1
            except (CorruptedDataError, DecryptionError) as error:
                assert error.key == key
            except ConfigurationError as error:
                assert "large_values" in str(error)
    print(values)
"""


@pytest.mark.parametrize("options", [{}, COMPRESSED, LZ4], ids=["plain", "zstd", "lz4"])
def test_other_rows_are_values_or_damage(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "memory.db"
    changed = mutated(path, 1, **options)
    assert int(run_script(READ, path)) > COUNT - len(changed)


@pytest.mark.parametrize("packing", [1, 2, 3])
def test_a_forged_size_takes_no_memory(tmp_path: Path, packing: int) -> None:
    path = tmp_path / "memory.db"
    with at(path, **COMPRESSED).sync as storage:
        storage.set("key", "text " * 1000)
    connection = sqlite3.connect(path)
    (body,) = connection.execute("SELECT body FROM rrag_storage").fetchone()
    for claim in (0xFFFF_FFFF, 0x7FFF_0000 - 65536, 1 << 30):
        forged = body[:2] + bytes([packing, 0]) + claim.to_bytes(4, "little") + body[8:]
        with connection:
            connection.execute("UPDATE rrag_storage SET body = ?", (forged,))
        assert run_script(READ, path) == "0\n"
    connection.close()

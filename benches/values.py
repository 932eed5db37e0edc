"""The values that the workloads store: distinct, the same in every run, and storable by every contender."""

from __future__ import annotations

import functools
import json
import random
from pydoc_data.topics import topics
from typing import Any

import numpy

KINDS = {
    "str": "32-byte str",
    "dict": "200-byte dict",
    "chunk": "4 KB chunk with metadata",
    "vector": "1536-d float32 vector",
    "large": "1 MB of bytes",
    "text": "4 KB chunk of the Python manual",
}
WORDS = (
    "storage",
    "answer",
    "vector",
    "session",
    "chunk",
    "memory",
    "prompt",
    "token",
    "index",
    "and",
    "the",
    "of",
    "a",
)


def make(kind: str, number: int) -> Any:
    """The value of a kind and a number."""
    return {"str": _str, "dict": _dict, "chunk": _chunk, "vector": _vector, "large": _large, "text": _manual}[kind](
        number
    )


def same(found: Any, wanted: Any) -> bool:
    """Whether a store gave back what was stored: equal, and of the same type."""
    if type(found) is not type(wanted):
        return False
    if isinstance(wanted, numpy.ndarray):
        return bool(found.dtype == wanted.dtype and numpy.array_equal(found, wanted))
    return bool(found == wanted)


def _str(number: int) -> str:
    return f"{random.Random(number).getrandbits(128):032x}"


def _dict(number: int) -> dict[str, Any]:
    rng = random.Random(number)
    value = {
        "id": number,
        "source": f"manual/chapter-{rng.randrange(100):02d}.md",
        "page": rng.randrange(1000),
        "score": round(rng.random(), 6),
        "tags": rng.sample(WORDS, 3),
        "text": "",
    }
    value["text"] = _text(rng, 200 - len(json.dumps(value)))
    return value


def _chunk(number: int) -> dict[str, Any]:
    rng = random.Random(number)
    return {
        "text": _text(rng, 4096),
        "metadata": {
            "document": f"manual/chapter-{rng.randrange(100):02d}.md",
            "position": number,
            "section": [rng.randrange(10), rng.randrange(10)],
            "title": _text(rng, 40),
            "public": rng.random() < 0.5,
            "score": rng.random(),
        },
    }


def _vector(number: int) -> Any:
    return numpy.random.default_rng(number).standard_normal(1536, dtype=numpy.float32)


def _large(number: int) -> bytes:
    return random.Random(number).randbytes(1_000_000)


def _manual(number: int) -> str:
    """4,096 characters of prose, from another place for each of the first 2,000 numbers."""
    manual = _whole_manual()
    return manual[number * 211 % (len(manual) - 4096) :][:4096]


@functools.cache
def _whole_manual() -> str:
    return "\n".join(topics[topic] for topic in sorted(topics))


def _text(rng: random.Random, length: int) -> str:
    """Words of exactly `length` characters together."""
    words: list[str] = []
    size = -1
    while size < length:
        words.append(rng.choice(WORDS))
        size += len(words[-1]) + 1
    return " ".join(words)[:length]

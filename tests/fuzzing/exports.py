"""Choices made into the text of exports: with the names of the notation, and what may or may not fit them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .choices import Choices

NAMES = ("int", "float", "bytes", "map", "tuple", "set", "frozenset", "datetime", "time", "date")
NAMES = tuple(f"${name}" for name in (*NAMES, "timedelta", "decimal", "uuid", "array", "scalar", "json", "other"))
BESIDE = ("dtype", "shape", "fold", "more", "text")
CONTENTS = (
    *(
        "",
        "1",
        "-0x1f",
        "nan",
        "-inf",
        "7ff8000000000001",
        "7ff8",
        "AA==",
        "AAAAAAAA8D8=",
        "é",
        "\ud800",
        "1E+5",
        "sNaN",
    ),
    *("2026-01-02", "2026-01-02T03:04:05.000006+01:00", "03:04", "12345678-1234-5678-1234-567812345678"),
    *("?", "<f8", ">i2", "u1", "f2", "O", "f4,f4", "(2,)i4", "M8[s]", "V4"),
    *(0, 1, -1, 2**70, 1.5, True, None, [], [0], [1, 2], [2**62, 2**62], [1, 2, 3], [["a", 1]], [["a"]], {}),
)
EDGES = ('{"rrag-storage": 1}', '{"rrag-storage": 2}', '{"entries": 1}', '{"entries": true}', "", "{", "\ufeff{}")


def data(choices: Choices, depth: int = 0) -> Any:
    """Something that `json.dumps` takes."""
    kind = choices.below(8 if depth < 4 else 3)
    if kind < 3:
        return choices.of(CONTENTS)
    if kind < 5:
        return [data(choices, depth + 1) for _ in range(choices.below(4))]
    if kind == 5:
        return {choices.text(): data(choices, depth + 1) for _ in range(choices.below(3))}
    beside = {choices.of(BESIDE): data(choices, depth + 1) for _ in range(choices.below(3))}
    return {choices.of(NAMES): data(choices, depth + 1), **beside}


def lines(choices: Choices) -> list[bytes]:
    """Lines of an export, some of them damaged."""
    made = []
    for _ in range(1 + choices.below(4)):
        kind = choices.below(8)
        if kind == 0:
            text = choices.of(EDGES)
        elif kind == 1:
            text = choices.text()
        else:
            entry = {"key": choices.text(), "value": data(choices)}
            if choices.below(3) == 2:
                entry["expires_at"] = choices.of(CONTENTS)
            text = json.dumps(entry)
        line = bytearray(text.encode(errors="surrogatepass"))
        if line and choices.below(4) == 3:
            line[choices.below(len(line))] = choices.byte()
        made.append(bytes(line) + b"\n")
    return made

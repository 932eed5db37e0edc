"""The fenced code blocks of a Markdown page, and what their fences say."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

# A fence ends where a line has its indent and at least its backticks again; whatever stands between is not Markdown.
_FENCE = re.compile(
    r"^(?P<indent>[ ]*)(?P<ticks>`{3,})(?P<info>[^`\n]*)\n(?P<body>.*?)^(?P=indent)(?P=ticks)`*[ ]*$",
    re.MULTILINE | re.DOTALL,
)
_INFO = re.compile(r'^(?P<language>\S*)(?: not-run="(?P<reason>[^"]+)")?$')
_OTHER_NAMES = {"py", "py3", "python3", "Python", "pycon"}


@dataclass(frozen=True)
class Block:
    """One block.

    Attributes:
        language: what the fence names; empty where it names none.
        line: the number of its first line of code in the page.
        source: the code, without the fence's indent.
        not_run: why it is not executed, where the fence says so: ```` ```python not-run="needs a cloud account" ````.
    """

    language: str
    line: int
    source: str
    not_run: str | None


def blocks(text: str) -> list[Block]:
    """All fenced blocks of a page, in their order.

    Raises:
        ValueError: a fence that says something else than a language and a reason, or spells `python` otherwise: its
            block would go unnoticed.
    """
    found = []
    for fence in _FENCE.finditer(text):
        line = text.count("\n", 0, fence.start()) + 2
        info = _INFO.match(fence["info"].strip())
        if info is None:
            raise ValueError(f'line {line - 1}: a fence says a language, and not-run="REASON", not {fence["info"]!r}')
        if info["language"] in _OTHER_NAMES:
            raise ValueError(f"line {line - 1}: call the language python, not {info['language']}")
        found.append(Block(info["language"], line, textwrap.dedent(fence["body"]), info["reason"]))
    return found


def python_blocks(text: str) -> list[Block]:
    """The blocks of a page that are to be run, in their order."""
    return [block for block in blocks(text) if block.language == "python" and block.not_run is None]


def without_blocks(text: str) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", text)

"""Shows the `>>>` examples of docstrings as code: they stand in a section of their own for who renders them."""

from __future__ import annotations

import textwrap
from typing import Any

import griffe


def with_examples(text: str) -> str:
    """The docstring with a header above each example, as the Google style has it."""
    paragraphs = text.split("\n\n")
    marked = ["Examples:\n" + textwrap.indent(part, "    ") if part.startswith(">>>") else part for part in paragraphs]
    return "\n\n".join(marked)


class DocstringExamples(griffe.Extension):
    """Marks the examples of whatever is documented."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = with_examples(obj.docstring.value)

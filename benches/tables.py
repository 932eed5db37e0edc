"""Tables and figures in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.base import Adapter
from measure import Timing


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns line up; all but the first are set to the right where they hold figures."""
    right = [index > 0 and all(_is_figure(row[index]) for row in rows) for index in range(len(head))]
    widths = [max(3, *(len(row[index]) for row in (head, *rows))) for index in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(cells, widths, right, strict=True)
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * (width - 1) + ":" if flush else "-" * width for width, flush in zip(widths, right, strict=True)]
    return "\n".join([line(head), line(rule), *(line(row) for row in rows)])


def time(seconds: float) -> str:
    """Seconds in µs or ms."""
    scale, unit = _scale(seconds)
    return f"{digits(seconds * scale)} {unit}"


def digits(value: float) -> str:
    """A figure, to about three digits."""
    places = next((places for places, bound in ((3, 0.9995), (2, 9.995), (1, 99.95)) if value < bound), 0)
    return f"{value:.{places}f}"


def _scale(seconds: float) -> tuple[float, str]:
    return (1e6, "µs") if seconds < 0.9995e-3 else (1e3, "ms")


def _is_figure(cell: str) -> bool:
    return cell.lstrip("≤≥ ")[:1].isdigit() or cell in {"–", ""}


def cell(timing: Timing | None) -> str:
    """A median with its quickest and slowest round."""
    if timing is None:
        return "–"
    scale, _ = _scale(timing.median)
    return f"{time(timing.median)} ({digits(timing.low * scale)}–{digits(timing.high * scale)})"


def rates(timing: Timing | None) -> str:
    """How many a second, with the slowest and the quickest round."""
    if timing is None:
        return "–"
    return f"{1 / timing.median:,.0f} ({1 / timing.high:,.0f}–{1 / timing.low:,.0f})"


def name(contender: type[Adapter]) -> str:
    """A contender's label: ours stands out."""
    return f"**{contender.label}**" if contender.ours else contender.label

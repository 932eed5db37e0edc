"""Namespaces by size and age, drawn with matplotlib and without pyplot's global state."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import matplotlib.dates
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .notebook import NamespaceFigures

_dates: Any = matplotlib.dates  # which has no types
_LONGEST_NAME = 32


class ShownFigure(Figure):
    """A figure that a notebook shows although it is not one of pyplot's."""

    def _repr_png_(self) -> bytes:
        image = io.BytesIO()
        self.savefig(image, format="png")
        return image.getvalue()


def draw(namespaces: Sequence[NamespaceFigures], more: int = 0) -> Figure:
    """The plot of `namespaces`, the first of them on top, and how many `more` there are that it leaves out."""
    figure = ShownFigure(figsize=(9, 1.1 + 0.32 * max(1, len(namespaces))), layout="constrained")
    sizes, ages = figure.subplots(1, 2, sharey=True)
    if not namespaces:
        figure.suptitle("no namespaces")
        return figure
    rows = range(len(namespaces))
    bars = sizes.barh(rows, [each.size_bytes for each in namespaces], color="tab:blue")
    sizes.bar_label(bars, [f" {each.entries:,}" for each in namespaces], color="dimgray")
    sizes.set_yticks(rows, [_literal(each.name) for each in namespaces])
    sizes.invert_yaxis()
    sizes.margins(x=0.2)
    sizes.xaxis.set_major_formatter(EngFormatter(unit="B"))
    sizes.set_title("size, and entries")

    locator = _dates.AutoDateLocator()
    _draw_ages(ages, namespaces)
    ages.xaxis.set_major_locator(locator)
    ages.xaxis.set_major_formatter(_dates.ConciseDateFormatter(locator))
    ages.tick_params(axis="x", labelsize="small")
    ages.set_title("created, UTC")
    if more:
        figure.supxlabel(f"and {more} smaller ones", color="dimgray", fontsize="small")
    return figure


def _draw_ages(axes: Any, namespaces: Sequence[NamespaceFigures]) -> None:
    rows = range(len(namespaces))
    oldest = [_dates.date2num(each.oldest) for each in namespaces]
    newest = [_dates.date2num(each.newest) for each in namespaces]
    axes.hlines(rows, oldest, newest, color="tab:orange", linewidth=3)
    axes.plot(oldest, rows, "o", color="tab:orange", markersize=4)
    axes.plot(newest, rows, "o", color="tab:orange", markersize=4)
    axes.xaxis_date()


def _literal(name: str) -> str:
    """A name as it is: none of it is mathematics to matplotlib, nor longer than the plot has room for."""
    shown = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
    printable = "".join(letter if letter.isprintable() else "�" for letter in shown)
    return printable.replace("$", r"\$")

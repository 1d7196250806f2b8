"""Colours and marks that the figures share."""

import math
from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import NamedTuple

from matplotlib.axes import Axes

from deepcovid.drawing.svg import INK, PAGE
from deepcovid.nets.zoo import NETS
from deepcovid.statistics.estimate import Estimate

# Okabe and Ito's colours, which people with any colour vision tell apart, and a grey.
BLUE, ORANGE, GREEN, RED, SKY, PINK = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7"
GREY = "#777777"
NET_COLOURS = dict(zip(NETS, cycle((BLUE, ORANGE, GREEN, PINK, RED, SKY, GREY)), strict=False))


def dot(axis: Axes, estimate: Estimate, place: float, colour: str, *, hollow: bool = False) -> None:
    """Draw a number as a dot in the row at `place`, its interval as a bar."""
    axis.plot([estimate.low, estimate.high], [place, place], color=colour, linewidth=2, alpha=0.45, zorder=2)
    face = PAGE if hollow else colour
    axis.plot(estimate.value, place, "o", color=colour, markerfacecolor=face, markersize=5, zorder=3)


class Row(NamedTuple):
    """A number with its interval in a figure of rows: how far down it stands, and what is written to its left."""

    place: float
    label: str
    estimate: Estimate
    colour: str


def rows_of_dots(axis: Axes, rows: Sequence[Row], dashed: float, digits: str = ".3f") -> None:
    """Draw a dot in each row, with the number itself to its right.

    Args:
        axis: What to draw on. Its label and its limits from left to right are left to the caller.
        rows: The rows, from the top down; there may be none.
        dashed: Where a dashed line stands, such as the value of guessing.
        digits: How the numbers are written, in the language of `format`.
    """
    for row in rows:
        dot(axis, row.estimate, row.place, row.colour)
        text, across = f"{row.estimate.value:{digits}}", axis.get_yaxis_transform()
        axis.text(1.01, row.place, text, va="center", fontsize=7.5, transform=across)
    axis.axvline(dashed, color=INK, linewidth=0.9, linestyle=(0, (3, 2)))
    axis.set_yticks([row.place for row in rows], [row.label for row in rows])
    axis.set_ylim(max((row.place for row in rows), default=-1) + 0.6, -0.6)
    axis.tick_params(left=False)
    axis.spines["left"].set_visible(False)


def reach(areas: Iterable[Estimate]) -> tuple[float, float]:
    """Return limits of an axis of AUCs that hold their intervals and chance, 0.5."""
    lowest = min(0.48, *(area.low for area in areas))
    return math.floor(lowest * 20) / 20, 1.02

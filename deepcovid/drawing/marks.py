"""Colours and marks that the figures share."""

import math
from collections.abc import Iterable
from itertools import cycle

from matplotlib.axes import Axes

from deepcovid.drawing.svg import PAGE
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


def reach(areas: Iterable[Estimate]) -> tuple[float, float]:
    """Return limits of an axis of AUCs that hold their intervals and chance, 0.5."""
    lowest = min(0.48, *(area.low for area in areas))
    return math.floor(lowest * 20) / 20, 1.02

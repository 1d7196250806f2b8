"""The audits' figures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from deepcovid.drawing.marks import BLUE, GREEN, NET_COLOURS, ORANGE, PINK, dot
from deepcovid.drawing.svg import FAINT, INK, WIDTH, styled
from deepcovid.nets.zoo import title_of
from deepcovid.statistics.calibration import Bin
from deepcovid.statistics.estimate import Estimate

GREY, BLACK = "#9aa0a6", "#000000"  # what is left of an image and what is hidden, on a light page and on a dark one
# What a row of the opening figure may know.
KINDS = {
    "pipeline": (BLUE, "the pipeline's heads"),
    "untrained": (PINK, "the same heads on a net of random weights"),
    "hand-made": (GREEN, "a few numbers of the image"),
    "acquisition": (ORANGE, "how the image was taken, and of whom"),
}


@styled
def enough(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw what one needs to know to reach which AUC: a row each, highest first.

    Args:
        rows: Each with title, kind, auc, low, high.
    """
    figure = Figure(figsize=(WIDTH, 0.235 * len(rows) + 0.95), layout="constrained")
    axis = figure.subplots()
    ordered = sorted(rows, key=lambda row: -row["auc"])
    for place, row in enumerate(ordered):
        dot(axis, Estimate(value=row["auc"], low=row["low"], high=row["high"]), place, KINDS[row["kind"]][0])
        axis.text(1.01, place, f"{row['auc']:.3f}", va="center", fontsize=7.5, transform=axis.get_yaxis_transform())
    axis.axvline(0.5, color=INK, linewidth=0.9, linestyle=(0, (3, 2)))
    axis.set_yticks(range(len(ordered)), [row["title"] for row in ordered])
    axis.set(ylim=(len(ordered) - 0.4, -0.6), xlabel="AUC, 95 % interval", xlim=_reach(ordered))
    axis.tick_params(left=False)
    axis.spines["left"].set_visible(False)
    shown = [kind for kind in KINDS if any(row["kind"] == kind for row in ordered)]
    handles = [Line2D([], [], marker="o", color=KINDS[kind][0], label=KINDS[kind][1]) for kind in shown]
    figure.legend(handles=handles, loc="outside upper left", ncols=2, fontsize=8)
    return figure


@styled
def hidden(nets: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw AUC against the side of the square: what it leaves when it is black, and when it alone is shown.

    Args:
        nets: Each with model and squares; a square has share, shows (outside | inside), auc, low, high.
    """
    figure = Figure(figsize=(WIDTH, 3.5), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    whole = {net["model"]: next(square for square in net["squares"] if square["share"] == 0) for net in nets}
    for axis, shows in zip(panels, ("outside", "inside"), strict=True):
        shares: set[float] = set()
        for net in nets:
            squares = [square for square in net["squares"] if square["shows"] == shows]
            if shows == "inside":  # the square that shows all is the whole image
                squares = [*squares, {**whole[net["model"]], "share": 1.0}]
            squares = sorted(squares, key=lambda square: square["share"])
            x, colour = [square["share"] for square in squares], NET_COLOURS[net["model"]]
            low, high = ([square[end] for square in squares] for end in ("low", "high"))
            axis.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
            middle = [square["auc"] for square in squares]
            axis.plot(x, middle, "o-", color=colour, linewidth=1.5, markersize=4, label=title_of(net["model"]))
            shares |= set(x)
        axis.axhline(0.5, color=INK, linewidth=0.9, linestyle=(0, (3, 2)))
        axis.set(xlim=(-0.04, 1.04), xlabel="side of the square, share of the image's", ylim=_reach(_squares(nets)))
        bottom, top = axis.get_ylim()
        axis.set_yticks([tick for tick in axis.get_yticks() if bottom <= tick <= 1])
        axis.set_ylim(bottom, top + 0.2 * (top - bottom))  # room for the pictures
        axis.set_title("The middle is black" if shows == "outside" else "Nothing but the middle is shown")
        _pictures(axis, sorted(shares), shows)
    panels[0].set_ylabel("AUC, 95 % interval")
    panels[0].legend(loc="lower left", fontsize=8)
    return figure


def _pictures(axis: Axes, shares: Sequence[float], shows: str) -> None:
    """Put what is left of the image above each share, as a small picture."""
    side = 0.062  # of the axis's width
    height = side * 1.62  # the panels are wider than high
    across = axis.transAxes
    for share in shares:
        left, bottom = (share + 0.04) / 1.08 - side / 2, 0.87
        outer, inner = (GREY, BLACK) if shows == "outside" else (BLACK, GREY)
        axis.add_patch(Rectangle((left, bottom), side, height, facecolor=outer, transform=across, zorder=4))
        corner = left + side * (1 - share) / 2, bottom + height * (1 - share) / 2
        axis.add_patch(
            Rectangle(corner, side * share, height * share, facecolor=inner, transform=across, zorder=5, linewidth=0)
        )


@styled
def reliability(curves: Mapping[str, Mapping[str, Sequence[Bin]]]) -> Figure:
    """Draw reliability curves: the share of covid among images by their score, a panel per set of test images.

    Args:
        curves: By title of the panel and model, the bins.
    """
    columns = max(len(curves), 2)
    figure = Figure(figsize=(min(WIDTH, 3.4 * columns), 3.6), layout="constrained")
    panels = figure.subplots(1, columns, sharey=True, squeeze=False)[0]
    for axis in panels[len(curves) :]:
        axis.axis("off")
    for axis, (title, by_model) in zip(panels, curves.items(), strict=False):
        for model, bins in by_model.items():
            colour, x = NET_COLOURS[model], [part.mean_score for part in bins]
            low, high = [part.observed.low for part in bins], [part.observed.high for part in bins]
            axis.vlines(x, low, high, color=colour, alpha=0.35)
            observed = [part.observed.value for part in bins]
            axis.plot(x, observed, "o-", color=colour, markersize=3.5, linewidth=1.2, label=title_of(model))
        axis.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle="--")
        axis.set(title=title, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="P(covid), mean of the bin")
    panels[0].set_ylabel("share of covid")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), fontsize=8)
    return figure


def _squares(nets: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [square for net in nets for square in net["squares"]]


def _reach(rows: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Return limits of an axis of AUCs, chance among them."""
    lowest = min(0.48, *(row["low"] for row in rows))
    return float(np.floor(lowest * 20) / 20), 1.02

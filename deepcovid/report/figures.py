"""One function a figure: tables in, a matplotlib figure out."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from sklearn.metrics import roc_curve

from deepcovid.drawing.marks import BLUE, GREEN, NET_COLOURS, ORANGE, PINK, RED, dot
from deepcovid.drawing.svg import FAINT, INK, PAGE, WIDTH, styled
from deepcovid.drawing.tables import spread
from deepcovid.drawing.titles import title_of_recipe, title_of_rung
from deepcovid.ladder.measuring import RungResult
from deepcovid.nets.zoo import title_of
from deepcovid.report.contents import MeasuredRun, ShownRun
from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.comparison import Beside
from deepcovid.statistics.counts import Confusion
from deepcovid.statistics.curves import histogram
from deepcovid.statistics.estimate import Estimate
from deepcovid.statistics.roc_bands import roc_band
from deepcovid.statistics.uncertainty import HEADLINES, RunSources, Source, Sources

GROUP_COLOURS = {"covid": RED, "other": ORANGE, "normal": BLUE}
DIRECTIONS = {
    "up": "from the failure towards the paper",
    "down": "from the paper towards the failure",
    "aside": "beside the ladder",
}
LADDER_COLUMNS: dict[str, Callable[[RungResult], Estimate]] = {
    "AUC": lambda rung: rung.auc,
    "sensitivity": lambda rung: rung.sensitivity,
    "specificity": lambda rung: rung.specificity,
}
HEADLINE_TITLES = {
    "auc": "AUC",
    "at_sensitivity_98": "specificity at sensitivity 98 %",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
}
SOURCE_COLOURS = {"patients": BLUE, "splits": ORANGE, "seeds": GREEN, "runs": PINK}
SHAPES = "D^sPvX*"  # of published points, in order; an eighth point has the first shape again
PERCENT = ((0, 0.05, 0.25, 1), ("0", "5 %", "25 %", "100 %"))


@dataclass(frozen=True)
class Point:
    """A place on a ROC curve that somebody published."""

    name: str
    specificity: float
    sensitivity: float


@styled
def ladder(rungs: Sequence[RungResult]) -> Figure:
    """Draw a net's ladder: a row per rung, in the order of each direction; AUC, rates and collapsed share.

    Args:
        rungs: Rungs in the order in which they are climbed.
    """
    groups = [(name, [rung for rung in rungs if rung.direction == name]) for name in DIRECTIONS]
    groups = [(name, members) for name, members in groups if members]
    height = sum(len(members) + 1.6 for _, members in groups)
    figure = Figure(figsize=(WIDTH, 0.25 * height + 0.7), layout="constrained")
    axes = figure.subplots(1, 4, sharey=True, width_ratios=[1.3, 1, 1, 0.9])
    labels: list[tuple[float, str]] = []
    top = 0.0
    for name, members in groups:
        across = axes[0].get_yaxis_transform()
        axes[0].text(0, top, DIRECTIONS[name], weight="bold", va="center", transform=across, in_layout=False)
        places = top + 1.0 + np.arange(len(members))
        labels += [(place, title_of_rung(rung.rung)) for place, rung in zip(places, members, strict=True)]
        for axis, measure in zip(axes, LADDER_COLUMNS.values(), strict=False):
            if name != "aside":
                axis.plot([measure(rung).value for rung in members], places, color=FAINT, linewidth=1.2, zorder=1)
            for place, rung in zip(places, members, strict=True):
                dot(axis, measure(rung), place, BLUE, hollow=rung.net == "replayed")
        for place, rung in zip(places, members, strict=True):
            share = rung.collapsed.value
            axes[3].barh(place, share, height=0.62, color=RED, alpha=0.8)
            axes[3].text(share + 0.04, place, f"{100 * share:.0f} %", va="center", fontsize=7.5)
        top = places[-1] + 1.6
    for axis, title in zip(axes, (*LADDER_COLUMNS, "collapsed"), strict=True):
        axis.set_title(title)
        axis.set_xlim(-0.04, 1.04)
        axis.tick_params(left=False)
        axis.spines["left"].set_visible(False)
        axis.grid(axis="y", visible=False)
    lowest = min(rung.auc.low for rung in rungs)
    axes[0].set_xlim(min(0.5, np.floor(lowest * 10) / 10) - 0.02, 1.02)
    axes[3].set_xlim(0, 1.4)
    axes[3].set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    axes[0].set_ylim(top - 0.8, -0.8)
    axes[0].set_yticks([place for place, _ in labels], [label for _, label in labels])
    return figure


@styled
def confusions(matrices: Sequence[tuple[str, Confusion]], columns: int, size: float) -> Figure:
    """Draw confusion matrices, cells tinted by their share of the row.

    Args:
        matrices: A title and the counts each, row by row.
        columns: Panels in a row.
        size: Side of a panel, inches.
    """
    rows = -(-len(matrices) // columns)
    figure = Figure(figsize=(columns * size, rows * (size * 0.74 + 0.3)), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axis in axes.ravel()[len(matrices) :]:
        axis.axis("off")
    for (title, cells), axis in zip(matrices, axes.ravel(), strict=False):
        for row, (right, counts) in enumerate(((0, (cells.tp, cells.fn)), (1, (cells.fp, cells.tn)))):
            for column, count in enumerate(counts):
                share = count / max(sum(counts), 1)
                tint = BLUE if column == right else RED
                box = Rectangle((column, row), 1, 1, facecolor=tint, alpha=0.08 + 0.42 * share, edgecolor="none")
                axis.add_patch(box)
                for text, height, bold, points in (
                    (f"{count:,}", 0.45, "bold", min(size * 6.2, 14)),
                    (_percent(share), 0.75, "normal", min(size * 4.3, 9)),
                ):
                    axis.text(column + 0.5, row + height, text, weight=bold, fontsize=points, ha="center", va="center")
        axis.set_title(title, fontsize=8)
        axis.set(xlim=(0, 2), ylim=(2, 0), aspect="auto")
        axis.set_xticks([0.5, 1.5], ["called covid", "called non"])
        axis.set_yticks([0.5, 1.5], ["covid", "non"])
        axis.tick_params(length=0, labelsize=8)
        axis.grid(visible=False)
        axis.spines[:].set_visible(False)
        axis.axhline(1, color=PAGE, linewidth=2)
        axis.axvline(1, color=PAGE, linewidth=2)
    return figure


@styled
def roc_of_nets(runs: Sequence[MeasuredRun], settings: EvaluateSettings, marks: Sequence[Point]) -> Figure:
    """Draw the nets' ROC curves with 95 % bands: the whole, and the part of few false positives, where nets are used.

    Args:
        runs: One per net, under one recipe.
        settings: Number and seed of the bootstrap samples.
        marks: Published points.
    """
    figure = Figure(figsize=(WIDTH, 3.9), layout="constrained")
    whole, corner = figure.subplots(1, 2)
    bootstrap = Bootstrap.of(runs[0].scores, settings)  # of the same images, whatever the net
    for run in runs:
        band = roc_band(run.score, bootstrap)
        false_positive, true_positive, _ = roc_curve(run.positive, run.score)
        colour, result = NET_COLOURS[run.model], run.result
        for axis in (whole, corner):
            axis.fill_between(
                band["false_positive_rate"], band["low"], band["high"], color=colour, alpha=0.16, linewidth=0
            )
            label = f"{run.net}: AUC {spread(result.auc)}"
            axis.plot(false_positive, true_positive, color=colour, linewidth=1.5, label=label)
            axis.plot(1 - result.specificity.value, result.sensitivity.value, "o", color=colour, markersize=5)
    for mark, shape in zip(marks, cycle(SHAPES), strict=False):
        place = 1 - mark.specificity, mark.sensitivity
        for axis in (whole, corner):
            axis.plot(*place, shape, color=INK, markeredgecolor=PAGE, markersize=6, zorder=5, label=mark.name)
    whole.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle="--")
    whole.set(title="The whole curve", xlim=(-0.01, 1), ylim=(0, 1.01))
    whole.legend(loc="lower right", fontsize=8)
    bottom = 0.7 if min(run.result.auc.value for run in runs) > 0.95 else 0
    corner.set(title="At few false positives", xlim=(-0.002, 0.2), ylim=(bottom, 1.005), xticks=np.arange(5) / 20)
    for axis in (whole, corner):
        axis.set(xlabel="1 - specificity", ylabel="sensitivity")
    return figure


@styled
def roc_of_recipes(recipes: Mapping[str, Sequence[ShownRun]]) -> Figure:
    """Draw a panel per recipe with every net's ROC curve.

    Args:
        recipes: By title, the recipe's runs.
    """
    rows = -(-len(recipes) // 3)
    figure = Figure(figsize=(WIDTH, 0.4 + rows * WIDTH / 3), layout="constrained")
    axes = figure.subplots(rows, 3, sharey=True, squeeze=False)
    panels = axes.ravel()
    for axis in panels[len(recipes) :]:
        axis.axis("off")
    for axis, (title, runs) in zip(panels, recipes.items(), strict=False):
        for run in runs:
            positive = run.positive
            false_positive, true_positive, _ = roc_curve(positive, run.score)
            label = f"{run.net} {run.result.auc.value:.3f}"
            axis.plot(false_positive, true_positive, color=NET_COLOURS[run.model], linewidth=1.3, label=label)
        axis.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle="--")
        axis.set(
            title=stacked(title),
            xlim=(-0.01, 1),
            ylim=(0, 1.01),
            xlabel="1 - specificity",
            xticks=[0, 0.5, 1],
        )
        axis.legend(loc="lower right", fontsize=7.5, title="AUC", title_fontsize=7.5)
    for axis in axes[:, 0]:
        axis.set_ylabel("sensitivity")
    return figure


@styled
def histograms(runs: Sequence[MeasuredRun]) -> Figure:
    """Draw score histograms in the paper's three groups: a column per run, a row per group, the cut-off dashed.

    The axis of shares is drawn by its square root, so that few images among thousands can be seen.
    """
    figure = Figure(figsize=(0.65 + 2.85 * min(len(runs), 3), 3.7), layout="constrained")
    axes = figure.subplots(len(GROUP_COLOURS), len(runs), sharex=True, sharey=True, squeeze=False)
    for column, run in enumerate(runs):
        table = histogram(run.scores["group"], run.score)
        for axis, (group, colour) in zip(axes[:, column], GROUP_COLOURS.items(), strict=True):
            bars = table[table["group"] == group]
            axis.stairs(bars["share"], [*bars["low"], 1], fill=True, color=colour)
            axis.axvline(run.cut_off, color=INK, linewidth=1, linestyle=(0, (3, 2)))
            own = run.score[run.scores["group"] == group]
            called = f"{(own >= run.cut_off).sum():,} of {len(own):,} called covid"
            axis.text(0.99, 0.97, called, ha="right", va="top", fontsize=7.5, transform=axis.transAxes)
            axis.set_yscale("function", functions=(_root, np.square))
            axis.set(xlim=(0, 1), ylim=(0, 2))  # room for the text above a full bar
            axis.set_xticks([0, run.cut_off, 1], ["0", f"{run.cut_off:g}", "1"])
            axis.set_yticks(*PERCENT)
            axis.grid(axis="x", visible=False)
        axes[0, column].set_title(run.net)
        axes[-1, column].set_xlabel("P(covid)")
    for axis, group in zip(axes[:, 0], GROUP_COLOURS, strict=True):
        axis.set_ylabel(group, weight="bold")
    return figure


@styled
def training(recipes: Mapping[str, Sequence[ShownRun]]) -> Figure:
    """Draw loss, and accuracy and AUC on the test images, over epochs: a column per recipe, a colour per net.

    The line is the median over heads, the area reaches over all of them, the dashed line is what calling every image
    non-COVID scores.

    Args:
        recipes: By title, the recipe's runs.
    """
    figure = Figure(figsize=(WIDTH, 5.6), layout="constrained")
    columns = max(len(recipes), 3)
    axes = figure.subplots(3, columns, sharex="col", sharey="row", squeeze=False)
    for axis in axes[:, len(recipes) :].ravel():
        axis.axis("off")
    nets = {}
    for column, (title, runs) in enumerate(recipes.items()):
        for run in runs:
            colour = NET_COLOURS[run.model]
            by_epoch = run.log.groupby("epoch")
            for axis, measure in zip(axes[:, column], ("loss", "test_accuracy", "test_auc"), strict=True):
                over_heads = by_epoch[measure].agg(["median", "min", "max"])
                epochs = over_heads.index
                axis.fill_between(epochs, over_heads["min"], over_heads["max"], color=colour, alpha=0.2, linewidth=0)
                (nets[run.net],) = axis.plot(epochs, over_heads["median"], color=colour, linewidth=1.3)
        counts = runs[0].result.n_test
        majority = counts.non / (counts.covid + counts.non)
        axes[1, column].axhline(majority, color=INK, linewidth=0.9, linestyle=(0, (3, 2)))
        axes[0, column].set_xlim(0, max(run.log["epoch"].max() for run in runs))
        axes[0, column].set_title(stacked(title), fontsize=9 if columns < 5 else 7)
        axes[2, column].set_xlabel("epoch")
    axes[0, 0].set_yscale("log")
    axes[0, 0].yaxis.set_major_formatter("{x:g}")
    axes[0, 0].yaxis.set_minor_formatter("")
    axes[0, 0].set_ylabel("loss (cross-entropy)")
    axes[1, 0].set_ylabel("accuracy, test images")
    axes[2, 0].set_ylabel("AUC, test images")
    figure.legend(nets.values(), nets.keys(), loc="outside upper left", ncols=len(nets), fontsize=8)
    return figure


@styled
def uncertainty(runs: Sequence[tuple[str, RunSources]]) -> Figure:
    """Draw each headline of each run with its intervals: over patients, over splits, over seeds, over runs.

    Args:
        runs: A title and the sources each, row by row.
    """
    figure = Figure(figsize=(WIDTH, 1.16 * len(runs) + 1.9), layout="constrained")
    axes = figure.subplots(2, len(HEADLINES) // 2, sharey=True).flat
    varied = {what for _, run in runs for what in run.varied}
    sources = [(what, colour) for what, colour in SOURCE_COLOURS.items() if what in varied]
    for axis, (name, title) in zip(axes, HEADLINE_TITLES.items(), strict=True):
        for row, (_, run) in enumerate(runs):
            own: Sources = getattr(run, name)
            for place, (what, colour) in enumerate(sources):
                source: Source | None = getattr(own, what)
                if source:
                    height = row + 0.2 * (place - (len(sources) - 1) / 2)
                    axis.hlines(height, source.low, source.high, color=colour, linewidth=3)
            axis.plot(own.value, row, "|", color=INK, markersize=17, markeredgewidth=1.2)
        axis.set_title(title)
        axis.tick_params(left=False)
        axis.spines["left"].set_visible(False)
        axis.grid(axis="y", visible=False)
    axes[0].set_yticks(range(len(runs)), [title for title, _ in runs])
    axes[0].set_ylim(len(runs) - 0.45, -0.55)
    handles = [Line2D([], [], color=colour, linewidth=3, label=f"other {what}") for what, colour in sources]
    handles.append(Line2D([], [], color=INK, marker="|", linestyle="", markersize=11, label="the head that is shown"))
    figure.legend(handles=handles, loc="outside upper left", ncols=5, fontsize=8)
    return figure


@styled
def published(numbers: Sequence[Beside]) -> Figure:
    """Draw published values as diamonds on our values with their 95 % intervals, a row per number.

    Args:
        numbers: Rates and areas.
    """
    figure = Figure(figsize=(WIDTH, 0.3 * len(numbers) + 0.8), layout="constrained")
    axis = figure.subplots()
    for place, number in enumerate(numbers):
        dot(axis, number.ours, place, BLUE)
        colour = FAINT if not number.same_test_counts else GREEN if number.inside else RED
        axis.plot(number.published, place, "D", color=colour, markersize=6, markeredgecolor=PAGE, zorder=4)
    axis.set_yticks(range(len(numbers)), [published_label(number) for number in numbers])
    axis.set(ylim=(len(numbers) - 0.4, -0.6), xlabel="value")
    axis.tick_params(left=False)
    axis.spines["left"].set_visible(False)
    handles = [
        Line2D([], [], marker="o", color=BLUE, label="ours, 95 % interval"),
        Line2D([], [], marker="D", color=GREEN, linestyle="", label="published, inside our interval"),
        Line2D([], [], marker="D", color=RED, linestyle="", label="published, outside"),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=3, fontsize=8)
    return figure


def published_label(number: Beside) -> str:
    """Return a published number's name with the run of ours that it is set beside."""
    return f"{number.name} ({title_of(number.model)}, {title_of_recipe(number.recipe)})"


def stacked(title: str) -> str:
    """Return a recipe's title on as many lines as a narrow panel needs."""
    return textwrap.fill(title, 20)


def _root(share: Any) -> Any:
    return np.sqrt(np.maximum(share, 0))


def _percent(share: float) -> str:
    """Return a share as text that says 0 % and 100 % only where it is exact."""
    return f"{share:.0%}".replace("%", " %") if share in (0, 1) else f"{100 * share:.1f} %"

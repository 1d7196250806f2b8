"""The section on each test set of other people's images: its matrix, its ROC curve and its scores.

The results hold the scores of a test set counted in the bins of the reliability curve, by class. That is enough for a
histogram, and for the exact points of the ROC curve at the bounds of the bins.
"""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from deepcovid.audits.external import External, ExternalRun
from deepcovid.drawing.blocks import NOT_RUN, Block, Section, drawn
from deepcovid.drawing.marks import BLUE, NET_COLOURS, RED
from deepcovid.drawing.steps import Sourced
from deepcovid.drawing.svg import FAINT, INK, WIDTH, styled
from deepcovid.drawing.tables import spread
from deepcovid.drawing.titles import title_of_recipe
from deepcovid.nets.zoo import title_of
from deepcovid.report import figures
from deepcovid.report.contents import Contents

TITLE = "On other people's images"


def external_of(contents: Contents) -> list[Sourced[External]]:
    """Return the tests on other people's images."""
    return [Sourced(part.value, part.step) for part in contents.audits.values() if isinstance(part.value, External)]


def test_sets(contents: Contents) -> Section:
    """For each test set, what its images are called, and how high they score."""
    parts = external_of(contents)
    if not parts:
        return Section("test-sets", TITLE, notes=(NOT_RUN.format("test on other people's images"),))
    return Section("test-sets", TITLE, blocks=tuple(block for part in parts for block in _blocks(part)))


def _blocks(part: Sourced[External]) -> tuple[Block, ...]:
    own, told, steps = part.value, part.value.told, (part.step,)
    heads = f"heads of {own.heads} under the recipe “{title_of_recipe(own.recipe)}”"
    matrices = [(title_of(model), one.run.confusion) for model, one in told.items()]
    columns = min(len(matrices), 4)
    alt = f"Confusion matrices on {own.images}. " + "; ".join(
        f"{title}: {cells.tp} of {cells.tp + cells.fn} covid and {cells.fp} of {cells.fp + cells.tn} non called covid"
        for title, cells in matrices
    )
    areas = "; ".join(f"{title_of(model)}: AUC {one.run.auc.value:.3f}" for model, one in told.items())
    drawing = figures.confusions(matrices, columns, min(2.6, WIDTH / columns))
    return (
        drawn(drawing, f"confusion-{own.images}", alt, f"The test set {own.images}: what {heads} call it.", steps),
        drawn(
            roc(told),
            f"roc-{own.images}",
            f"ROC curves on {own.images}. {areas}",
            f"ROC curves on {own.images}, of {heads}. The dots are at the bounds of the histogram's bars, joined by "
            "straight lines; the crosses are at the cut-off. The AUC is that of all scores.",
            steps,
        ),
        drawn(
            histogram(told),
            f"histogram-{own.images}",
            f"Histograms of P(covid) on {own.images}. {alt}",
            f"Scores on {own.images}, of {heads}; the cut-off is dashed. Shares are of the images of a class.",
            steps,
        ),
    )


def binned(own: ExternalRun) -> pd.DataFrame:
    """Return how many images of each class have their score in each bin: low, high, covid, non; lowest first."""
    rows = []
    for one in own.calibration.bins.values():
        covid = round(one.observed.value * one.images)
        rows.append((one.low, one.high, covid, one.images - covid))
    return pd.DataFrame(rows, columns=["low", "high", "covid", "non"])


@styled
def roc(told: Mapping[str, ExternalRun]) -> Figure:
    """Draw the ROC curve of each net through the bounds of the bins."""
    figure = Figure(figsize=(WIDTH / 2, 3.9), layout="constrained")
    axis = figure.subplots()
    for model, own in told.items():
        shares = binned(own)[["covid", "non"]].iloc[::-1].cumsum() / (own.run.n_test.covid, own.run.n_test.non)
        points = pd.concat([pd.DataFrame({"covid": [0.0], "non": [0.0]}), shares])
        label = f"{title_of(model)}: AUC {spread(own.run.auc)}"
        colour = NET_COLOURS[model]
        axis.plot(points["non"], points["covid"], "o-", color=colour, markersize=3, linewidth=1.3, label=label)
        axis.plot(1 - own.run.specificity.value, own.run.sensitivity.value, "x", color=colour, markersize=7)
    axis.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle="--")
    axis.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel="1 - specificity", ylabel="sensitivity")
    figure.legend(loc="outside upper left", fontsize=7.5)
    return figure


@styled
def histogram(told: Mapping[str, ExternalRun]) -> Figure:
    """Draw the shares of each class over the bins: a column a net, a row a class, the cut-off dashed."""
    figure = Figure(figsize=(WIDTH, 2.8), layout="constrained")
    axes = figure.subplots(2, len(told), sharex=True, sharey=True, squeeze=False)
    for column, (model, own) in enumerate(told.items()):
        bins = binned(own)
        for axis, (name, colour, count) in zip(
            axes[:, column], (("covid", RED, own.run.n_test.covid), ("non", BLUE, own.run.n_test.non)), strict=True
        ):
            axis.bar(bins["low"], bins[name] / count, bins["high"] - bins["low"], align="edge", color=colour)
            axis.axvline(own.run.cut_off, color=INK, linewidth=1, linestyle=(0, (3, 2)))
            axis.set(xlim=(0, 1), ylim=(0, 1))
            axis.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
            axis.grid(axis="x", visible=False)
        axes[0, column].set_title(title_of(model))
        axes[-1, column].set_xlabel("P(covid)")
    for axis, name in zip(axes[:, 0], ("covid", "non"), strict=True):
        axis.set_ylabel(name, weight="bold")
    return figure

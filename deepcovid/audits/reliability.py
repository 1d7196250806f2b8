"""How often images with a score are COVID: drawn of a data set's own test images and of other people's."""

import pandas as pd
from matplotlib.figure import Figure

from deepcovid.drawing.blocks import Block, drawn
from deepcovid.drawing.marks import NET_COLOURS
from deepcovid.drawing.steps import Step
from deepcovid.drawing.svg import FAINT, WIDTH, styled
from deepcovid.drawing.tables import Table, spread
from deepcovid.drawing.titles import title_of_recipe
from deepcovid.nets.zoo import title_of
from deepcovid.statistics.calibration import Calibration

CALIBRATED = ("Brier score", "skill against the prevalence", "expected calibration error")
Curves = dict[str, dict[str, Calibration]]  # by data set of the images, and net


def block(curves: Curves, recipe: str, steps: tuple[Step, ...]) -> Block:
    """Return a figure with a panel per data set, and a table of the nets on the first, which are its own images."""
    caption = (
        f"Reliability under the recipe “{title_of_recipe(recipe)}”: how often images with a score are COVID. On "
        "the dashed line a score is the share that it claims. Bars are Wilson's 95 % intervals."
    )
    alt = "Reliability curves of " + ", ".join(curves)
    images, nets = next(iter(curves.items()))
    rows = [(title_of(model), images, *calibrated(own)) for model, own in nets.items()]
    table = Table(("net", "images", *CALIBRATED), rows, names=2)
    return drawn(figure(curves), "audit-reliability", alt, caption, steps, table)


def calibrated(own: Calibration) -> tuple[str, ...]:
    """Return the cells under CALIBRATED."""
    return spread(own.brier), f"{own.brier_skill:+.3f}", spread(own.ece)


@styled
def figure(curves: Curves) -> Figure:
    """Draw reliability curves: the share of covid among images by their score, a panel per data set."""
    columns = max(len(curves), 2)
    drawing = Figure(figsize=(min(WIDTH, 3.4 * columns), 3.6), layout="constrained")
    panels = drawing.subplots(1, columns, sharey=True, squeeze=False)[0]
    for axis in panels[len(curves) :]:
        axis.axis("off")
    for axis, (title, by_model) in zip(panels, curves.items(), strict=False):
        for model, own in by_model.items():
            bins = own.bins.values()
            colour, x = NET_COLOURS[model], [part.mean_score for part in bins]
            low, high = [part.observed.low for part in bins], [part.observed.high for part in bins]
            axis.vlines(x, low, high, color=colour, alpha=0.35)
            observed = [part.observed.value for part in bins]
            axis.plot(x, observed, "o-", color=colour, markersize=3.5, linewidth=1.2, label=title_of(model))
        axis.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle="--")
        axis.set(title=title, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="P(covid), mean of the bin")
    panels[0].set_ylabel("share of covid")
    handles, names = panels[0].get_legend_handles_labels()
    drawing.legend(handles, names, loc="outside lower center", ncols=len(names), fontsize=8)
    return drawing


def plot(curves: Curves) -> pd.DataFrame:
    """Return a row per bin of every curve, for the interactive plot."""
    rows = [
        {
            "images": images,
            "model": model,
            "images_in_bin": part.images,
            "mean_score": part.mean_score,
            "observed": part.observed.value,
            "observed_low": part.observed.low,
            "observed_high": part.observed.high,
        }
        for images, nets in curves.items()
        for model, own in nets.items()
        for part in own.bins.values()
    ]
    return pd.DataFrame(rows)

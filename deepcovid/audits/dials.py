"""The audits meet their controls: phantoms whose truth is set by two dials, and what each audit then reads.

Not an audit of a data set but a test of the audits: where the disease is turned off, nothing that is read can come from
it; where the collections process their images alike, nothing can come from that.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepcovid import catalogue
from deepcovid.audits.baselines import FIGURES, Grey, fitted_log_odds
from deepcovid.audits.collection import collection_of_net, learned
from deepcovid.audits.external import Collections
from deepcovid.audits.hidden import left_visible
from deepcovid.audits.hiding import Square
from deepcovid.drawing.marks import BLUE, GREEN, ORANGE, PINK, dot
from deepcovid.drawing.svg import INK, WIDTH, styled
from deepcovid.heads.scoring import median_head, score
from deepcovid.schema import Strict
from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.settings.recipes import Recipe
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.estimate import Estimate, Number
from deepcovid.statistics.intervals import percentile_interval

SIMPLE = ("sharpness", "thumbnail-8")  # of baselines.FIGURES


class Images(NamedTuple):
    """Images of one setting of the dials.

    Attributes:
        table: The catalogue (images), with its split.
        grey: (images, side, side), 0..255.
        features: (images, features), of the net.
    """

    table: pd.DataFrame
    grey: Grey
    features: NDArray[np.float32]


class Simple(Strict):
    """The AUCs of a logistic regression on a few numbers of the image, inside and outside."""

    inside: Estimate
    outside: Estimate


class Cell(Strict):
    """What is read at one setting of the dials. Intervals are bootstraps over patients, of the median head.

    Attributes:
        lesion: How much of the lung findings fill; 0 is no disease.
        shortcut: How differently the collections process their images; 0 is alike.
        inside: AUC on test images of the same two collections as in training.
        outside: AUC on other patients, all of collection A.
        collection: AUC with which the same scores tell images without COVID-19 of collection A from those of B.
        hidden: AUC inside of heads that are trained and tested with the middle hidden.
        shuffled: AUC inside of heads that are trained and tested on images with their pixels shuffled.
        expected: The AUC outside that this makes one expect: inside - shuffled + 0.5 (Ong Ly et al. 2024).
        without_covid: AUC inside of heads that learned other images of collection A in place of COVID-19.
        simple: What a few numbers of the image reach, under their name.
        within: AUC of heads that are trained and tested on the other patients, all of collection A, cross-validated;
            None where there are too few.
        lesions_visible: Share of the lesions' area left to be seen with the middle hidden; None where there are none.
    """

    lesion: float
    shortcut: float
    inside: Estimate
    outside: Estimate
    collection: Estimate
    hidden: Estimate
    shuffled: Estimate
    expected: Estimate
    without_covid: Estimate
    simple: dict[str, Simple]
    within: Estimate | None = None
    lesions_visible: Number | None = None


class Dials(Strict):
    """results/<data set>/dials.json: a cell per setting of the dials, by `shortcut-<value>/lesion-<value>`.

    Attributes:
        model: The net, with random weights.
        recipe: Recipe of its heads.
        hidden_share: Side of the hidden square, share of the image's.
        cells: What was read at each setting, under the setting.
    """

    model: str
    recipe: str
    hidden_share: float
    cells: dict[str, Cell]


def cell(
    own: Images,
    other: Images,
    hidden: Mapping[Square, NDArray[np.float32]],
    lesions: NDArray[np.bool_],
    recipe: Recipe,
    seeds: list[int],
    settings: EvaluateSettings,
    seed: int,
    *,
    lesion: float,
    shortcut: float,
) -> Cell:
    """Return what is read at one setting of the dials.

    Args:
        own: Images of both collections, to train and to test on.
        other: Test images of other patients, all of collection A.
        hidden: Features (images, features) of `own` with a square hidden, then with their pixels shuffled, by square.
        lesions: (lesions, side, side), masks of the COVID test images; there may be none.
        recipe: Recipe of the heads.
        seeds: A head each.
        settings: Samples and seed of the bootstraps.
        seed: Seed of the folds of a cross-validation.
        lesion, shortcut: The setting.
    """
    from deepcovid.heads.sweep import score_each, train_recipes  # imports torch

    test = own.table[catalogue.in_test(own.table)]
    within, beyond = (Bootstrap.of(rows, settings) for rows in (test, other.table))
    (heads,) = train_recipes(own.features, own.table, [recipe], seeds).values()
    weight, bias = heads.weight, heads.bias
    everywhere = [score(part, weight, bias) for part in (own.features[test.index], other.features)]
    shown = median_head(everywhere[0], within.positive)
    inside, outside = (part[:, shown] for part in everywhere)
    blind = score_each([(part, own.table) for part in hidden.values()], recipe, seeds)
    middle, shuffled = (part[:, median_head(part, within.positive)] for part in blind)
    expected = within.area(inside) - within.area(shuffled) + 0.5
    drawn = within.auc(inside) - within.auc(shuffled) + 0.5
    without = collection_of_net(
        (own.table, own.features),
        (other.table, other.features),
        learned(other.table, own.table).rows,
        recipe,
        seeds,
        settings,
        seed,
    )
    simple = {}
    for name in SIMPLE:
        numbers = [FIGURES[name][1](part.grey) for part in (own, other)]
        fitted = fitted_log_odds(numbers[0], own.table)
        simple[name] = Simple(
            inside=within.auc_estimate(fitted(numbers[0][test.index])),
            outside=beyond.auc_estimate(fitted(numbers[1])),
        )
    seen = left_visible(lesions, next(iter(hidden))) if lesions.any() else None
    return Cell(
        lesion=lesion,
        shortcut=shortcut,
        inside=within.auc_estimate(inside),
        outside=beyond.auc_estimate(outside),
        collection=Collections(other.table, test, settings).told_apart(outside, inside),
        hidden=within.auc_estimate(middle),
        shuffled=within.auc_estimate(shuffled),
        expected=Estimate.of(expected, percentile_interval(drawn)),
        without_covid=without.collection.auc,
        within=without.within,
        lesions_visible=seen,
        simple=simple,
    )


READINGS: dict[str, tuple[str, Callable[[Cell], Estimate | None]]] = {
    "the heads, inside": (BLUE, lambda cell: cell.inside),
    "the heads, outside": (ORANGE, lambda cell: cell.outside),
    "the heads, collection": (PINK, lambda cell: cell.collection),
    "the middle hidden, inside": (INK, lambda cell: cell.hidden),
    "trained without COVID-19": (PINK, lambda cell: cell.without_covid),
    "trained and tested in A": (BLUE, lambda cell: cell.within),
    "pixels shuffled, inside": (INK, lambda cell: cell.shuffled),
    "outside, as shuffling says": (ORANGE, lambda cell: cell.expected),
    "sharpness, inside": (GREEN, lambda cell: cell.simple["sharpness"].inside),
    "sharpness, outside": (ORANGE, lambda cell: cell.simple["sharpness"].outside),
    "8 x 8 thumbnail, inside": (GREEN, lambda cell: cell.simple["thumbnail-8"].inside),
    "8 x 8 thumbnail, outside": (ORANGE, lambda cell: cell.simple["thumbnail-8"].outside),
}


@styled
def figure(found: Dials) -> Figure:
    """Draw a panel per reading, a row per setting of the shortcut, and in it a dot per setting of the lesions."""
    lesions = sorted({cell.lesion for cell in found.cells.values()})
    shortcuts = sorted({cell.shortcut for cell in found.cells.values()})
    drawing = Figure(figsize=(WIDTH, 7.6), layout="constrained")
    read = [area for _, reading in READINGS.values() for own in found.cells.values() if (area := reading(own))]
    panels = drawing.subplots(3, 4, sharex=True, sharey=True).ravel()
    for axis, (title, (colour, reading)) in zip(panels, READINGS.items(), strict=True):
        for row, shortcut in enumerate(shortcuts):
            for place, lesion in enumerate(lesions):
                own = found.cells[key(shortcut, lesion)]
                height = row + 0.28 * (place - (len(lesions) - 1) / 2)
                if area := reading(own):
                    dot(axis, area, height, colour, hollow=lesion == 0)
                # Beside the panel, so that no interval runs under it.
                axis.text(1.02, height, f"{lesion:g}", fontsize=6.5, va="center", transform=axis.get_yaxis_transform())
        axis.axvline(0.5, color=INK, linewidth=0.9, linestyle=(0, (3, 2)))
        axis.set_title(title, fontsize=8.5)
        axis.set(
            xlim=(min(area.low for area in read) - 0.02, max(area.high for area in read) + 0.02),
            ylim=(len(shortcuts) - 0.4, -0.6),
        )
        axis.set_xticks([0.5, 0.75, 1.0])
        axis.set_yticks(range(len(shortcuts)), [f"shortcut {shortcut:g}" for shortcut in shortcuts])
        axis.tick_params(left=False)
        axis.spines["left"].set_visible(False)
    told = "AUC, 95 % interval; at the right the setting of the lesions, hollow where there is no disease"
    drawing.supxlabel(told, fontsize=8)
    return drawing


def key(shortcut: float, lesion: float) -> str:
    """Return the name of a cell."""
    return f"shortcut-{shortcut:g}/lesion-{lesion:g}"

"""What each rung reaches over its seeds, and how it differs from the rung below."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import permutation_test

from deepcovid.heads.scoring import Scores
from deepcovid.ladder.rungs import rungs, subsets
from deepcovid.schema import Strict
from deepcovid.settings import Detection, LadderSettings, Recipe
from deepcovid.statistics.estimate import Estimate, Number, PairedTest
from deepcovid.statistics.intervals import mean_interval, wilson_interval
from deepcovid.statistics.rates import Mask, rates

MEASURES = ("auc", "sensitivity", "specificity", "predicted_positive", "balanced_accuracy", "collapsed")
RESAMPLES = 9999  # sign flips of the paired test; with 13 seeds or fewer, all of them


class Below(Strict):
    """How a rung differs from the one below, over the seeds that both have; an aside is compared with the lowest rung.

    The interval is Student's, over seeds; p is that of a paired test by sign flips, so that it is at least 2 / 2^seeds.
    """

    auc: PairedTest
    balanced_accuracy: PairedTest


class RungResult(Strict):
    """What the heads of one rung reach: means over seeds with Student's intervals.

    A seed is of the initial weights. On the whole net, a seed's runs are averaged first: the interval takes the order
    of the images and the crops as they are.

    Attributes:
        direction: up, down or aside.
        step: Its number on the path, from 0.
        rung: Its label.
        flipped: Switches that differ from the rung below.
        net: `frozen` for heads on frozen features, `replayed` for the whole net.
        epochs: How long it was trained.
        heads: How many there are; one a seed and run.
        seeds: How many seeds.
        auc: Area under the ROC curve.
        sensitivity: At the recipe's cut-off.
        specificity: At the recipe's cut-off.
        predicted_positive: Test images that are called covid.
        balanced_accuracy: Mean of sensitivity and specificity.
        collapsed: Share of heads that call every test image alike; the interval is Wilson's, over heads.
        detecting_share: Share of heads that detect, as the ladder's `detection` says.
        below: None for the first rung of a path.
    """

    direction: str
    step: int
    rung: str
    flipped: list[str]
    net: str
    epochs: int
    heads: int
    seeds: int
    auc: Estimate
    sensitivity: Estimate
    specificity: Estimate
    predicted_positive: Estimate
    balanced_accuracy: Estimate
    collapsed: Estimate
    detecting_share: Number
    below: Below | None = None

    @property
    def collapsed_heads(self) -> int:
        """How many heads call every test image alike."""
        return round(self.collapsed.value * self.heads)

    @property
    def detecting_heads(self) -> int:
        """How many heads detect."""
        return round(self.detecting_share * self.heads)


class FrozenFailure(Strict):
    """How many heads the lowest rung on frozen features has, and how many of them call every image alike or detect."""

    heads: int
    collapsed: int
    detecting: int


class NetLadder(Strict):
    """The ladder of one net.

    Attributes:
        rungs: By direction and step, such as up-0, in the order of the paths.
        switches: Those whose combinations were tried on frozen features.
        combinations: How many there are.
        detecting: How many of them detect in every seed.
        smallest: The smallest of these, as the switches that they flip.
        frozen_failure: The combination that flips none.
        detection: What a head must reach to detect.
    """

    rungs: dict[str, RungResult]
    switches: list[str]
    combinations: int
    detecting: int
    smallest: list[list[str]]
    frozen_failure: FrozenFailure
    detection: Detection


class Ladders(Strict):
    """results/<data set>/ladder.json: the ladder of each net."""

    nets: dict[str, NetLadder]


def measured(
    settings: LadderSettings, recipes: dict[str, Recipe], scores: Scores, positive: Mask, replay_epochs: int
) -> NetLadder:
    """Return the ladder of one net.

    Args:
        settings: The ladder.
        recipes: By name.
        scores: Of every frozen recipe of the ladder, and of those that were run on the whole net.
        positive: (images), true for covid.
        replay_epochs: Where runs on the whole net ended, at the latest.
    """
    table: dict[str, RungResult] = {}
    lowest = below = None
    for rung in rungs(settings, recipes, scores):
        own = of_heads(scores, rung.recipe, positive, settings.detection)
        lowest = own if lowest is None else lowest
        below = lowest if rung.direction == "aside" else below if rung.flipped else None
        table[f"{rung.direction}-{rung.step}"] = RungResult(
            direction=rung.direction,
            step=rung.step,
            rung=rung.label(recipes),
            flipped=list(rung.flipped),
            net="replayed" if rung.recipe.whole_net else "frozen",
            epochs=min(rung.recipe.epochs, replay_epochs) if rung.recipe.whole_net else rung.recipe.epochs,
            heads=len(own),
            seeds=int(own["seed"].nunique()),
            **over_seeds(own, len(positive)),
            detecting_share=float(own["detects"].mean()),
            below=None if below is None else paired(own, below),
        )
        below = own
    tried = {
        subset: of_heads(scores, recipe, positive, settings.detection)
        for subset, recipe in subsets(settings, recipes).items()
    }
    detecting = [subset for subset, found in tried.items() if found["detects"].all()]
    return NetLadder(
        rungs=table,
        switches=list(list(tried)[-1]),
        combinations=len(tried),
        detecting=len(detecting),
        smallest=[list(subset) for subset in detecting if len(subset) == len(detecting[0])],
        frozen_failure=FrozenFailure(
            heads=len(tried[()]),
            collapsed=int(tried[()]["collapsed"].sum()),
            detecting=int(tried[()]["detects"].sum()),
        ),
        detection=settings.detection,
    )


def of_heads(scores: Scores, recipe: Recipe, positive: Mask, detection: Detection) -> pd.DataFrame:
    """Return a row per head of a recipe: its seed, MEASURES and whether it detects."""
    found = []
    for name, column in scores[recipe.without_cut_off()].items():
        own = rates(positive, column.to_numpy(), recipe.cut_off)
        detects = int(own.sensitivity >= detection.sensitivity and own.specificity >= detection.specificity)
        measures = {measure: getattr(own, measure) for measure in MEASURES}
        found.append({"seed": int(str(name).split("_")[1])} | measures | {"detects": detects})
    return pd.DataFrame(found)


def over_seeds(heads: pd.DataFrame, images: int) -> dict[str, Estimate]:
    """Return MEASURES over seeds, as RungResult has them, of `images` test images."""
    by_seed = heads.groupby("seed").mean()
    found = {}
    for measure in MEASURES:
        largest = images if measure == "predicted_positive" else 1.0
        interval = mean_interval(by_seed[measure].tolist(), largest=largest)
        if measure == "collapsed":
            interval = wilson_interval(int(heads["collapsed"].sum()), len(heads))
        found[measure] = Estimate.of(float(by_seed[measure].mean()), interval)
    return found


def paired(own: pd.DataFrame, below: pd.DataFrame) -> Below:
    """Return how a rung differs from the one below, over the seeds they share."""
    difference = (own.groupby("seed").mean() - below.groupby("seed").mean()).dropna()
    auc, balanced_accuracy = (_test(difference[measure].to_numpy()) for measure in ("auc", "balanced_accuracy"))
    return Below(auc=auc, balanced_accuracy=balanced_accuracy)


def _test(difference: NDArray[np.float64]) -> PairedTest:
    test = permutation_test(
        (difference,), np.mean, permutation_type="samples", vectorized=True, n_resamples=RESAMPLES, rng=0
    )
    interval = mean_interval(difference.tolist(), smallest=-1.0)
    return PairedTest(difference=Estimate.of(float(difference.mean()), interval), p_value=float(test.pvalue))


def rows(ladder: NetLadder, images: int) -> Iterator[dict[str, Any]]:
    """Yield the rungs of one net as rows for a plot: a row per rung and measure, every measure a share."""
    for rung in ladder.rungs.values():
        for name, own, scale in (
            ("AUC", rung.auc, 1),
            ("sensitivity", rung.sensitivity, 1),
            ("specificity", rung.specificity, 1),
            ("predicted positive", rung.predicted_positive, images),
            ("collapsed", rung.collapsed, 1),
        ):
            known = {"direction": rung.direction, "step": rung.step, "rung": rung.rung, "net": rung.net}
            values = {"mean": own.value / scale, "low": own.low / scale, "high": own.high / scale}
            yield known | {"measure": name} | values

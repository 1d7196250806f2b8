"""What each rung reaches over its seeds, and how it differs from the rung below."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import permutation_test

from deepcovid.heads.sweep import Scores
from deepcovid.ladder.rungs import rungs, subsets
from deepcovid.settings import Detection, LadderSettings, Recipe
from deepcovid.statistics.intervals import mean_interval, wilson_interval
from deepcovid.statistics.rates import Mask, rates, rounded

MEASURES = ("auc", "sensitivity", "specificity", "predicted_positive", "balanced_accuracy", "collapsed")
RESAMPLES = 9999  # sign flips of the paired test; with 13 seeds or fewer, all of them


def measured(
    settings: LadderSettings, recipes: dict[str, Recipe], scores: Scores, positive: Mask, replay_epochs: int
) -> dict[str, Any]:
    """Return the ladder of one net as a table of rungs, and what its combinations of switches reach.

    Args:
        settings: The ladder.
        recipes: By name.
        scores: Of every frozen recipe of the ladder, and of those that were run on the whole net.
        positive: (images), true for covid.
        replay_epochs: Where runs on the whole net ended, at the latest.

    Returns:
        rungs: Per rung means over seeds with 95 % intervals (Student's t; Wilson's for the share of collapsed heads),
            the share of heads that detect, and `below`: differences from the rung below (an aside: from the lowest),
            over the seeds they share, with interval and p-value of a paired test (sign flips: at least 2 / 2^seeds).
            A seed is of the initial weights. On the whole net, a seed's runs are averaged first: intervals there hold
            the order of the images and the crops as they are.
        switches, combinations, detecting, smallest: Which switches were combined, how many combinations, how many of
            them detect in every seed, and the smallest of these. `frozen_failure` is the combination of none.
    """
    table: list[dict[str, Any]] = []
    lowest = below = None
    for rung in rungs(settings, recipes, scores):
        own = of_heads(scores, rung.recipe, positive, settings.detection)
        lowest = own if lowest is None else lowest
        below = lowest if rung.direction == "aside" else below if rung.flipped else None
        table.append(
            {
                "direction": rung.direction,
                "step": rung.step,
                "rung": rung.label(recipes),
                "flipped": list(rung.flipped),
                "net": "replayed" if rung.recipe.whole_net else "frozen",
                "epochs": min(rung.recipe.epochs, replay_epochs) if rung.recipe.whole_net else rung.recipe.epochs,
                "heads": len(own),
                "seeds": int(own["seed"].nunique()),
                **over_seeds(own, len(positive)),
                "below": None if below is None else paired(own, below),
            }
        )
        below = own
    tried = {
        subset: of_heads(scores, recipe, positive, settings.detection)
        for subset, recipe in subsets(settings, recipes).items()
    }
    detecting = [subset for subset, found in tried.items() if found["detects"].all()]
    return rounded(
        {
            "rungs": table,
            "switches": list(list(tried)[-1]),
            "combinations": len(tried),
            "detecting": len(detecting),
            "smallest": [list(subset) for subset in detecting if len(subset) == len(detecting[0])],
            "frozen_failure": {
                "heads": len(tried[()]),
                "collapsed": int(tried[()]["collapsed"].sum()),
                "detecting": int(tried[()]["detects"].sum()),
            },
            "detection": settings.detection.model_dump(),
        }
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


def over_seeds(heads: pd.DataFrame, images: int) -> dict[str, Any]:
    """Return means over seeds with intervals, of `images` test images; runs of one seed are averaged first."""
    by_seed = heads.groupby("seed").mean()
    spread = {}
    for measure in MEASURES:
        largest = images if measure == "predicted_positive" else 1.0
        low, high = mean_interval(by_seed[measure].tolist(), largest=largest)
        spread[measure] = {"mean": float(by_seed[measure].mean()), "low": low, "high": high}
    low, high = wilson_interval(int(heads["collapsed"].sum()), len(heads))
    spread["collapsed"] |= {"low": low, "high": high}
    return spread | {"detecting_share": float(heads["detects"].mean())}


def paired(own: pd.DataFrame, below: pd.DataFrame) -> dict[str, Any]:
    """Return the mean difference of two rungs over the seeds they share, its interval, and p of a paired test."""
    difference = (own.groupby("seed").mean() - below.groupby("seed").mean()).dropna()
    return {measure: _test(difference[measure].to_numpy()) for measure in ("auc", "balanced_accuracy")}


def _test(difference: NDArray[np.float64]) -> dict[str, float]:
    low, high = mean_interval(difference.tolist(), smallest=-1.0)
    test = permutation_test(
        (difference,), np.mean, permutation_type="samples", vectorized=True, n_resamples=RESAMPLES, rng=0
    )
    return {"difference": float(difference.mean()), "low": low, "high": high, "p_value": float(test.pvalue)}


def rows(part: dict[str, Any], images: int) -> Iterator[dict[str, Any]]:
    """Yield the rungs of one net as rows for a plot: a row per rung and measure, every measure a share."""
    names = {"auc": "AUC", "predicted_positive": "predicted positive"}
    for rung in part["rungs"]:
        for measure in MEASURES:
            if measure != "balanced_accuracy":
                scale = images if measure == "predicted_positive" else 1
                values = {key: value / scale for key, value in rung[measure].items()}
                known = {key: rung[key] for key in ("direction", "step", "rung", "net")}
                yield known | {"measure": names.get(measure, measure)} | values

"""Our runs beside what others published, and net against net on the same test images."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest

from deepcovid.errors import UserError
from deepcovid.nets.zoo import title_of
from deepcovid.settings import EvaluateSettings
from deepcovid.statistics.intervals import (
    Interval,
    patient_weights,
    percentile_interval,
    weighted_auc,
    weighted_specificity,
    wilson_interval,
)
from deepcovid.statistics.published import Group, Number
from deepcovid.statistics.rates import SENSITIVITY_WANTED, Counts, Mask, at_sensitivity, rates, rounded

# Minaee et al. 2020: SqueezeNet has the highest AUC, ResNet18 close.
HIGHEST, CLOSE, CLAIMED_UNDER = "squeezenet1_0", "resnet18", "paper"
CLAIM = f"{HIGHEST}_minus_{CLOSE}"
AT_98 = "at_sensitivity_98.specificity"


@dataclass(frozen=True)
class Run:
    """The scores of a net under a recipe.

    `scores` is (images, seeds), P(covid), a named column per seed; the first is the head whose numbers are shown.
    """

    model: str
    recipe: str
    cut_off: float
    scores: pd.DataFrame

    def called(self) -> Mask:
        """Return (images), whether the first seed's head calls an image covid."""
        return self.scores.iloc[:, 0].to_numpy() >= self.cut_off


@dataclass(frozen=True)
class Measured:
    """A run's metrics per seed, and bootstrap samples of those that are no plain rate.

    `by_seed` has a row per seed and a column per metric of published.Metric; `draws` is (samples) by metric.
    """

    run: Run
    by_seed: pd.DataFrame
    draws: Mapping[str, NDArray[np.float64]]


def measure(runs: Iterable[Run], positive: Mask, patient: pd.Series, settings: EvaluateSettings) -> list[Measured]:
    """Return what the comparisons need of each run.

    All runs share one set of bootstrap samples, which makes differences between them paired.

    Args:
        runs: Their scores are of the same images in the same order.
        positive: (images), true for covid.
        patient: (images), for the bootstrap; blank stands for a patient of its own.
        settings: Of the bootstrap.

    Raises:
        UserError: A run has no score for some image.
    """
    weights = patient_weights(positive, patient, settings.bootstrap_samples, settings.bootstrap_seed)
    results = []
    for run in runs:
        covered = int(run.scores.notna().all(axis=1).sum())
        if covered != len(positive):
            raise UserError(
                f"{run.model} under {run.recipe} has scores of {covered} images, there are {len(positive)} test "
                "images; run `dvc repro`"
            )
        first = run.scores.iloc[:, 0].to_numpy()
        draws = {
            "auc": weighted_auc(positive, first, weights),
            AT_98: weighted_specificity(positive, first, weights, SENSITIVITY_WANTED),
        }
        by_seed = pd.DataFrame([_metrics(positive, run, seed) for seed in run.scores], index=run.scores.columns)
        results.append(Measured(run, by_seed, draws))
    return results


def _metrics(positive: Mask, run: Run, seed: Hashable) -> dict[str, float]:
    score = run.scores[seed].to_numpy()
    own = rates(positive, score, run.cut_off)
    return {
        "auc": own.auc,
        "accuracy": own.accuracy,
        "sensitivity": own.sensitivity,
        "specificity": own.specificity,
        AT_98: at_sensitivity(positive, score, SENSITIVITY_WANTED).specificity,
        **{f"confusion.{cell}": count for cell, count in own.confusion},
    }


def beside_published(measured: list[Measured], groups: Mapping[str, Group], positive: Mask) -> dict[str, Any]:
    """Return each published number beside our runs that it is of.

    Args:
        measured: The runs of one data set.
        groups: The published groups for that data set.
        positive: (images), true for covid.

    Returns:
        `numbers`, a row per number and run: published, ours, the interval of ours (AUC and the specificity at
        sensitivity 98 %: bootstrap over patients; rates and counts: Wilson), the range over heads where there are
        several, the difference ours - published, and `inside`, 1 where the published value lies in our interval (under
        `over_seeds`: in the range).
        `same_test_counts` is 0 where the source's test images are certainly others; such rows are not in the sums.
        The sums: `compared` rows, those `inside`, those `of_other_test_images`, and published numbers `not_run`.
    """
    rows, not_run = [], 0
    counts = Counts(covid=int(positive.sum()), non=int((~positive).sum()))
    for name, group in groups.items():
        same = int(group.test_images.fit(counts))
        for number in group.numbers:
            found = [_beside(number, ours, counts) for ours in _meant(number, group.recipes, measured)]
            not_run += not found
            facts = {"group": name, "source": group.source, "name": number.name}
            note = "; ".join(text for text in (group.note, number.note) if text)
            rows += [facts | row | {"same_test_counts": same, "note": note} for row in found]
    fair = [row for row in rows if row["same_test_counts"]]
    sums = {
        "compared": len(fair),
        "inside": sum(row["inside"] for row in fair),
        "of_other_test_images": len(rows) - len(fair),
        "not_run": not_run,
    }
    return rounded(sums | {"numbers": rows})


@dataclass(frozen=True)
class _Ours:
    """What of ours a published number is set beside: `values` per seed, and bootstrap samples where there are any."""

    model: str
    recipe: str
    values: pd.Series
    draws: NDArray[np.float64] | None


def _meant(number: Number, recipes: list[str], measured: list[Measured]) -> list[_Ours]:
    """Return, for each recipe that was run, what a published number is of: one net, the best, or the average."""
    results = []
    for recipe in recipes:
        found = [
            _Ours(one.run.model, recipe, one.by_seed[number.metric], one.draws.get(number.metric))
            for one in measured
            if one.run.recipe == recipe and number.model in (one.run.model, "best", "average")
        ]
        if found and number.model == "best":
            found = [max(found, key=lambda ours: ours.values.iloc[0])]
        if found and number.model == "average":
            values = pd.concat([ours.values for ours in found], axis=1, join="inner").mean(axis=1)
            draws = np.mean([ours.draws for ours in found if ours.draws is not None], axis=0)
            found = [_Ours(f"average of {len(found)}", recipe, values, draws)]
        results += found
    return results


def _beside(number: Number, ours: _Ours, counts: Counts) -> dict[str, Any]:
    value = float(ours.values.iloc[0])
    low, high = _wilson(number.metric, value, counts) if ours.draws is None else percentile_interval(ours.draws)
    row = {
        "metric": number.metric,
        "published_for": number.model,
        "model": ours.model,
        "recipe": ours.recipe,
        "published": number.value,
        "ours": value,
        "low": low,
        "high": high,
    }
    if len(ours.values) > 1:
        smallest, largest = float(ours.values.min()), float(ours.values.max())
        within = int(smallest - 1e-9 <= number.value <= largest + 1e-9)
        row["over_seeds"] = {"heads": len(ours.values), "min": smallest, "max": largest, "inside": within}
    inside = low - 1e-9 <= number.value <= high + 1e-9
    return row | {"difference": value - number.value, "inside": int(inside)}


def _wilson(metric: str, value: float, counts: Counts) -> Interval:
    """Return Wilson's interval for a rate, or for a count of images out of those of its label."""
    trials = {
        "accuracy": counts.covid + counts.non,
        "sensitivity": counts.covid,
        "confusion.tp": counts.covid,
        "confusion.fn": counts.covid,
        "specificity": counts.non,
        "confusion.fp": counts.non,
        "confusion.tn": counts.non,
    }[metric]
    unit = trials if metric.startswith("confusion.") else 1
    low, high = wilson_interval(round(value * trials / unit), trials)
    return low * unit, high * unit


def between_nets(measured: list[Measured], positive: Mask) -> dict[str, Any]:
    """Return the paired differences between all nets under each recipe.

    Args:
        measured: The runs of one data set.
        positive: (images), true for covid.

    Returns:
        `pairs`, a row per recipe and pair of nets, first - second: the difference of AUC with its percentile interval
        and two-sided p-value from the bootstrap over patients; sensitivity and specificity at the recipe's cut-off
        with the images that only one net has right and McNemar's exact p-value (images, not patients, are its unit);
        the difference of AUC over the seeds that both have. p-values are not corrected for the number of pairs.
        Beside them the number of pairs `compared`, and the paper's claim: SqueezeNet - ResNet18.
    """
    by_recipe = defaultdict(list)
    for one in measured:
        by_recipe[one.run.recipe].append(one)
    together = [pair for runs in by_recipe.values() for pair in combinations(runs, 2)]
    pairs = [_pair(first, second, positive) for first, second in together]
    sums: dict[str, Any] = {"compared": len(pairs)}
    claim = difference_of_auc(pairs, CLAIMED_UNDER, HIGHEST, CLOSE)
    if claim:
        sums[CLAIM] = claim
    return rounded(sums | {"pairs": pairs})


def _pair(first: Measured, second: Measured, positive: Mask) -> dict[str, Any]:
    aucs = [float(one.by_seed["auc"].iloc[0]) for one in (first, second)]
    draws = first.draws["auc"] - second.draws["auc"]
    low, high = percentile_interval(draws)
    over_seeds = (first.by_seed["auc"] - second.by_seed["auc"]).dropna()
    right = [one.run.called() == positive for one in (first, second)]
    return {
        "recipe": first.run.recipe,
        "first": first.run.model,
        "second": second.run.model,
        "auc": {
            "first": aucs[0],
            "second": aucs[1],
            "difference": aucs[0] - aucs[1],
            "low": low,
            "high": high,
            "p_value": bootstrap_p_value(draws),
        },
        "sensitivity": _mcnemar(right[0][positive], right[1][positive]),
        "specificity": _mcnemar(right[0][~positive], right[1][~positive]),
        "auc_over_seeds": {
            "seeds": len(over_seeds),
            "mean": float(over_seeds.mean()),
            "min": float(over_seeds.min()),
            "max": float(over_seeds.max()),
        },
    }


def bootstrap_p_value(draws: NDArray[np.float64]) -> float:
    """Return the two-sided p-value of a difference being 0: twice the smaller share of samples on or beyond 0.

    Each share counts one sample more than there is, so that no p-value is 0 (Davison and Hinkley 1997, section 4.2).
    """
    beyond = 1 + min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    return min(1.0, 2 * beyond / (1 + len(draws)))


def _mcnemar(first_right: Mask, second_right: Mask) -> dict[str, Any]:
    """Return the rates of images that each net has right, and McNemar's exact test of their being equal."""
    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    apart = only_first + only_second
    return {
        "first": float(first_right.mean()),
        "second": float(second_right.mean()),
        "difference": float(first_right.mean() - second_right.mean()),
        "only_first": only_first,
        "only_second": only_second,
        "p_value": float(binomtest(only_first, apart).pvalue) if apart else 1.0,
    }


def difference_of_auc(pairs: list[dict[str, Any]], recipe: str, first: str, second: str) -> dict[str, float] | None:
    """Return the AUC of net `first` less that of `second`, with its interval and p-value; None if one was not run."""
    for pair in pairs:
        own = pair["auc"]
        if (pair["recipe"], pair["first"], pair["second"]) == (recipe, first, second):
            return {name: own[name] for name in ("difference", "low", "high", "p_value")}
        if (pair["recipe"], pair["first"], pair["second"]) == (recipe, second, first):
            return {
                "difference": -own["difference"],
                "low": -own["high"],
                "high": -own["low"],
                "p_value": own["p_value"],
            }
    return None


def claim_sentence(nets: Mapping[str, Any], dataset: str, papers_images: bool) -> str:
    """Return one sentence that answers the paper's claim: SqueezeNet has the highest AUC, ResNet18 close.

    Args:
        nets: What `between_nets` returned.
        dataset: Its name.
        papers_images: Whether the data set is the paper's; on any other, nothing follows for the claim.
    """
    pairs = [pair for pair in nets["pairs"] if pair["recipe"] == CLAIMED_UNDER]
    aucs = {pair[side]: pair["auc"][side] for pair in pairs for side in ("first", "second")}
    highest, close = title_of(HIGHEST), title_of(CLOSE)
    if CLAIM not in nets:
        return (
            f"The paper's claim that {highest} has the highest AUC, {close} close, has no answer on {dataset}: run "
            f"both nets under the recipe {CLAIMED_UNDER}."
        )
    best = max(aucs, key=lambda net: aucs[net])
    text = f"Under the recipe {CLAIMED_UNDER} on {dataset}, {title_of(best)} has the highest AUC of {len(aucs)} nets "
    text += f"({aucs[best]:.4f})"
    if papers_images:
        text += ", as the paper reports" if best == HIGHEST else f", where the paper reports {highest}"
    ahead = difference_of_auc(pairs, CLAIMED_UNDER, best, HIGHEST)
    if ahead and best != CLOSE:
        text += f"; its AUC less that of {highest} is {_in_words(ahead)}"
    claim = nets[CLAIM]
    text += f"; the AUC of {highest} less that of {close} is {_in_words(claim)}, "
    if claim["low"] <= 0 <= claim["high"]:
        text += "so these images do not show which of the two heads is better"
    else:
        text += f"so {highest if claim['low'] > 0 else close} has the better of the two heads on these images"
    return f"{text}." if papers_images else f"{text}; nothing follows for the paper's claim, which is of other images."


def _in_words(difference: Mapping[str, float]) -> str:
    interval = f"{difference['low']:+.4f} to {difference['high']:+.4f}"
    return f"{difference['difference']:+.4f} (95 % interval {interval}, p = {difference['p_value']:.2g})"

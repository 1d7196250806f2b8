"""Our runs beside what others published, and net against net on the same test images."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest

from deepcovid.schema import Strict
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.counts import Counts
from deepcovid.statistics.estimate import Estimate, Number, PairedTest
from deepcovid.statistics.intervals import (
    Interval,
    bootstrap_p_value,
    percentile_interval,
    wilson_interval,
)
from deepcovid.statistics.published import Group, PublishedNumber
from deepcovid.statistics.rates import SENSITIVITY_WANTED, Mask, at_sensitivity, rates
from deepcovid.statistics.runs import Run

# Minaee et al. 2020: SqueezeNet has the highest AUC, ResNet18 close.
HIGHEST, CLOSE, CLAIMED_UNDER = "squeezenet1_0", "resnet18", "paper"
AT_98 = "at_sensitivity_98.specificity"


class OverHeads(Strict):
    """One of our numbers over the heads of a run, and whether the published value lies in that range."""

    heads: int
    min: Number
    max: Number
    inside: bool


class Beside(Strict):
    """A published number beside a run of ours.

    Attributes:
        group: The group of reference/published.yaml.
        source: Where it was published.
        name: What the source calls it.
        metric: Which of our metrics it is of.
        published_for: The net that it was published for, or `best` or `average` over nets.
        model: Our net, or `average of ...`.
        recipe: Our recipe.
        published: The published value.
        ours: The value of the first head. The interval of an AUC and of a specificity at sensitivity 98 % is a
            bootstrap over patients; that of a rate or a count is Wilson's, over images.
        over_heads: The range over heads; None where there is one head.
        difference: ours - published.
        inside: Whether the published value lies in our interval.
        same_test_counts: False where the source's test images are certainly others.
        note: What the source's numbers leave open; blank if nothing.
    """

    group: str
    source: str
    name: str
    metric: str
    published_for: str
    model: str
    recipe: str
    published: Number
    ours: Estimate
    over_heads: OverHeads | None = None
    difference: Number
    inside: bool
    same_test_counts: bool
    note: str

    @property
    def key(self) -> str:
        """What tells this number from the others of a data set."""
        return f"{self.group}/{self.metric}/{self.published_for}/{self.recipe}"

    @property
    def counts_images(self) -> bool:
        """Whether the number is a count of images, not a rate or an area."""
        return self.metric.startswith("confusion.")


class AgainstPublished(Strict):
    """results/<data set>/published.json: published numbers beside our runs.

    Attributes:
        compared: Numbers that were measured on as many images as ours.
        inside: Those of them whose published value lies in our interval.
        of_other_test_images: Numbers that were measured on other test images.
        not_run: Published numbers whose run there is none of.
        numbers: By `Beside.key`.
    """

    compared: int
    inside: int
    of_other_test_images: int
    not_run: int
    numbers: dict[str, Beside]


class AucPair(PairedTest):
    """The AUC of two nets: the first heads' values, and first - second with a paired bootstrap over patients."""

    first: Number
    second: Number


class RatePair(Strict):
    """The share of images that two nets have right, first - second, and McNemar's exact p-value, over images.

    `only_first` and `only_second` count the images that one net alone has right.
    """

    first: Number
    second: Number
    difference: Number
    only_first: int
    only_second: int
    p_value: Number


class SeedPairs(Strict):
    """The difference of AUC, first - second, over the seeds that both nets have."""

    seeds: int
    mean: Number
    min: Number
    max: Number


class Pair(Strict):
    """Two nets under one recipe on the same test images, at the recipe's cut-off."""

    recipe: str
    first: str
    second: str
    auc: AucPair
    sensitivity: RatePair
    specificity: RatePair
    auc_over_seeds: SeedPairs

    @property
    def key(self) -> str:
        """What tells this pair from the others of a data set."""
        return f"{self.recipe}/{self.first}-{self.second}"


class NetsCompared(Strict):
    """results/<data set>/nets.json: the paired differences between all nets under each recipe.

    Attributes:
        compared: How many pairs there are. Their p-values are not corrected for that.
        claim: The paper's claim: the AUC of SqueezeNet less that of ResNet18 under the paper's recipe; None where one
            of them was not run.
        pairs: By `Pair.key`.
    """

    compared: int
    claim: PairedTest | None = None
    pairs: dict[str, Pair]


@dataclass(frozen=True)
class Measured:
    """A run's metrics per seed, and bootstrap samples of those that are no plain rate.

    `by_seed` has a row per seed and a column per metric of published.Metric; `draws` is (samples) by metric.
    """

    run: Run
    by_seed: pd.DataFrame
    draws: Mapping[str, NDArray[np.float64]]


def measure(runs: Sequence[Run], bootstrap: Bootstrap) -> list[Measured]:
    """Return what the comparisons need of each run.

    All runs share one bootstrap, which makes differences between them paired.

    Args:
        runs: Their scores are of the same test images in the same order.
        bootstrap: Of these images.
    """
    results = []
    for run in runs:
        draws = {"auc": bootstrap.auc(run.score), AT_98: bootstrap.specificity(run.score, SENSITIVITY_WANTED)}
        by_seed = pd.DataFrame([_metrics(run, seed) for seed in run.heads], index=run.heads.columns)
        results.append(Measured(run, by_seed, draws))
    return results


def _metrics(run: Run, seed: Hashable) -> dict[str, float]:
    score = run.scores[seed].to_numpy()
    own = rates(run.positive, score, run.cut_off)
    return {
        "auc": own.auc,
        "accuracy": own.accuracy,
        "sensitivity": own.sensitivity,
        "specificity": own.specificity,
        AT_98: at_sensitivity(run.positive, score, SENSITIVITY_WANTED).specificity,
        **{f"confusion.{cell}": count for cell, count in own.confusion},
    }


def beside_published(measured: Sequence[Measured], groups: Mapping[str, Group]) -> AgainstPublished:
    """Return each published number beside our runs that it is of.

    Args:
        measured: The runs of one data set.
        groups: The published groups for that data set.
    """
    rows, not_run = [], 0
    positive = measured[0].run.positive
    counts = Counts.of(positive)
    for name, group in groups.items():
        for number in group.numbers:
            meant = _meant(number, group.recipes, measured)
            not_run += not meant
            rows += [_beside(name, group, number, ours, counts) for ours in meant]
    fair = [row for row in rows if row.same_test_counts]
    return AgainstPublished(
        compared=len(fair),
        inside=sum(row.inside for row in fair),
        of_other_test_images=len(rows) - len(fair),
        not_run=not_run,
        numbers={row.key: row for row in rows},
    )


@dataclass(frozen=True)
class _Ours:
    """What of ours a published number is set beside: `values` per seed, and bootstrap samples where there are any."""

    model: str
    recipe: str
    values: pd.Series
    draws: NDArray[np.float64] | None


def _meant(number: PublishedNumber, recipes: list[str], measured: Sequence[Measured]) -> list[_Ours]:
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


def _beside(name: str, group: Group, number: PublishedNumber, ours: _Ours, counts: Counts) -> Beside:
    value, published = float(ours.values.iloc[0]), number.value
    interval = _wilson(number.metric, value, counts) if ours.draws is None else percentile_interval(ours.draws)
    return Beside(
        group=name,
        source=group.source,
        name=number.name,
        metric=number.metric,
        published_for=number.model,
        model=ours.model,
        recipe=ours.recipe,
        published=published,
        ours=Estimate.of(value, interval),
        over_heads=_over_heads(ours.values, published) if len(ours.values) > 1 else None,
        difference=value - published,
        inside=_within(published, *interval),
        same_test_counts=group.test_images.fit(counts),
        note="; ".join(text for text in (group.note, number.note) if text),
    )


def _over_heads(values: pd.Series, published: float) -> OverHeads:
    low, high = float(values.min()), float(values.max())
    return OverHeads(heads=len(values), min=low, max=high, inside=_within(published, low, high))


def _within(value: float, low: float, high: float) -> bool:
    return low - 1e-9 <= value <= high + 1e-9


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


def between_nets(measured: Iterable[Measured]) -> NetsCompared:
    """Return the paired differences between all nets under each recipe.

    Args:
        measured: The runs of one data set.
    """
    by_recipe = defaultdict(list)
    for one in measured:
        by_recipe[one.run.recipe].append(one)
    pairs = [_pair(*two) for runs in by_recipe.values() for two in combinations(runs, 2)]
    return NetsCompared(
        compared=len(pairs),
        claim=difference_of_auc(pairs, CLAIMED_UNDER, HIGHEST, CLOSE),
        pairs={pair.key: pair for pair in pairs},
    )


def _pair(first: Measured, second: Measured) -> Pair:
    aucs = [float(one.by_seed["auc"].iloc[0]) for one in (first, second)]
    draws = first.draws["auc"] - second.draws["auc"]
    over_seeds = (first.by_seed["auc"] - second.by_seed["auc"]).dropna()
    positive = first.run.positive
    right = [one.run.called() == positive for one in (first, second)]
    return Pair(
        recipe=first.run.recipe,
        first=first.run.model,
        second=second.run.model,
        auc=AucPair(
            first=aucs[0],
            second=aucs[1],
            difference=Estimate.of(aucs[0] - aucs[1], percentile_interval(draws)),
            p_value=bootstrap_p_value(draws),
        ),
        sensitivity=_mcnemar(right[0][positive], right[1][positive]),
        specificity=_mcnemar(right[0][~positive], right[1][~positive]),
        auc_over_seeds=SeedPairs(
            seeds=len(over_seeds),
            mean=float(over_seeds.mean()),
            min=float(over_seeds.min()),
            max=float(over_seeds.max()),
        ),
    )


def _mcnemar(first_right: Mask, second_right: Mask) -> RatePair:
    """Return the rates of images that each net has right, and McNemar's exact test of their being equal."""
    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    apart = only_first + only_second
    return RatePair(
        first=float(first_right.mean()),
        second=float(second_right.mean()),
        difference=float(first_right.mean() - second_right.mean()),
        only_first=only_first,
        only_second=only_second,
        p_value=float(binomtest(only_first, apart).pvalue) if apart else 1.0,
    )


def difference_of_auc(pairs: Iterable[Pair], recipe: str, first: str, second: str) -> PairedTest | None:
    """Return the AUC of net `first` less that of `second`, with its interval and p-value; None if one was not run."""
    for pair in pairs:
        own = pair.auc.difference
        if (pair.recipe, pair.first, pair.second) == (recipe, first, second):
            return PairedTest(difference=own, p_value=pair.auc.p_value)
        if (pair.recipe, pair.first, pair.second) == (recipe, second, first):
            return PairedTest(
                difference=Estimate(value=-own.value, low=-own.high, high=-own.low), p_value=pair.auc.p_value
            )
    return None

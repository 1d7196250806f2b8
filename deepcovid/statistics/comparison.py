"""Our runs beside what others published."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepcovid.schema import Strict
from deepcovid.statistics.bootstrap import NEAR_ONE, Bootstrap
from deepcovid.statistics.counts import Counts
from deepcovid.statistics.estimate import Estimate, Number
from deepcovid.statistics.intervals import (
    Interval,
    auc_interval,
    percentile_interval,
    rate_interval,
)
from deepcovid.statistics.published import AT_98, Group, PublishedNumber
from deepcovid.statistics.rates import SENSITIVITY_WANTED, Mask, at_sensitivity, rates, units_of
from deepcovid.statistics.runs import Run

FEWEST_DECIMALS = 2  # of a rate: 0.9 in a YAML file may have been 90 %
FOLLOWING = ("accuracy", "confusion.fn", "confusion.tn")  # from the other two counts of a confusion matrix


class OverHeads(Strict):
    """One of our numbers over the heads of a run, and whether the published value may lie in that range."""

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
        ours: The value of the median head. The interval is the widest of those over patients (a bootstrap), over other
            splits, over seeds and over runs.
        varies: What this interval is over.
        over_heads: The range over heads; None where there is one head.
        difference: ours - published.
        inside: Whether the published value, before it was rounded, may lie in our interval.
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
    varies: str = ""
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

    @property
    def decimals(self) -> int:
        """To how many decimals the number was published: see `decimals_of`."""
        return decimals_of(self.published)

    @property
    def digits(self) -> int:
        """With how many decimals ours is shown beside it: none of a count, three of others, or as many as it has."""
        return 0 if self.counts_images else max(3, self.decimals)


class AgainstPublished(Strict):
    """results/<data set>/published.json: published numbers beside our runs.

    Attributes:
        compared: Numbers that were measured on as many images as ours. Of a confusion matrix two are counted, since the
            rest of it and the accuracy follow from these.
        inside: Those of them whose published value may lie in our interval.
        of_other_test_images: Numbers that were measured on other test images.
        not_run: Published numbers whose run there is none of.
        numbers: The numbers, each under its `key`.
    """

    compared: int
    inside: int
    of_other_test_images: int
    not_run: int
    numbers: dict[str, Beside]


@dataclass(frozen=True)
class Measured:
    """What a run reaches, and how that varies with the patients, the seed and the split.

    Attributes:
        run: The run.
        by_seed: A row per head, a column per metric of published.Metric.
        by_split: A row per other split, the same columns; None where no other was tried.
        draws: Under the name of each metric, the shown head's on each bootstrap sample of patients (samples).
        patients: How many positive patients there are, and how many negative ones.
    """

    run: Run
    by_seed: pd.DataFrame
    by_split: pd.DataFrame | None
    draws: Mapping[str, NDArray[np.float64]]
    patients: tuple[int, int]

    def value(self, metric: str) -> float:
        """Return what the shown head reaches on all test images."""
        return float(self.by_seed[metric][self.run.shown])


def measure(runs: Sequence[Run], by_split: Sequence[pd.DataFrame | None], bootstrap: Bootstrap) -> list[Measured]:
    """Return what the comparisons need of each run.

    All runs share one bootstrap, which makes differences between them paired.

    Args:
        runs: Their scores are of the same test images in the same order.
        by_split: What the heads of each run reach on other splits: see `Measured`.
        bootstrap: The bootstrap of these images.
    """
    results = []
    for run, on_splits in zip(runs, by_split, strict=True):
        found = [metrics_of(run.positive, run.scores[seed].to_numpy(), run.cut_off) for seed in run.heads]
        by_seed = pd.DataFrame(found, index=run.heads.columns)
        results.append(Measured(run, by_seed, on_splits, _draws(run, bootstrap), bootstrap.patients))
    return results


def metrics_of(positive: Mask, score: NDArray[np.float64], cut_off: float) -> dict[str, float]:
    """Return every metric of published.Metric for one head.

    Args:
        positive: (images).
        score: (images), P(covid).
        cut_off: An image is called covid from this score on.
    """
    own = rates(positive, score, cut_off)
    return {
        "auc": own.auc,
        "accuracy": own.accuracy,
        "sensitivity": own.sensitivity,
        "specificity": own.specificity,
        AT_98: at_sensitivity(positive, score, SENSITIVITY_WANTED).specificity,
        **{f"confusion.{cell}": count for cell, count in own.confusion},
    }


def _draws(run: Run, bootstrap: Bootstrap) -> dict[str, NDArray[np.float64]]:
    """Return the same of the run's shown head on each bootstrap sample; counts are of as many images as there are."""
    called, counts = run.called()[:, None], Counts.of(run.positive)
    levels = bootstrap.by_level(run.score)
    sensitivity = bootstrap.mean(called, run.positive)[:, 0]
    specificity = 1 - bootstrap.mean(called, ~run.positive)[:, 0]
    return {
        "auc": levels.auc(),
        "accuracy": (counts.covid * sensitivity + counts.non * specificity) / (counts.covid + counts.non),
        "sensitivity": sensitivity,
        "specificity": specificity,
        AT_98: levels.specificity(SENSITIVITY_WANTED),
        "confusion.tp": counts.covid * sensitivity,
        "confusion.fn": counts.covid * (1 - sensitivity),
        "confusion.fp": counts.non * (1 - specificity),
        "confusion.tn": counts.non * specificity,
    }


def beside_published(measured: Sequence[Measured], groups: Mapping[str, Group]) -> AgainstPublished:
    """Return each published number with those of our runs that it is compared with.

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
    matrices = {row.group for row in rows if row.metric == "confusion.tp"}
    free = [row for row in rows if row.metric not in FOLLOWING or row.group not in matrices]
    fair = [row for row in free if row.same_test_counts]
    return AgainstPublished(
        compared=len(fair),
        inside=sum(row.inside for row in fair),
        of_other_test_images=len(free) - len(fair),
        not_run=not_run,
        numbers={row.key: row for row in rows},
    )


def varying(measured: Measured, metric: str) -> dict[str, NDArray[np.float64]]:
    """Return the values that a metric takes, by what makes it vary: patients, splits, seeds and runs.

    What was not varied, or only once, is left out. Where a whole net ran several times, `runs` are the means over the
    heads of each run, and `seeds` are the heads, each moved by what its run's mean differs from the mean of all.
    """
    found = {"patients": measured.draws[metric]}
    if measured.by_split is not None:
        found["splits"] = measured.by_split[metric].to_numpy()
    values = measured.by_seed[metric]
    if len(values) > 1:
        unit = units_of(values.index)
        if len(set(unit)) < len(values):
            by_run = values.groupby(unit)
            found["runs"] = by_run.mean().to_numpy()
            values = values - by_run.transform("mean") + values.mean()
        found["seeds"] = values.to_numpy()
    return found


@dataclass(frozen=True)
class _Ours:
    """What of ours a published number is set beside: that of the shown head, `values` of all heads, and values by what
    they vary with."""

    model: str
    recipe: str
    value: float
    values: pd.Series
    varying: Mapping[str, NDArray[np.float64]]
    patients: tuple[int, int]


def _meant(number: PublishedNumber, recipes: list[str], measured: Sequence[Measured]) -> list[_Ours]:
    """Return, for each recipe that was run, what a published number is of: one net, the best, or the average."""
    results = []
    for recipe in recipes:
        found = [
            _Ours(
                one.run.model,
                recipe,
                one.value(number.metric),
                one.by_seed[number.metric],
                varying(one, number.metric),
                one.patients,
            )
            for one in measured
            if one.run.recipe == recipe and number.model in (one.run.model, "best", "average")
        ]
        if found and number.model == "best":
            found = [max(found, key=lambda ours: ours.value)]
        if found and number.model == "average":
            value = float(np.mean([ours.value for ours in found]))
            values = pd.concat([ours.values for ours in found], axis=1, join="inner").mean(axis=1)
            names = set.intersection(*(set(ours.varying) for ours in found))
            averaged = {name: np.mean([ours.varying[name] for ours in found], axis=0) for name in names}
            found = [_Ours(f"average of {len(found)}", recipe, value, values, averaged, found[0].patients)]
        results += found
    return results


def _beside(name: str, group: Group, number: PublishedNumber, ours: _Ours, counts: Counts) -> Beside:
    value, published = ours.value, number.value
    intervals = {name: percentile_interval(values) for name, values in ours.varying.items()}
    intervals["patients"] = _over_patients(number.metric, value, ours, counts)
    varies = max(intervals, key=lambda name: intervals[name][1] - intervals[name][0])
    interval = intervals[varies]
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
        varies=varies,
        over_heads=_over_heads(ours.values, published) if len(ours.values) > 1 else None,
        difference=value - published,
        inside=_within(published, *interval),
        same_test_counts=group.test_images.fit(counts),
        note="; ".join(text for text in (group.note, number.note) if text),
    )


def _over_heads(values: pd.Series, published: float) -> OverHeads:
    low, high = float(values.min()), float(values.max())
    return OverHeads(heads=len(values), min=low, max=high, inside=_within(published, low, high))


def _over_patients(metric: str, value: float, ours: _Ours, counts: Counts) -> Interval:
    """Return a metric's interval over patients; a count of images is a rate of the images of its class."""
    draws, (positives, negatives) = ours.varying["patients"], ours.patients
    of_class = {
        "sensitivity": (1, positives),
        "confusion.tp": (counts.covid, positives),
        "confusion.fn": (counts.covid, positives),
        "specificity": (1, negatives),
        "confusion.fp": (counts.non, negatives),
        "confusion.tn": (counts.non, negatives),
    }
    if metric == "auc" and value >= NEAR_ONE:
        return auc_interval(value, positives, negatives)
    if metric not in of_class:
        return percentile_interval(draws)
    images, patients = of_class[metric]
    low, high = rate_interval(value / images, draws / images, patients)
    return low * images, high * images


def decimals_of(published: float) -> int:
    """Return to how many decimals a number was published; whole numbers, which are exact, have none."""
    written = f"{published:.12f}".rstrip("0").partition(".")[2]
    return max(FEWEST_DECIMALS, len(written)) if written else 0


def _within(published: float, low: float, high: float) -> bool:
    """Return whether a published number, before it was rounded, may lie from `low` to `high`.

    A published 0.9677 stands for anything that rounds to it. So our 0.967742 agrees with it.
    """
    places = decimals_of(published)
    slack = 0.5 * 10**-places if places else 0.0
    return low - slack - 1e-9 <= published <= high + slack + 1e-9

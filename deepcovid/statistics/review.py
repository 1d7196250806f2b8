"""What a reviewer asks for: who the images are of, what scores reach in parts of them, and what they would be worth."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Annotated

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from deepcovid import catalogue
from deepcovid.heads.sides import sides
from deepcovid.passes.forked import at_once
from deepcovid.schema import Strict
from deepcovid.settings.recipes import Recipe
from deepcovid.statistics.bootstrap import FEWEST_PATIENTS, Bootstrap
from deepcovid.statistics.clinical import (
    Fit,
    calibration_in_the_large,
    calibration_slope,
    net_benefit,
    predictive_values,
    with_prior,
)
from deepcovid.statistics.estimate import Estimate, Number
from deepcovid.statistics.intervals import percentile_interval, rate_interval
from deepcovid.statistics.views import projections

Mask = NDArray[np.bool_]
Score = NDArray[np.float64]

PREVALENCES = (0.01, 0.05, 0.2)  # at which predictive values are given
THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)  # probabilities from which on one would act
AGES = ((0, 40, "under 40"), (40, 60, "40 to 59"), (60, 80, "60 to 79"), (80, np.inf, "80 and over"))  # years
UNKNOWN = "not known"


class Age(Strict):
    """Ages in years, over images: the quartiles, and how many are known."""

    quartiles: Annotated[list[Number], Field(min_length=3, max_length=3)] | None = None
    known: int


class Who(Strict):
    """What is known of some images; counts are of images, as patients may come again at another age or in another view.

    Attributes:
        images: How many there are.
        patients: Number of patients; an image of an unknown patient counts as a patient of its own.
        age: How old the patients were.
        sex: How many images are of women (F) and men (M).
        view: Number of images of each view.
        finding: Number of images with each finding, the most frequent first.
    """

    images: int
    patients: int
    age: Age
    sex: dict[str, int]
    view: dict[str, int]
    finding: dict[str, int]


class Subgroup(Strict):
    """What the median head reaches on a part of the images. Intervals are bootstraps over patients; there is none for
    fewer than FEWEST_PATIENTS.

    Attributes:
        covid: COVID-19 images.
        covid_patients: Number of their patients.
        others: Other images.
        others_patients: Number of their patients.
        auc: None where there are too few patients of a class.
        sensitivity: At the cut-off; None without COVID-19 images.
        specificity: At the cut-off; None without other images.
    """

    covid: int
    covid_patients: int
    others: int
    others_patients: int
    auc: Estimate | None = None
    sensitivity: Estimate | Number | None = None
    specificity: Estimate | Number | None = None


class PredictiveValues(Strict):
    """Of 100 people who are called covid, how many have it; and of those who are not, how many do not.

    Attributes:
        positive: The positive predictive value. None where nobody is called covid.
        negative: The negative one. None where everybody is.
    """

    positive: Estimate | None = None
    negative: Estimate | None = None


class Benefit(Strict):
    """Net benefit per person of acting from a probability on.

    Attributes:
        head: Net benefit of acting on images that score above it, after the prior was reset.
        everybody: Net benefit of acting on all images. That of acting on none is 0.
    """

    head: Estimate
    everybody: Number


class Recalibration(Strict):
    """How well scores are calibrated once their prior is that of the images.

    Attributes:
        trained: Share of COVID-19 among the images that were trained on, as often as they were drawn.
        tested: Share among these.
        intercept: What is to be added to all log-odds (calibration in the large); the interval allows for patients.
            None for fewer than FEWEST_PATIENTS.
        slope: What they are to be multiplied with. None there too, and where the scores tell the classes apart
            completely or are all alike.
    """

    trained: Number
    tested: Number
    intercept: Estimate | None = None
    slope: Estimate | None = None


class OfNet(Strict):
    """What one net's median head reaches.

    Attributes:
        subgroups: Subgroups under their property and value, such as `sex: F`.
        predictive: Predictive values at the cut-off, under each prevalence.
        benefit: Net benefit at the prevalence of the images, under each probability from which on one would act.
        recalibration: Calibration after the prior was reset.
    """

    subgroups: dict[str, Subgroup]
    predictive: dict[str, PredictiveValues]
    benefit: dict[str, Benefit]
    recalibration: Recalibration


class Review(Strict):
    """results/<data set>/review.json and external/<test set>/review.json: what a reviewer asks for.

    Attributes:
        recipe: Recipe of the heads.
        cut_off: An image is called covid from this score on.
        who: What is known of the images, by part.
        nets: What is asked of each net, under its name.
    """

    recipe: str
    cut_off: Number
    who: dict[str, Who]
    nets: dict[str, OfNet]


def who(parts: Mapping[str, pd.DataFrame]) -> dict[str, Who]:
    """Return what is known of the images of each part, COVID-19 and others apart.

    Args:
        parts: Rows of a catalogue under the name of each part.
    """
    found = {}
    for name, rows in parts.items():
        covid = catalogue.covid(rows)
        for words, own in (("COVID-19", rows[covid]), ("others", rows[~covid])):
            if len(own):
                found[f"{name}, {words}"] = _who(own)
    return found


def _who(rows: pd.DataFrame) -> Who:
    ages = _years(rows).dropna()
    return Who(
        images=len(rows),
        patients=catalogue.patients(rows).nunique(),
        age=Age(quartiles=ages.quantile([0.25, 0.5, 0.75]).tolist() if len(ages) else None, known=len(ages)),
        sex=_counted(rows["sex"]),
        view=_counted(rows["view"]),
        finding=_counted(rows["finding"]),
    )


def _counted(values: pd.Series) -> dict[str, int]:
    """Return how often each value stands there: the most frequent first, then by name; blanks last."""
    counts = values.where(values != "", UNKNOWN).value_counts().sort_index().sort_values(ascending=False, kind="stable")
    return {str(name): int(counts[name]) for name in sorted(counts.index, key=lambda name: name == UNKNOWN)}


def _years(rows: pd.DataFrame) -> "pd.Series[float]":
    return pd.to_numeric(rows["age"], errors="coerce")


def review(
    rows: pd.DataFrame,
    scores: Mapping[str, Score],
    recipe: tuple[str, Recipe],
    trained: float,
    bootstrap: Bootstrap,
    parts: Mapping[str, pd.DataFrame],
) -> Review:
    """Return what a reviewer asks for.

    Args:
        rows: The catalogue rows of the tested images (images).
        scores: P(covid) by the shown head of each net (images), under the name of the net.
        recipe: The heads' recipe, with its name.
        trained: Share of COVID-19 among the images that they were trained on: see `prior`.
        bootstrap: A bootstrap over the patients of these images.
        parts: Rows of a catalogue that table one describes, under the name of each part.
    """
    name, choices = recipe
    groups = groups_of(rows)
    patients = catalogue.patients(rows).reset_index(drop=True)

    def of_net(score: Score) -> OfNet:
        return OfNet(
            subgroups={
                group: _subgroup(own, score, choices.cut_off, patients, bootstrap) for group, own in groups.items()
            },
            predictive=_predictive(score, choices.cut_off, bootstrap),
            benefit=_benefit(score, trained, bootstrap),
            recalibration=_recalibration(score, trained, bootstrap.positive, patients),
        )

    nets = at_once([partial(of_net, score) for score in scores.values()])
    return Review(recipe=name, cut_off=choices.cut_off, who=who(parts), nets=dict(zip(scores, nets, strict=True)))


def prior(table: pd.DataFrame, recipe: Recipe) -> float:
    """Return the share of COVID-19 among the images that a recipe's heads are trained on, as often as they are drawn.

    Args:
        table: The catalogue with its split.
        recipe: The recipe that the heads were trained under.
    """
    if recipe.sampling == "balanced":
        return 0.5
    return float(catalogue.covid(table[sides(table, recipe).train]).mean())


def groups_of(rows: pd.DataFrame) -> dict[str, Mask]:
    """Return the subgroups of images, by property and value: which images (images) are in them."""
    years = _years(rows)
    ages = {words: ((years >= low) & (years < high)).to_numpy() for low, high, words in AGES}
    ages[UNKNOWN] = years.isna().to_numpy()
    found = {f"age: {words}": own for words, own in ages.items()}
    for column in ("sex", "view", "finding"):
        values = projections(rows[column]) if column == "view" else rows[column]
        values = values.where(values != "", UNKNOWN)
        found |= {f"{column}: {value}": (values == value).to_numpy() for value in _in_order(values)}
    return {name: own for name, own in found.items() if own.any()}


def _in_order(values: pd.Series) -> Iterable[str]:
    return sorted(values.unique(), key=lambda name: (name == UNKNOWN, name))


def _subgroup(group: Mask, score: Score, cut_off: float, patients: pd.Series, bootstrap: Bootstrap) -> Subgroup:
    positive = bootstrap.positive
    sides = {True: group & positive, False: group & ~positive}
    counts = {side: patients[own].nunique() for side, own in sides.items()}

    def rate(side: bool) -> Estimate | Number | None:
        own = sides[side]
        if not own.any():
            return None
        right = (score >= cut_off) == side
        value = float(right[own].mean())
        if counts[side] < FEWEST_PATIENTS:
            return value
        drawn = bootstrap.mean(right[:, None], own)[:, 0]
        return Estimate.of(value, rate_interval(value, drawn[~np.isnan(drawn)], counts[side]))

    auc = None
    if min(counts.values()) >= FEWEST_PATIENTS:
        auc = bootstrap.auc_estimate(score, group, (counts[True], counts[False]))
    return Subgroup(
        covid=int(sides[True].sum()),
        covid_patients=counts[True],
        others=int(sides[False].sum()),
        others_patients=counts[False],
        auc=auc,
        sensitivity=rate(True),
        specificity=rate(False),
    )


def _rates(score: Score, cut_offs: Sequence[float], bootstrap: Bootstrap) -> list[tuple[Score, Score]]:
    """Return sensitivity and specificity at each cut-off (1 + samples): of all images first, then of each sample."""
    called, positive = score[:, None] >= np.array(cut_offs), bootstrap.positive
    sensitivity, specificity = (
        np.vstack([right[side].mean(axis=0), bootstrap.mean(right, side)]).T
        for side, right in ((positive, called), (~positive, ~called))
    )
    return list(zip(sensitivity, specificity, strict=True))


def _predictive(score: Score, cut_off: float, bootstrap: Bootstrap) -> dict[str, PredictiveValues]:
    (rates,), found = _rates(score, [cut_off], bootstrap), {}
    for prevalence in PREVALENCES:
        positive, negative = predictive_values(*rates, prevalence)
        found[f"{prevalence:g}"] = PredictiveValues(positive=_estimate(positive), negative=_estimate(negative))
    return found


def _estimate(values: Score) -> Estimate | None:
    """Return a number (1 + samples) with its interval; None where it is none. Samples where it is none are left out."""
    if np.isnan(values[0]):
        return None
    return Estimate.of(float(values[0]), percentile_interval(values[1:][~np.isnan(values[1:])]))


def _benefit(score: Score, trained: float, bootstrap: Bootstrap) -> dict[str, Benefit]:
    prevalence = float(bootstrap.positive.mean())
    reset, found = with_prior(score, trained, prevalence), {}
    for threshold, rates in zip(THRESHOLDS, _rates(reset, THRESHOLDS, bootstrap), strict=True):
        values = net_benefit(*rates, prevalence, threshold)
        everybody = net_benefit(np.array(1.0), np.array(0.0), prevalence, threshold)
        found[f"{threshold:g}"] = Benefit(
            head=Estimate.of(float(values[0]), percentile_interval(values[1:])), everybody=float(everybody)
        )
    return found


def _recalibration(score: Score, trained: float, positive: Mask, patients: pd.Series) -> Recalibration:
    tested = float(positive.mean())
    if patients.nunique() < FEWEST_PATIENTS:
        return Recalibration(trained=trained, tested=tested)
    reset = with_prior(score, trained, tested)
    slope = calibration_slope(reset, positive, patients)
    return Recalibration(
        trained=trained,
        tested=tested,
        intercept=_fitted(calibration_in_the_large(reset, positive, patients)),
        slope=_fitted(slope) if slope else None,
    )


def _fitted(fit: Fit) -> Estimate:
    return Estimate.of(fit.value, (fit.value - 1.96 * fit.error, fit.value + 1.96 * fit.error))

"""A bootstrap over patients: test images drawn again and again, to see how far a number depends on who is tested."""

from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import bootstrap
from sklearn.metrics import roc_auc_score

from deepcovid import catalogue
from deepcovid.errors import UserError
from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.statistics.estimate import Estimate
from deepcovid.statistics.intervals import auc_interval, percentile_interval

Mask = NDArray[np.bool_]
Numbers = NDArray[np.float64]
NEAR_ONE = 0.99
FEWEST_PATIENTS = 10  # a number over fewer is left out, or told without an interval


class Bootstrap:
    """Samples of labelled images, and what scores reach on each of them.

    One object serves all heads that are tested on the same images: differences between heads are then paired, and the
    samples are drawn once, which takes longer than what is done with them.

    Attributes:
        positive: (images).
        weights: (images, samples), how often each image is drawn. 3100 images in 2000 samples take 50 MB.
        patients: How many positive patients there are, and how many negative ones.
    """

    def __init__(self, positive: Mask, weights: Numbers, patients: tuple[int, int] | None = None) -> None:
        self.positive, self.weights = positive, weights
        self.patients = patients or (int(positive.sum()), int((~positive).sum()))

    @classmethod
    def over_patients(cls, positive: Mask, patient: pd.Series, settings: EvaluateSettings) -> Self:
        """Draw patients, not images, with replacement within each label, since images of one patient are alike.

        Args:
            positive: (images).
            patient: (images), who each image is of; blank stands for a patient of its own.
            settings: Number and seed of the samples.

        Raises:
            UserError: The images are of one class only.
        """
        if positive.all() or not positive.any():
            raise UserError("the test images are of one class only; widen the filter or change the split")
        rng = np.random.default_rng(settings.bootstrap_seed)
        names = patient.reset_index(drop=True)
        names = catalogue.named_patients(names, names.index.to_series())
        weights = np.empty((len(positive), settings.bootstrap_samples))
        counts = []
        for side in (positive, ~positive):
            codes, patients = pd.factorize(names[side])
            even = np.full(len(patients), 1 / len(patients))
            drawn = rng.multinomial(len(patients), even, size=settings.bootstrap_samples)
            weights[side] = drawn.T.astype(float)[codes]
            counts.append(len(patients))
        return cls(positive, weights, (counts[0], counts[1]))

    @classmethod
    def of(cls, rows: pd.DataFrame, settings: EvaluateSettings) -> Self:
        """Draw from rows of a catalogue or a score table, covid being positive: see `over_patients`."""
        return cls.over_patients(catalogue.covid(rows).to_numpy(), rows["patient_id"], settings)

    def auc(self, score: Numbers, among: Mask | None = None) -> Numbers:
        """Return the AUC of `score` (images) on each sample: see `by_level` and `Levels.auc`."""
        return self.by_level(score, among).auc()

    def area(self, score: Numbers, among: Mask | None = None) -> float:
        """Return the AUC of `score` (images) on all images, or on those in `among` (images)."""
        images = slice(None) if among is None else among
        return float(roc_auc_score(self.positive[images], score[images]))

    def auc_estimate(
        self, score: Numbers, among: Mask | None = None, patients: tuple[int, int] | None = None
    ) -> Estimate:
        """Return the AUC of `score` (images), with its interval.

        Args:
            score: (images), whether they count or not.
            among: (images), those that count; all if left out. Samples without one of the classes are left out.
            patients: How many positive and negative patients these images are of; see `with_interval`.
        """
        return self.with_interval(self.area(score, among), self.auc(score, among), patients)

    def with_interval(self, area: float, drawn: Numbers, patients: tuple[int, int] | None = None) -> Estimate:
        """Return an AUC with the percentile interval of what was `drawn` of it (samples).

        Near 1 the samples have hardly any spread: from NEAR_ONE on the interval is Newcombe's, over `patients`, how
        many positive and negative ones there are; all if left out.
        """
        near_one = area >= NEAR_ONE
        interval = auc_interval(area, *(patients or self.patients)) if near_one else percentile_interval(drawn)
        return Estimate.of(area, interval)

    def mean(self, values: NDArray[Any], among: Mask | None = None) -> Numbers:
        """Return the mean of `values` (images, columns) on each sample, as (samples, columns).

        Args:
            values: What is averaged.
            among: (images), those that count; all if left out. Where a sample has none of them, the mean is not a
                number.
        """
        if among is None:
            return np.asarray((self.weights.T @ values) / self.weights.sum(axis=0)[:, None])
        # Those that do not count are set to 0: this is faster than a copy of the weights of those that do.
        totals = self.weights.T @ np.column_stack([among, values * among[:, None]]).astype(float)
        with np.errstate(invalid="ignore"):
            return np.asarray(totals[:, 1:] / totals[:, :1])

    def by_level(self, score: Numbers, among: Mask | None = None) -> "Levels":
        """Return how many images of each sample have `score` (images) of each level.

        Only those in `among` (images) count; all if left out.
        """
        sides = [side if among is None else side & among for side in (self.positive, ~self.positive)]
        distinct = np.unique(score[sides[0]])
        level = np.searchsorted(distinct, score, "left") + np.searchsorted(distinct, score, "right")
        shape = 2 * len(distinct) + 1, len(score)

        def counted(side: Mask) -> Numbers:
            images = np.flatnonzero(side)
            return np.asarray(csr_array((np.ones(len(images)), (level[images], images)), shape) @ self.weights)

        return Levels(*map(counted, sides))


class Levels(NamedTuple):
    """How many images of each bootstrap sample have scores of each level.

    Levels rise. The odd ones are the distinct scores of positives, the even ones lie below, between and above them. No
    ranking of images depends on more.

    Attributes:
        positives: (levels, samples).
        negatives: (levels, samples).
    """

    positives: Numbers
    negatives: Numbers

    def auc(self) -> Numbers:
        """Return the AUC on each sample that has both classes, as (samples): the chance that a positive outscores a
        negative, ties counting half (Mann-Whitney)."""
        below = np.cumsum(self.negatives, axis=0) - self.negatives / 2
        pairs = self.positives.sum(axis=0) * self.negatives.sum(axis=0)
        return np.asarray((self.positives * below).sum(axis=0)[pairs > 0] / pairs[pairs > 0])

    def specificity(self, sensitivity: float) -> Numbers:
        """Return the specificity at the highest threshold whose sensitivity is at least `sensitivity`, as (samples).

        Each sample reads off its own threshold, so that its chance counts too.
        """
        positives, negatives = (part[::-1] for part in self)
        found = np.cumsum(positives, axis=0) / positives.sum(axis=0)
        threshold = np.argmax(found >= sensitivity, axis=0)
        called = np.take_along_axis(np.cumsum(negatives, axis=0), threshold[None], axis=0)[0]
        return np.asarray(1 - called / negatives.sum(axis=0))


def mean_by_patient(values: Numbers, patient: pd.Series, settings: EvaluateSettings) -> Estimate | float | None:
    """Return the mean of `values` (images) with a bootstrap over patients.

    Args:
        values: What is averaged; where it is not a number, the image does not count.
        patient: (images), who each image is of, none blank.
        settings: Number and seed of the samples.

    Returns:
        The mean alone where there are fewer than FEWEST_PATIENTS, None where no image counts.
    """
    known = ~np.isnan(values)
    if not known.any():
        return None
    mean = float(values[known].mean())
    by_patient = pd.Series(values[known]).groupby(patient[known].to_numpy(), sort=False).agg(["sum", "count"])
    if len(by_patient) < FEWEST_PATIENTS:
        return mean
    interval = bootstrap(
        (by_patient["sum"].to_numpy(), by_patient["count"].to_numpy()),
        lambda total, images, axis: total.sum(axis=axis) / images.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=settings.bootstrap_samples,
        method="percentile",
        rng=np.random.default_rng(settings.bootstrap_seed),
    ).confidence_interval
    return Estimate(value=mean, low=float(interval.low), high=float(interval.high))

"""95 % intervals: the paper's formula, Wilson's, Student's over seeds, and a bootstrap over patients."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest, sem, t

from deepcovid import catalogue

Interval = tuple[float, float]
Weights = NDArray[np.float64]


def normal_interval(successes: int, trials: int) -> Interval:
    """Return the paper's interval for a rate (section 4.5): r = z * sqrt(rate * (1 - rate) / N), z = 1.96.

    Clipped to 0..1. At a rate of 0 or 1 it has no width, which is its known fault; Wilson's interval does not.
    """
    rate = successes / trials
    reach = 1.96 * math.sqrt(rate * (1 - rate) / trials)
    return max(0.0, rate - reach), min(1.0, rate + reach)


def wilson_interval(successes: int, trials: int) -> Interval:
    """Return Wilson's score interval for a rate (Wilson 1927)."""
    interval = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def mean_interval(values: Sequence[float], smallest: float = 0.0, largest: float = 1.0) -> Interval:
    """Return Student's t interval for the mean of two or more values that lie in smallest..largest, clipped to that."""
    mean, error = float(np.mean(values)), float(sem(values))
    reach = float(t.ppf(0.975, len(values) - 1)) * error
    return max(smallest, mean - reach), min(largest, mean + reach)


def percentile_interval(draws: Weights) -> Interval:
    """Return the percentile interval of bootstrap samples."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def bootstrap_p_value(draws: Weights) -> float:
    """Return the two-sided p-value of a difference being 0: twice the smaller share of samples on or beyond 0.

    Each share counts one sample more than there is, so that no p-value is 0 (Davison and Hinkley 1997, section 4.2).
    """
    beyond = 1 + min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    return min(1.0, 2 * beyond / (1 + len(draws)))


def auc_interval(
    positive: NDArray[np.bool_], score: NDArray[np.float64], patient: pd.Series, samples: int, seed: int
) -> Interval:
    """Return the percentile interval of the AUC under a bootstrap over patients: see `patient_weights`."""
    return percentile_interval(weighted_auc(positive, score, patient_weights(positive, patient, samples, seed)))


def patient_weights(positive: NDArray[np.bool_], patient: pd.Series, samples: int, seed: int) -> Weights:
    """Return how often each image is drawn, as (samples, images), in a bootstrap over patients stratified by label.

    Patients, not images, are drawn with replacement within each label, since images of one patient are alike. The
    same weights serve every net, so that differences between nets are paired. 2000 samples of 3100 images take 50 MB.

    Args:
        positive: (images).
        patient: (images), who each image is of; blank stands for a patient of its own.
        samples: Bootstrap samples.
        seed: Seed of the bootstrap samples.
    """
    rng = np.random.default_rng(seed)
    names = patient.reset_index(drop=True)
    names = catalogue.named_patients(names, names.index.to_series())
    weights = np.empty((samples, len(positive)))
    for side in (positive, ~positive):
        codes, patients = pd.factorize(names[side])
        drawn = rng.multinomial(len(patients), np.full(len(patients), 1 / len(patients)), size=samples)
        weights[:, side] = drawn[:, codes]
    return weights


def weighted_auc(positive: NDArray[np.bool_], score: NDArray[np.float64], weights: Weights) -> Weights:
    """Return the AUC under each row of image weights (samples, images): the chance that a positive outscores a
    negative, ties counting half (Mann-Whitney)."""
    positives, negatives = _by_score(positive, score, weights)
    below = np.cumsum(negatives, axis=1) - negatives / 2
    return np.asarray((positives * below).sum(axis=1) / (positives.sum(axis=1) * negatives.sum(axis=1)))


def weighted_specificity(
    positive: NDArray[np.bool_], score: NDArray[np.float64], weights: Weights, sensitivity: float
) -> Weights:
    """Return, under each row of image weights (samples, images), the specificity at the highest threshold whose
    sensitivity is at least `sensitivity`. Each sample reads off its own threshold, so that its chance counts too."""
    positives, negatives = _by_score(positive, -score, weights)
    found = np.cumsum(positives, axis=1) / positives.sum(axis=1, keepdims=True)
    threshold = np.argmax(found >= sensitivity, axis=1)
    called = np.take_along_axis(np.cumsum(negatives, axis=1), threshold[:, None], axis=1)[:, 0]
    return np.asarray(1 - called / negatives.sum(axis=1))


def _by_score(positive: NDArray[np.bool_], score: NDArray[np.float64], weights: Weights) -> tuple[Weights, Weights]:
    """Return the weight of positives and of negatives at each distinct score, rising, as (samples, scores) each."""
    order = np.argsort(score, kind="stable")
    positive, weights = positive[order], weights[:, order]
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))
    return np.add.reduceat(weights * positive, starts, axis=1), np.add.reduceat(weights * ~positive, starts, axis=1)

"""95 % intervals: the paper's formula, Wilson's, and a bootstrap over patients."""

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest

Interval = tuple[float, float]


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


def auc_interval(
    positive: NDArray[np.bool_], score: NDArray[np.float64], patient: pd.Series, samples: int, seed: int
) -> Interval:
    """Return the percentile interval of the AUC under a bootstrap over patients, stratified by label.

    Patients, not images, are drawn with replacement within each label, since images of one patient are alike.

    Args:
        positive: (images).
        score: (images), larger for positive.
        patient: (images), who each image is of; blank stands for a patient of its own.
        samples: Bootstrap samples.
        seed: Of the draws.
    """
    weights = patient_weights(positive, patient, samples, seed)
    low, high = np.quantile(weighted_auc(positive, score, weights), [0.025, 0.975])
    return float(low), float(high)


def patient_weights(positive: NDArray[np.bool_], patient: pd.Series, samples: int, seed: int) -> NDArray[np.float64]:
    """Return how often each image is in each bootstrap sample, (samples, images); arguments as for `auc_interval`."""
    rng = np.random.default_rng(seed)
    names = patient.reset_index(drop=True)
    names = names.where(names != "", names.index.astype(str) + " of unknown patient")
    weights = np.empty((samples, len(positive)))
    for side in (positive, ~positive):
        codes, patients = pd.factorize(names[side])
        drawn = rng.multinomial(len(patients), np.full(len(patients), 1 / len(patients)), size=samples)
        weights[:, side] = drawn[:, codes]
    return weights


def weighted_auc(
    positive: NDArray[np.bool_], score: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the AUC under each row of image weights (samples, images): the chance that a positive outscores a
    negative, ties counting half (Mann-Whitney)."""
    order = np.argsort(score, kind="stable")
    positive, weights = positive[order], weights[:, order]
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))
    positives = np.add.reduceat(weights * positive, starts, axis=1)
    negatives = np.add.reduceat(weights * ~positive, starts, axis=1)
    below = np.cumsum(negatives, axis=1) - negatives / 2
    return np.asarray((positives * below).sum(axis=1) / (positives.sum(axis=1) * negatives.sum(axis=1)))

"""A band about a ROC curve: what sensitivity may be at each false positive rate."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepcovid.statistics.intervals import patient_weights

# Finer where curves of good nets bend.
FALSE_POSITIVE_RATES = np.union1d(np.linspace(0, 0.1, 51), np.linspace(0, 1, 101))
ROWS = 100  # bootstrap samples in memory at once, besides their weights


def roc_band(
    positive: NDArray[np.bool_], score: NDArray[np.float64], patient: pd.Series, samples: int, seed: int
) -> pd.DataFrame:
    """Return the pointwise 95 % band of the ROC curve: false_positive_rate, low, high.

    Percentiles of the sensitivity at each false positive rate, over the same bootstrap over patients as the interval of
    the AUC. Vertical averaging: T. Fawcett, An introduction to ROC analysis, Pattern Recognition Letters 27 (2006).

    Args:
        positive: (images).
        score: (images), larger for positive.
        patient: (images), who each image is of; blank stands for a patient of its own.
        samples: Bootstrap samples.
        seed: Seed of the bootstrap samples.
    """
    weights = patient_weights(positive, patient, samples, seed)
    rates = [weighted_sensitivity(positive, score, weights[row : row + ROWS]) for row in range(0, samples, ROWS)]
    low, high = np.quantile(np.concatenate(rates), [0.025, 0.975], axis=0)
    return pd.DataFrame({"false_positive_rate": FALSE_POSITIVE_RATES, "low": low, "high": high})


def weighted_sensitivity(
    positive: NDArray[np.bool_], score: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the sensitivity at FALSE_POSITIVE_RATES under each row of image weights: (samples, rates).

    Between two corners of the curve it is interpolated; on a vertical piece it is the upper end.
    """
    order = np.argsort(-score, kind="stable")
    positive, weights = positive[order], weights[:, order]
    starts = np.flatnonzero(np.diff(-score[order], prepend=-np.inf))
    rates = []
    for side in (positive, ~positive):
        reached = np.cumsum(np.add.reduceat(weights * side, starts, axis=1), axis=1)
        rates.append(np.pad(reached / reached[:, -1:], ((0, 0), (1, 0))))
    return np.stack([_interpolated(*curve) for curve in zip(*rates, strict=True)])


def _interpolated(sensitivity: NDArray[np.float64], false_positive: NDArray[np.float64]) -> NDArray[np.float64]:
    left = np.searchsorted(false_positive, FALSE_POSITIVE_RATES, side="right") - 1
    right = np.minimum(left + 1, len(false_positive) - 1)
    width = false_positive[right] - false_positive[left]
    share = np.divide(FALSE_POSITIVE_RATES - false_positive[left], width, out=np.zeros(len(left)), where=width > 0)
    return np.asarray(sensitivity[left] + share * (sensitivity[right] - sensitivity[left]))

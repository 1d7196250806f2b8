"""A band about a ROC curve: what sensitivity may be at each false positive rate."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepcovid.statistics.bootstrap import Bootstrap

# Finer where curves of good nets bend.
FALSE_POSITIVE_RATES = np.union1d(np.linspace(0, 0.1, 51), np.linspace(0, 1, 101))


def roc_band(score: NDArray[np.float64], bootstrap: Bootstrap) -> pd.DataFrame:
    """Return the pointwise 95 % band of the ROC curve: false_positive_rate, low, high.

    Percentiles of the sensitivity at each false positive rate, over the same bootstrap over patients as the interval of
    the AUC. Vertical averaging: T. Fawcett, An introduction to ROC analysis, Pattern Recognition Letters 27 (2006).

    Args:
        score: (images), larger for positive.
        bootstrap: The bootstrap of these images.
    """
    low, high = np.quantile(sensitivities(score, bootstrap), [0.025, 0.975], axis=0)
    return pd.DataFrame({"false_positive_rate": FALSE_POSITIVE_RATES, "low": low, "high": high})


def sensitivities(score: NDArray[np.float64], bootstrap: Bootstrap) -> NDArray[np.float64]:
    """Return the sensitivity at FALSE_POSITIVE_RATES on each sample: (samples, rates).

    Between two corners of the curve it is interpolated; on a vertical piece it is the upper end.
    """
    rates = []
    for side in bootstrap.by_level(score):
        reached = np.cumsum(side[::-1].T, axis=1)
        rates.append(np.pad(reached / reached[:, -1:], ((0, 0), (1, 0))))
    return np.stack([_interpolated(*curve) for curve in zip(*rates, strict=True)])


def _interpolated(sensitivity: NDArray[np.float64], false_positive: NDArray[np.float64]) -> NDArray[np.float64]:
    left = np.searchsorted(false_positive, FALSE_POSITIVE_RATES, side="right") - 1
    right = np.minimum(left + 1, len(false_positive) - 1)
    width = false_positive[right] - false_positive[left]
    share = np.divide(FALSE_POSITIVE_RATES - false_positive[left], width, out=np.zeros(len(left)), where=width > 0)
    return np.asarray(sensitivity[left] + share * (sensitivity[right] - sensitivity[left]))

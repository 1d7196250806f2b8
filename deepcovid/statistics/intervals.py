"""95 % intervals: the paper's formula, Wilson's, Newcombe's, Student's over seeds, percentiles of bootstrap samples."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import binomtest, sem, t

Interval = tuple[float, float]
Draws = NDArray[np.float64]  # (samples)
TINY = 1e-12


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


def auc_interval(auc: float, positives: int, negatives: int) -> Interval:
    """Return Newcombe's interval for an area under the ROC curve (Newcombe 2006, part 2, method 5).

    It holds every area whose distance from `auc` is at most 1.96 times the standard error that Hanley and McNeil (1982)
    give for that area, with both numbers of patients replaced by their mean. Unlike a bootstrap, it does not collapse
    where the classes are told apart completely.

    Args:
        auc: The area that was found, in 0..1.
        positives: Independent positives; patients, where there are several images of one.
        negatives: Independent negatives.
    """
    others = (positives + negatives) / 2 - 1

    def beyond(area: float) -> float:
        spread = 1 + others * ((1 - area) / (2 - area) + area / (1 + area))
        return (auc - area) ** 2 - 1.96**2 * area * (1 - area) * spread / (positives * negatives)

    # At 0 and 1 the standard error is 0 too, which is not the end that is looked for.
    low = float(brentq(beyond, 0, min(auc, 1 - TINY))) if auc > TINY else 0.0
    high = float(brentq(beyond, max(auc, TINY), 1)) if auc < 1 - TINY else 1.0
    return low, high


def percentile_interval(draws: Draws) -> Interval:
    """Return the percentile interval of bootstrap samples."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def pivotal_interval(value: float, draws: Draws, largest: float = 1.0) -> Interval:
    """Return the pivotal (basic) bootstrap interval of a number that was found to be `value`, at most `largest`.

    Where samples lie above the value on average, as they do for the best of several, the value is likely to lie above
    the truth too: this interval reaches as far down as the samples reach up (Davison and Hinkley 1997, section 5.2).
    """
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(2 * value - high), float(min(2 * value - low, largest))


def rate_interval(rate: float, draws: Draws, patients: int) -> Interval:
    """Return the percentile interval of a rate's bootstrap samples over so many patients.

    At 0 and at 1 all samples are alike. There the interval is Wilson's, with patients in place of images.
    """
    if rate in (0, 1):
        return wilson_interval(int(rate) * patients, patients)
    return percentile_interval(draws)


def bootstrap_p_value(draws: Draws) -> float:
    """Return the two-sided p-value of a difference being 0: twice the smaller share of samples on or beyond 0.

    Each share counts one sample more than there is, so that no p-value is 0 (Davison and Hinkley 1997, section 4.2).
    """
    beyond = 1 + min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    return min(1.0, 2 * beyond / (1 + len(draws)))

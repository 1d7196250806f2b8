"""95 % intervals: the paper's formula, Wilson's, Student's over seeds, and percentiles of bootstrap samples."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, sem, t

Interval = tuple[float, float]
Draws = NDArray[np.float64]  # (samples)


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


def percentile_interval(draws: Draws) -> Interval:
    """Return the percentile interval of bootstrap samples."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def bootstrap_p_value(draws: Draws) -> float:
    """Return the two-sided p-value of a difference being 0: twice the smaller share of samples on or beyond 0.

    Each share counts one sample more than there is, so that no p-value is 0 (Davison and Hinkley 1997, section 4.2).
    """
    beyond = 1 + min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    return min(1.0, 2 * beyond / (1 + len(draws)))

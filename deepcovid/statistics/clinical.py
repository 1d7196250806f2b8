"""What a score would be worth where it is used: predictive values, net benefit, calibration at another prevalence."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]
TINY = 1e-12  # scores of exactly 0 and 1 have no log-odds
REACH = 60  # of an intercept: log-odds are within 28
STEPS = 100  # of Newton's method, which takes about ten


def predictive_values(sensitivity: Numbers, specificity: Numbers, prevalence: float) -> tuple[Numbers, Numbers]:
    """Return the positive and the negative predictive value at a prevalence, by Bayes' theorem.

    They are not a number where nothing is called covid, or everything.

    Args:
        sensitivity: An array of any shape, in 0..1.
        specificity: An array that has the same shape, in 0..1.
        prevalence: Share of images with the disease, between 0 and 1.
    """
    found, missed = sensitivity * prevalence, (1 - sensitivity) * prevalence
    right, wrong = specificity * (1 - prevalence), (1 - specificity) * (1 - prevalence)
    with np.errstate(invalid="ignore"):
        return found / (found + wrong), right / (right + missed)


def net_benefit(sensitivity: Numbers, specificity: Numbers, prevalence: float, threshold: float) -> Numbers:
    """Return the net benefit of acting on what is called covid (Vickers and Elkin 2006, their formula).

    It is the share of true positives, less that of false positives weighted by the odds of `threshold`: the probability
    from which on one would act. Acting on all is sensitivity 1 and specificity 0; acting on none is 0.

    Args:
        sensitivity: An array of any shape, in 0..1.
        specificity: An array that has the same shape, in 0..1.
        prevalence: Share of images with the disease, from 0 to 1.
        threshold: Probability from which on one acts, between 0 and 1.
    """
    harm = threshold / (1 - threshold)
    return np.asarray(sensitivity * prevalence - (1 - specificity) * (1 - prevalence) * harm)


def with_prior(score: Numbers, old: float, new: float) -> Numbers:
    """Return scores (images) whose prior is reset from `old` to `new` (Saerens, Latinne and Decaestecker 2002).

    The log-odds move by the difference of the priors' log-odds.
    """
    odds = logit(np.clip(score, TINY, 1 - TINY)) - logit(old) + logit(new)
    return np.asarray(expit(odds))


class Fit(NamedTuple):
    """A number that was fitted, and its standard error."""

    value: float
    error: float


def calibration_in_the_large(score: Numbers, positive: Mask, patient: pd.Series) -> Fit:
    """Return by how much all log-odds are too low: the intercept of a logistic regression with slope 1 (Cox 1958).

    At 0 the mean score is the share of positives. The error allows for images of one patient being alike: it is
    the sandwich estimate with patients as clusters (Liang and Zeger 1986).

    Args:
        score: (images), P(covid) in 0..1.
        positive: (images), of both classes.
        patient: (images), who each image is of, none blank.
    """
    odds = logit(np.clip(score, TINY, 1 - TINY))
    value = brentq(lambda intercept: float((positive - expit(odds + intercept)).sum()), -REACH, REACH)
    (error,) = _errors(np.ones((len(odds), 1)), expit(odds + value), positive, patient)
    return Fit(value, error)


def calibration_slope(score: Numbers, positive: Mask, patient: pd.Series) -> Fit | None:
    """Return the slope of a logistic regression of the label on the log-odds (Cox 1958); arguments are as above.

    Below 1 scores are too extreme, above 1 too timid, at 0 they say nothing. None where the scores tell the classes
    apart completely, as the slope is then without bound, or are all alike.
    """
    odds = logit(np.clip(score, TINY, 1 - TINY))
    low, high = odds[positive], odds[~positive]
    if low.min() >= high.max() or low.max() <= high.min():
        return None
    columns = np.column_stack([np.ones_like(odds), odds - odds.mean()])
    weights = _logistic(columns, positive)
    return Fit(float(weights[1]), _errors(columns, expit(columns @ weights), positive, patient)[1])


def _logistic(columns: Numbers, positive: Mask) -> Numbers:
    """Return the coefficients (coefficients) of columns (images, coefficients) in a logistic regression, by Newton's
    method; a step that would lower the likelihood is halved."""

    def likelihood(own: Numbers) -> float:
        linear = columns @ own
        return float((positive * linear - np.logaddexp(0, linear)).sum())

    weights = np.zeros(columns.shape[1])
    for _ in range(STEPS):
        mean = expit(columns @ weights)
        step = np.linalg.solve((columns * (mean * (1 - mean))[:, None]).T @ columns, columns.T @ (positive - mean))
        while likelihood(weights + step) < likelihood(weights) - TINY and np.abs(step).max() > TINY:
            step = step / 2
        weights = weights + step
        if np.abs(step).max() < TINY:
            break
    return weights


def _errors(columns: Numbers, mean: Numbers, positive: Mask, patient: pd.Series) -> list[float]:
    """Return the standard errors of a logistic regression's coefficients, with patients as clusters.

    Args:
        columns: (images, coefficients).
        mean: (images), the fitted probabilities.
        positive: (images).
        patient: (images), who each image is of, none blank.
    """
    bread = np.linalg.inv((columns * (mean * (1 - mean))[:, None]).T @ columns)
    residual = pd.DataFrame(columns * (positive - mean)[:, None])
    by_patient = residual.groupby(patient.to_numpy()).sum().to_numpy()
    patients, (images, coefficients) = len(by_patient), columns.shape
    fewer = patients / (patients - 1) * (images - 1) / (images - coefficients)
    spread = bread @ (by_patient.T @ by_patient) @ bread * fewer
    return [float(error) for error in np.sqrt(np.diag(spread))]

"""Calibration: whether of the images scored p a share p is covid."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss

from deepcovid.errors import UserError
from deepcovid.settings import EvaluateSettings
from deepcovid.statistics.intervals import patient_weights, percentile_interval, wilson_interval
from deepcovid.statistics.rates import rounded

Mask = NDArray[np.bool_]
Score = NDArray[np.float64]


def calibration(
    positive: Mask, score: Score, patient: pd.Series, bins: int, settings: EvaluateSettings
) -> dict[str, Any]:
    """Return the reliability curve of one head's scores, and what it comes to.

    The Brier score is the mean squared distance of score and label (Brier 1950), and its skill the share by which it is
    below that of always saying the prevalence of these images: 1 is perfect, 0 no better, below 0 worse. The expected
    calibration error is the mean over bins, weighted by images, of |mean score - share of covid| (Naeini et al. 2015,
    Guo et al. 2017). It is biased upwards where bins hold few images, and more so in bootstrap samples, so that its
    interval may lie above it.

    Args:
        positive: (images), true for covid.
        score: (images), P(covid) in 0..1.
        patient: (images), for the bootstrap.
        bins: Equally wide ones of the score.
        settings: Of the bootstrap.

    Returns:
        `brier` and `ece` in 0..1 with `_low` and `_high` of a bootstrap over patients, `brier_skill`, and `bins`: see
        `reliability`.

    Raises:
        UserError: The images are of one class only.
    """
    if positive.all() or not positive.any():
        raise UserError("calibration: the test images are of one class only; widen the filter or change the split")
    prevalence = positive.mean()
    brier = float(brier_score_loss(positive, score))
    gap, inside = score - positive, bin_of(score, bins)[:, None] == np.arange(bins)
    terms = np.column_stack([gap**2, gap[:, None] * inside])
    # Both are weighted means over images: one product for all samples, no second array of the weights' size.
    weights = patient_weights(positive, patient, settings.bootstrap_samples, settings.bootstrap_seed)
    drawn = (weights @ terms) / weights.sum(axis=1, keepdims=True)
    brier_low, brier_high = percentile_interval(drawn[:, 0])
    ece_low, ece_high = percentile_interval(np.abs(drawn[:, 1:]).sum(axis=1))
    return rounded(
        {
            "brier": brier,
            "brier_low": brier_low,
            "brier_high": brier_high,
            "brier_skill": 1 - brier / (prevalence * (1 - prevalence)),
            "ece": float(np.abs(terms[:, 1:].mean(axis=0)).sum()),
            "ece_low": ece_low,
            "ece_high": ece_high,
            "bins": reliability(positive, score, bins),
        }
    )


def bin_of(score: Score, bins: int) -> NDArray[np.int64]:
    """Return the bin of each score, from 0; a score between two bins is in the lower, as in scikit-learn."""
    return np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], score)


def reliability(positive: Mask, score: Score, bins: int) -> list[dict[str, Any]]:
    """Return the bins that hold images, by rising score.

    Each has its bounds `low` and `high`, its `images`, their `mean_score`, and `observed`, the share of them that is
    covid, with Wilson's interval `observed_low` to `observed_high`.
    """
    edges, own, found = np.linspace(0, 1, bins + 1), bin_of(score, bins), []
    for index in np.unique(own):
        inside = own == index
        images, covid = int(inside.sum()), int(positive[inside].sum())
        low, high = wilson_interval(covid, images)
        found.append(
            {
                "low": float(edges[index]),
                "high": float(edges[index + 1]),
                "images": images,
                "mean_score": float(score[inside].mean()),
                "observed": covid / images,
                "observed_low": low,
                "observed_high": high,
            }
        )
    return found

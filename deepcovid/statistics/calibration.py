"""Calibration: whether of the images scored p a share p is covid."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss

from deepcovid.schema import Strict
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.estimate import Estimate, Number
from deepcovid.statistics.intervals import percentile_interval, wilson_interval

Mask = NDArray[np.bool_]
Score = NDArray[np.float64]


class Bin(Strict):
    """The images whose scores lie between two bounds.

    Attributes:
        low: Lower bound of the scores.
        high: Upper bound.
        images: How many images there are.
        mean_score: Mean of their scores.
        observed: Share of them that is covid; the interval is Wilson's, over images.
    """

    low: Number
    high: Number
    images: int
    mean_score: Number
    observed: Estimate


class Calibration(Strict):
    """The reliability curve of one head's scores, and what it comes to.

    Attributes:
        brier: Mean squared distance of score and label (Brier 1950), in 0..1; the interval is a bootstrap over
            patients.
        brier_skill: Share by which `brier` is below that of always saying the prevalence of these images: 1 is perfect,
            0 no better, below 0 worse.
        ece: Expected calibration error (Naeini et al. 2015, Guo et al. 2017): the mean over bins, weighted by images,
            of |mean score - share of covid|; the interval is a bootstrap over patients. It is biased upwards where
            bins hold few images, and more so in bootstrap samples, so that its interval may lie above it.
        bins: The bins that hold images, by their lower bound as text, rising.
    """

    brier: Estimate
    brier_skill: Number
    ece: Estimate
    bins: dict[str, Bin]


class Calibrations(Strict):
    """results/<data set>/calibration.json: how well the median head of each net is calibrated.

    Attributes:
        recipe: The heads' recipe.
        nets: The calibration of each net, under its name.
    """

    recipe: str
    nets: dict[str, Calibration]


def calibration(score: Score, bootstrap: Bootstrap, bins: int) -> Calibration:
    """Return how well one head's scores are calibrated.

    Args:
        score: (images), P(covid) in 0..1.
        bootstrap: The bootstrap of these images.
        bins: Equally wide ones of the score.
    """
    positive = bootstrap.positive
    prevalence = positive.mean()
    brier = float(brier_score_loss(positive, score))
    gap, inside = score - positive, bin_of(score, bins)[:, None] == np.arange(bins)
    terms = np.column_stack([gap**2, gap[:, None] * inside])
    drawn = bootstrap.mean(terms)  # both are means over images
    ece = float(np.abs(terms[:, 1:].mean(axis=0)).sum())
    return Calibration(
        brier=Estimate.of(brier, percentile_interval(drawn[:, 0])),
        brier_skill=float(1 - brier / (prevalence * (1 - prevalence))),
        ece=Estimate.of(ece, percentile_interval(np.abs(drawn[:, 1:]).sum(axis=1))),
        bins=reliability(positive, score, bins),
    )


def bin_of(score: Score, bins: int) -> NDArray[np.int64]:
    """Return the bin of each score, from 0; a score between two bins is in the lower, as in scikit-learn."""
    return np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], score)


def reliability(positive: Mask, score: Score, bins: int) -> dict[str, Bin]:
    """Return the bins that hold images, by their lower bound as text, rising."""
    edges, own, found = np.linspace(0, 1, bins + 1), bin_of(score, bins), {}
    for index in np.unique(own):
        inside = own == index
        images, covid = int(inside.sum()), int(positive[inside].sum())
        low, high = float(edges[index]), float(edges[index + 1])
        found[f"{low:g}"] = Bin(
            low=low,
            high=high,
            images=images,
            mean_score=float(score[inside].mean()),
            observed=Estimate.of(covid / images, wilson_interval(covid, images)),
        )
    return found

"""The tables behind the plots, one run each: what to draw is in .dvc/plots and dvc.yaml."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from deepcovid.statistics import rates

# The released code's histogram: 25 edges, 24 bins.
HISTOGRAM_EDGES = np.linspace(0, 1, 25)
CUT_OFFS = np.linspace(0, 1, 51)

Mask = NDArray[np.bool_]
Score = NDArray[np.float64]


def roc(positive: Mask, score: Score) -> pd.DataFrame:
    """Return the ROC curve: false_positive_rate, true_positive_rate, cut_off."""
    false_positive, true_positive, cut_offs = roc_curve(positive, score)
    return pd.DataFrame(
        {"false_positive_rate": false_positive, "true_positive_rate": true_positive, "cut_off": cut_offs.clip(0, 1)}
    )


def precision_recall(positive: Mask, score: Score) -> pd.DataFrame:
    """Return the precision-recall curve: recall, precision, cut_off."""
    precision, recall, cut_offs = precision_recall_curve(positive, score, drop_intermediate=True)
    return pd.DataFrame({"recall": recall, "precision": precision, "cut_off": np.append(cut_offs, 1.0)})


def over_cut_offs(positive: Mask, score: Score) -> pd.DataFrame:
    """Return sensitivity and specificity over cut-offs: cut_off, rate, value."""
    called = score[None, :] >= CUT_OFFS[:, None]
    sensitivity = pd.DataFrame({"cut_off": CUT_OFFS, "rate": "sensitivity", "value": called[:, positive].mean(axis=1)})
    specificity = pd.DataFrame(
        {"cut_off": CUT_OFFS, "rate": "specificity", "value": (~called[:, ~positive]).mean(axis=1)}
    )
    return pd.concat([sensitivity, specificity])


def histogram(group: pd.Series, score: Score) -> pd.DataFrame:
    """Return the share of each group's images per bin of score: group, low, high, share."""
    tables = []
    for name in ("covid", "other", "normal"):
        counts, edges = np.histogram(score[(group == name).to_numpy()], HISTOGRAM_EDGES)
        share = counts / max(counts.sum(), 1)
        tables.append(pd.DataFrame({"group": name, "low": edges[:-1], "high": edges[1:], "share": share}))
    return pd.concat(tables)


def confusion(positive: Mask, score: Score, cut_off: float) -> pd.DataFrame:
    """Return the confusion matrix: actual, predicted, images."""
    return rates.cells(rates.confusion(positive, score, cut_off))

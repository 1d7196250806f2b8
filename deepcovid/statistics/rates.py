"""The paper's numbers for one run: rates at the cut-off, areas, intervals, and how they vary over seeds."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from deepcovid.errors import UserError
from deepcovid.settings import EvaluateSettings
from deepcovid.statistics.estimate import Headline
from deepcovid.statistics.intervals import Interval, auc_interval, mean_interval, normal_interval, wilson_interval

Scores = NDArray[np.float64]
Mask = NDArray[np.bool_]
SENSITIVITY_WANTED = 0.98  # where the paper reads off its headline specificity


def evaluate(
    positive: Mask, scores: Scores, patient: pd.Series, cut_off: float, settings: EvaluateSettings
) -> dict[str, Any]:
    """Return the metrics of a run: those of the first seed, and how they vary over all.

    Args:
        positive: (images), true for covid.
        scores: (images, seeds), P(covid).
        patient: (images), for the bootstrap.
        cut_off: An image is called covid from this score on.
        settings: Of the bootstrap.

    Returns:
        Numbers only, nested. `auc_ci95` is a bootstrap over patients; a rate's `_ci95` follows the paper's formula,
        its `_wilson95` Wilson's. Under `over_seeds`, `low` and `high` are Student's t interval of the mean, where
        there are at least two seeds.

    Raises:
        UserError: The test images are of one class only, or a score is not a number.
    """
    if positive.all() or not positive.any():
        raise UserError("evaluate: the test images are of one class only; widen the filter or change the split")
    if not np.isfinite(scores).all():
        raise UserError("evaluate: a score is not a number; lower the recipe's learning rate")
    first = scores[:, 0]
    per_seed = [rates(positive, scores[:, index], cut_off) for index in range(scores.shape[1])]
    own = per_seed[0]
    counts = own["confusion"]
    largest = dict.fromkeys(OVER_SEEDS, 1) | {"predicted_positive": len(positive)}
    interval = auc_interval(positive, first, patient, settings.bootstrap_samples, settings.bootstrap_seed)
    metrics = {
        "auc": own["auc"],
        "auc_ci95": _named(interval),
        "average_precision": float(average_precision_score(positive, first)),
        "accuracy": (counts["tp"] + counts["tn"]) / len(positive),
        "balanced_accuracy": (own["sensitivity"] + own["specificity"]) / 2,
        "majority_accuracy": max(positive.mean(), 1 - positive.mean()),
        "threshold": cut_off,
        **_rate("sensitivity", counts["tp"], counts["tp"] + counts["fn"]),
        **_rate("specificity", counts["tn"], counts["tn"] + counts["fp"]),
        "confusion": counts,
        "at_sensitivity_98": at_sensitivity(positive, first, SENSITIVITY_WANTED),
        "predicted_positive": own["predicted_positive"],
        "collapsed": own["collapsed"],
        "n_test": {"covid": int(positive.sum()), "non": int((~positive).sum())},
        "over_seeds": {"heads": len(per_seed)}
        | {name: _spread([seed[name] for seed in per_seed], largest[name]) for name in OVER_SEEDS},
    }
    # A rounded threshold may fall on the other side of the score that it was read from.
    exact = {"at_sensitivity_98": metrics["at_sensitivity_98"]}
    return rounded(metrics) | exact


def headline(metrics: Mapping[str, Any]) -> Headline:
    """Return the few numbers of a run that people compare."""
    over = metrics["over_seeds"]
    return Headline(
        auc=metrics["auc"],
        auc_low=metrics["auc_ci95"]["low"],
        auc_high=metrics["auc_ci95"]["high"],
        sensitivity=metrics["sensitivity"],
        specificity=metrics["specificity"],
        **metrics["confusion"],
        flags=round(over["collapsed"]["mean"] * over["heads"]),
    )


OVER_SEEDS = ("auc", "sensitivity", "specificity", "predicted_positive", "collapsed")


def rates(positive: Mask, score: Scores, cut_off: float) -> dict[str, Any]:
    """Return AUC, sensitivity, specificity, confusion matrix and collapse of one head."""
    counts = confusion(positive, score, cut_off)
    called = counts["tp"] + counts["fp"]
    return {
        "auc": float(roc_auc_score(positive, score)),
        "sensitivity": counts["tp"] / (counts["tp"] + counts["fn"]),
        "specificity": counts["tn"] / (counts["tn"] + counts["fp"]),
        "confusion": counts,
        "predicted_positive": called,
        "collapsed": int(called in (0, len(score))),
    }


def confusion(positive: Mask, score: Scores, cut_off: float) -> dict[str, int]:
    """Return the images in each cell of the confusion matrix, by tp, fp, fn, tn; a score at the cut-off is covid."""
    called = score >= cut_off
    return {
        "tp": int((called & positive).sum()),
        "fp": int((called & ~positive).sum()),
        "fn": int((~called & positive).sum()),
        "tn": int((~called & ~positive).sum()),
    }


def at_sensitivity(positive: Mask, score: Scores, wanted: float) -> dict[str, float]:
    """Return the highest threshold whose sensitivity is at least `wanted`, with the rates there."""
    false_positive, true_positive, thresholds = roc_curve(positive, score, drop_intermediate=False)
    index = int(np.argmax(true_positive >= wanted))
    return {
        "threshold": float(thresholds[index]),
        "sensitivity": float(true_positive[index]),
        "specificity": float(1 - false_positive[index]),
    }


def _rate(name: str, successes: int, trials: int) -> dict[str, Any]:
    return {
        name: successes / trials,
        f"{name}_ci95": _named(normal_interval(successes, trials)),
        f"{name}_wilson95": _named(wilson_interval(successes, trials)),
    }


def _named(interval: Interval) -> dict[str, float]:
    return {"low": interval[0], "high": interval[1]}


def _spread(values: list[float], largest: float) -> dict[str, float]:
    mean = {"mean": float(np.mean(values))}
    if len(values) > 1:
        mean |= _named(mean_interval(values, largest=largest))
    return mean | {"min": min(values), "max": max(values)}


def rounded(value: Any, digits: int = 6) -> Any:
    """Return nested numbers with floats rounded, so that files differ only where results do."""
    if isinstance(value, dict):
        return {key: rounded(part, digits) for key, part in value.items()}
    if isinstance(value, list):
        return [rounded(part, digits) for part in value]
    return round(float(value), digits) if isinstance(value, float | np.floating) else value

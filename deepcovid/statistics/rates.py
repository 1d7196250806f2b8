"""The paper's numbers for one run: rates at the cut-off, areas, intervals, and how they vary over seeds."""

import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from deepcovid.errors import UserError
from deepcovid.heads.scoring import median_head
from deepcovid.schema import Strict
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.counts import Confusion, Counts
from deepcovid.statistics.estimate import Bounds, Estimate, Headline, Number
from deepcovid.statistics.further import Further
from deepcovid.statistics.intervals import mean_interval, normal_interval, rate_interval, wilson_interval

Scores = NDArray[np.float64]
Mask = NDArray[np.bool_]
SENSITIVITY_WANTED = 0.98  # where the paper reads off its headline specificity


class Rate(Strict):
    """A share of images, in 0..1.

    Attributes:
        value: The share.
        patients: Its interval, a bootstrap over patients; at 0 and 1 Wilson's, with patients in place of images.
        paper: The interval of the paper's formula, which takes images for independent.
        wilson: Wilson's interval, which does too.
    """

    value: Number
    patients: Bounds
    paper: Bounds
    wilson: Bounds


class AtSensitivity(Strict):
    """The rates at a cut-off that was chosen by its sensitivity. A rounded cut-off may fall on the other side of the
    score that it was read from, so these keep every bit."""

    cut_off: float
    sensitivity: float
    specificity: float


class Spread(Strict):
    """How a number varies over the heads of a run, one head a seed.

    Attributes:
        mean: The mean over heads with Student's t interval, over runs where there are several of a net, over seeds
            otherwise; Wilson's, over heads, for a share of heads. None where there is one head.
        min: The lowest of a head.
        max: The highest.
    """

    mean: Estimate | None = None
    min: Number
    max: Number


class OverSeeds(Strict):
    """How the numbers of a run vary over its heads.

    Attributes:
        heads: How many there are.
        auc: Area under the ROC curve.
        sensitivity: Share of COVID images that are called so.
        specificity: Share of the others that are called so.
        predicted_positive: Test images that are called covid.
        collapsed: 1 for a head that calls every test image alike, else 0; the mean is the share of such heads.
    """

    heads: int
    auc: Spread
    sensitivity: Spread
    specificity: Spread
    predicted_positive: Spread
    collapsed: Spread


class RunResult(Strict):
    """The numbers of one run, a net under a recipe: those of the median head, and how they vary over all heads.

    Attributes:
        auc: Area under the ROC curve; the interval is a bootstrap over patients.
        average_precision: Area under the precision-recall curve, as a sum of steps.
        accuracy: Share of images that are called what they are.
        balanced_accuracy: Mean of sensitivity and specificity.
        majority_accuracy: What calling every image of the larger class would reach.
        cut_off: An image is called covid from this score on.
        sensitivity: Share of COVID images that are called so.
        specificity: Share of the others that are called so.
        confusion: The confusion matrix at the cut-off.
        at_sensitivity_98: The rates at the highest cut-off whose sensitivity is at least SENSITIVITY_WANTED.
        predicted_positive: Test images that are called covid.
        collapsed: 1 if every test image is called alike, else 0.
        n_test: Test images.
        over_seeds: The spread over all heads.
        shown: The head whose numbers these are. None where it is the one that is shown elsewhere, on other people's
            images.
        further: What epochs past the cap of a replay could have brought; None where there is no cap.
    """

    auc: Estimate
    average_precision: Number
    accuracy: Number
    balanced_accuracy: Number
    majority_accuracy: Number
    cut_off: Number
    sensitivity: Rate
    specificity: Rate
    confusion: Confusion
    at_sensitivity_98: AtSensitivity
    predicted_positive: int
    collapsed: int
    n_test: Counts
    over_seeds: OverSeeds
    shown: str | None = None
    further: Further | None = None

    @property
    def collapsed_heads(self) -> int:
        """How many of the heads call every test image alike."""
        heads, spread = self.over_seeds.heads, self.over_seeds.collapsed
        return round((spread.mean.value if spread.mean else spread.max) * heads)


class Runs(Strict):
    """results/<data set>/runs.json: the numbers of every run, by `<net>-<recipe>`."""

    runs: dict[str, RunResult]


def headline(result: RunResult) -> Headline:
    """Return the few numbers of a run that people compare."""
    return Headline(
        auc=result.auc.value,
        auc_low=result.auc.low,
        auc_high=result.auc.high,
        sensitivity=result.sensitivity.value,
        specificity=result.specificity.value,
        **dict(result.confusion),
    )


@dataclass(frozen=True)
class HeadRates:
    """The numbers of one head; the fields are those of RunResult."""

    auc: float
    sensitivity: float
    specificity: float
    confusion: Confusion
    predicted_positive: int
    collapsed: int

    @property
    def accuracy(self) -> float:
        """Share of images that are called what they are."""
        cells = self.confusion
        return (cells.tp + cells.tn) / (cells.tp + cells.fp + cells.fn + cells.tn)

    @property
    def balanced_accuracy(self) -> float:
        """Mean of sensitivity and specificity."""
        return (self.sensitivity + self.specificity) / 2


def evaluate(
    scores: Scores,
    bootstrap: Bootstrap,
    cut_off: float,
    units: Sequence[int] | None = None,
    shown: int | None = None,
) -> RunResult:
    """Return the numbers of a run.

    Args:
        scores: (images, heads), P(covid).
        bootstrap: The bootstrap of these images.
        cut_off: An image is called covid from this score on.
        units: (heads), which of them depend on each other: see `units_of`. If left out, none do.
        shown: Which head's numbers are shown; the median one of these images if left out.

    Raises:
        UserError: A score is not a number.
    """
    if not np.isfinite(scores).all():
        raise UserError("evaluate: a score is not a number; lower the recipe's learning rate")
    positive = bootstrap.positive
    shown = median_head(scores, positive) if shown is None else shown
    per_seed = [rates(positive, scores[:, index], cut_off) for index in range(scores.shape[1])]
    score, own = scores[:, shown], per_seed[shown]
    right = (score >= cut_off) == positive
    counts = Counts.of(positive)
    return RunResult(
        auc=bootstrap.auc_estimate(score),
        average_precision=float(average_precision_score(positive, score)),
        accuracy=own.accuracy,
        balanced_accuracy=own.balanced_accuracy,
        majority_accuracy=max(counts.covid, counts.non) / len(positive),
        cut_off=cut_off,
        sensitivity=_rate(right, positive, bootstrap),
        specificity=_rate(right, ~positive, bootstrap),
        confusion=own.confusion,
        at_sensitivity_98=at_sensitivity(positive, score, SENSITIVITY_WANTED),
        predicted_positive=own.predicted_positive,
        collapsed=own.collapsed,
        n_test=counts,
        over_seeds=OverSeeds(
            heads=len(per_seed),
            auc=_spread([head.auc for head in per_seed], units),
            sensitivity=_spread([head.sensitivity for head in per_seed], units),
            specificity=_spread([head.specificity for head in per_seed], units),
            predicted_positive=_spread([head.predicted_positive for head in per_seed], units, len(positive)),
            collapsed=_share([head.collapsed for head in per_seed]),
        ),
    )


def rates(positive: Mask, score: Scores, cut_off: float, auc: float | None = None) -> HeadRates:
    """Return AUC, sensitivity, specificity, confusion matrix and collapse of one head; `auc` saves time if known."""
    counts = confusion(positive, score, cut_off)
    called = counts.tp + counts.fp
    return HeadRates(
        auc=float(roc_auc_score(positive, score)) if auc is None else auc,
        sensitivity=counts.tp / (counts.tp + counts.fn),
        specificity=counts.tn / (counts.tn + counts.fp),
        confusion=counts,
        predicted_positive=called,
        collapsed=int(called in (0, len(score))),
    )


def confusion(positive: Mask, score: Scores, cut_off: float) -> Confusion:
    """Return the confusion matrix; a score at the cut-off is covid."""
    called = score >= cut_off
    return Confusion(
        tp=int((called & positive).sum()),
        fp=int((called & ~positive).sum()),
        fn=int((~called & positive).sum()),
        tn=int((~called & ~positive).sum()),
    )


def cells(confusion: Confusion) -> pd.DataFrame:
    """Return a confusion matrix as a table, a cell a row: actual, predicted, images."""
    return pd.DataFrame(
        {
            "actual": ["covid", "covid", "non", "non"],
            "predicted": ["covid", "non"] * 2,
            "images": [confusion.tp, confusion.fn, confusion.fp, confusion.tn],
        }
    )


def at_sensitivity(positive: Mask, score: Scores, wanted: float) -> AtSensitivity:
    """Return the highest cut-off whose sensitivity is at least `wanted`, with the rates there."""
    false_positive, true_positive, thresholds = roc_curve(positive, score, drop_intermediate=False)
    index = int(np.argmax(true_positive >= wanted))
    return AtSensitivity(
        cut_off=float(thresholds[index]),
        sensitivity=float(true_positive[index]),
        specificity=float(1 - false_positive[index]),
    )


def units_of(heads: Iterable[Hashable]) -> list[int]:
    """Return, by the names of heads, which of them count as one in an interval over heads.

    Heads of one run of a net, seed_<seed>_run_<run>, share the order of the images and the crops: where there are
    several runs, a run counts once. Otherwise a seed does.
    """
    found = [re.fullmatch(r"seed_(\d+)(?:_run_(\d+))?", str(name)) for name in heads]
    names = [(int(one[1]), int(one[2] or 0)) for one in found if one]
    several = len({run for _, run in names}) > 1
    return [run if several else seed for seed, run in names]


def mean_over_units(values: Sequence[float], units: Sequence[int] | None, largest: float = 1) -> Estimate:
    """Return the mean of two or more values, with Student's interval over the means of units: see `units_of`."""
    means = pd.Series(values).groupby(list(range(len(values)) if units is None else units)).mean()
    return Estimate.of(float(means.mean()), mean_interval(means.tolist(), largest=largest))


def _rate(right: Mask, side: Mask, bootstrap: Bootstrap) -> Rate:
    """Return the share of images of one class, `side` (images), that are called what they are, `right` (images)."""
    successes, trials = int(right[side].sum()), int(side.sum())
    rate, patients = successes / trials, bootstrap.patients[0 if side is bootstrap.positive else 1]
    return Rate(
        value=rate,
        patients=Bounds.of(rate_interval(rate, bootstrap.mean(right[:, None], side)[:, 0], patients)),
        paper=Bounds.of(normal_interval(successes, trials)),
        wilson=Bounds.of(wilson_interval(successes, trials)),
    )


def _spread(values: Sequence[float], units: Sequence[int] | None, largest: float = 1) -> Spread:
    mean = mean_over_units(values, units, largest) if len(values) > 1 else None
    return Spread(mean=mean, min=min(values), max=max(values))


def _share(of_heads: Sequence[int]) -> Spread:
    """Return the spread of what a head does or does not do, 0 or 1."""
    interval = wilson_interval(sum(of_heads), len(of_heads))
    mean = Estimate.of(float(np.mean(of_heads)), interval) if len(of_heads) > 1 else None
    return Spread(mean=mean, min=min(of_heads), max=max(of_heads))

"""How little is enough: AUCs of classifiers without a trained net, beside those of the nets.

Five small sets of numbers an image, of the image as it is and after all were saved alike, each under a logistic
regression, fitted and tested on the same split as the heads; the nets' scores come from elsewhere.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deepcovid import catalogue
from deepcovid.audits.audit import AucOverSeeds, Audit
from deepcovid.audits.enough import PIPELINE, Way, by_net
from deepcovid.drawing.blocks import Block
from deepcovid.drawing.steps import Step
from deepcovid.drawing.tables import signed, spread
from deepcovid.errors import UserError
from deepcovid.heads.scoring import median_head
from deepcovid.nets.zoo import title_of
from deepcovid.schema import Strict
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.estimate import Estimate, Headline
from deepcovid.statistics.intervals import pivotal_interval

GREY_LEVELS, BINS = 256, 32
TRAINED_ON = {"xrv_densenet121": "chest X-ray"}  # what a net's published weights were trained on, where not ImageNet
FRAME_BLOCK = 8  # pixels, the width of the frame and the side of its blocks
ITERATIONS = 5000  # enough for the solver to converge; scikit-learn's 100 are not

Grey = NDArray[np.float32]  # (batch, side, side), 0..255
Numbers = NDArray[np.float32]  # (batch, numbers)


class Input(NamedTuple):
    """What a classifier is given: a few plain words, its kind, and how many numbers an image.

    The kind is hand-made, untrained (features of a net with random weights) or pipeline (those of the pipeline's net).
    """

    title: str
    kind: str
    numbers: int


class Baseline(Strict):
    """What one classifier reaches.

    Attributes:
        title: What it is given, in plain words.
        kind: The kind of that: a key of deepcovid.audits.enough.KINDS.
        numbers: How many numbers stand for an image.
        auc: The AUC of the median head; the interval is a bootstrap over patients.
        over_seeds: How the AUC varies over the heads, where there are several.
        above_best: By how much the pipeline's net is above the best of those without a trained net, with its paired
            interval.
    """

    title: str
    kind: str
    numbers: int
    auc: Estimate
    over_seeds: AucOverSeeds | None = None
    above_best: Estimate | None = None


class Best(Strict):
    """The best of several classifiers without a trained net.

    Attributes:
        title: What it is given, in plain words.
        of: How many there are; those that are tried on all test images.
        auc: Its AUC, which is optimistic, as it was chosen on the same images. The interval allows for the choice: it
            holds its own interval and that of a bootstrap in which the best of each sample counts (`pivotal_interval`).
    """

    title: str
    of: int
    auc: Estimate


class Baselines(Audit):
    """How little of an image is enough.

    Attributes:
        recipe: Recipe of the nets' heads.
        baselines: Each classifier by name: a key of FIGURES, the same and `-alike` on images that were saved alike, a
            net, or `untrained-` and a net.
        best: The best of all that have no trained net, those of the audit `acquisition` among them.
        short_side: Short side of the images that were saved alike, pixels; smaller ones keep theirs.
    """

    recipe: str
    baselines: dict[str, Baseline]
    best: Best
    short_side: int

    def headline(self) -> Headline:
        """Return the highest AUC of a classifier without a trained net."""
        auc = self.best.auc
        return Headline.of(auc)

    def ways(self) -> Iterator[Way]:
        """Yield the classifiers, by rising AUC."""
        for name, one in self._rising():
            model = name if one.kind == PIPELINE else ""
            yield Way(one.title, one.kind, one.auc, numbers=one.numbers, model=model)

    def sentences(self) -> Iterable[str]:
        """Yield the best way without a trained net, and what the pipeline's own heads reach beside it."""
        yield (
            f"Without a trained net an AUC of {spread(self.best.auc)} can be had, from: {self.best.title}. It is the "
            f"best of {self.best.of} on these very images; the interval allows for the choice."
        )
        nets = {name: one for name, one in self._rising() if one.kind == PIPELINE}
        if nets:
            differences = "; ".join(
                f"{signed(own.above_best)} with {title_of(name)}" for name, own in nets.items() if own.above_best
            )
            yield (
                f"The pipeline's own heads reach {by_net({name: own.auc for name, own in nets.items()})}. The "
                f"difference from that best is {differences}."
            )

    def blocks(self, step: Step) -> Iterable[Block]:
        """Yield nothing: the figure that compares the audits shows the classifiers."""
        return ()

    def _rising(self) -> list[tuple[str, Baseline]]:
        return sorted(self.baselines.items(), key=lambda item: (item[1].auc.value, item[0]))


def weights_of(source: str, model: str) -> str:
    """Return a net's weights in a few words; `source` is the data set's `weights.source`."""
    known = {"random": "random weights of the pipeline", "imagenet": f"{TRAINED_ON.get(model, 'ImageNet')} weights"}
    return known.get(source, "weights of a file")


def sharpness(grey: Grey) -> Numbers:
    """Return three numbers an image, in grey levels.

    The mean absolute first difference along rows (a pixel and its right neighbour), the same along columns (a pixel and
    the one below), and the mean absolute second difference over rows and columns together.
    """
    along_rows, along_columns = np.diff(grey, axis=2), np.diff(grey, axis=1)
    second = [np.abs(np.diff(along_rows, axis=2)), np.abs(np.diff(along_columns, axis=1))]
    first = [np.abs(along_rows).mean((1, 2)), np.abs(along_columns).mean((1, 2))]
    return np.stack([*first, sum(part.mean((1, 2)) for part in second) / 2], axis=1)


def histogram(grey: Grey) -> Numbers:
    """Return the share of the image's pixels in each of 32 equally wide bins of grey levels."""
    images, pixels = len(grey), grey[0].size
    bins = (grey.reshape(images, pixels) * (BINS / GREY_LEVELS)).astype(np.int64)
    counts = np.bincount((bins + BINS * np.arange(images)[:, None]).ravel(), minlength=BINS * images)
    return (counts.reshape(images, BINS) / pixels).astype(np.float32)


def block_means(grey: Grey, blocks: int) -> NDArray[np.float32]:
    """Return the mean of each of `blocks` x `blocks` equal squares of the image, (batch, blocks, blocks)."""
    images, side = grey.shape[:2]
    squares = grey.reshape(images, blocks, side // blocks, blocks, side // blocks)
    return squares.mean(axis=(2, 4))


def thumbnail(grey: Grey, side: int) -> Numbers:
    """Return the image reduced to `side` x `side` area means, row by row."""
    return block_means(grey, side).reshape(len(grey), -1)


def frame(grey: Grey) -> Numbers:
    """Return the image's outermost 8 pixels as the means of squares of 8 x 8: 108 of a 224 x 224 image."""
    squares = block_means(grey, grey.shape[1] // FRAME_BLOCK)
    outer = np.ones(squares.shape[1:], dtype=bool)
    outer[1:-1, 1:-1] = False
    return squares[:, outer]


# By name: what it is in plain words, and the function.
FIGURES = {
    "sharpness": ("three figures of sharpness", sharpness),
    "histogram": ("32-bin histogram of grey levels", histogram),
    "thumbnail-8": ("8 x 8 thumbnail", lambda grey: thumbnail(grey, 8)),
    "thumbnail-16": ("16 x 16 thumbnail", lambda grey: thumbnail(grey, 16)),
    "frame": ("outer frame, 8 pixels wide", frame),
}


def figures(batches: Iterable[NDArray[np.uint8]]) -> dict[str, Numbers]:
    """Return each of FIGURES for all images, (images, numbers); memory is that of one batch and of the numbers.

    Args:
        batches: Each uint8 (batch, side, side, 1 or 3), the side a multiple of 16; colours are averaged.
    """
    parts: dict[str, list[Numbers]] = {name: [] for name in FIGURES}
    for batch in batches:
        grey = batch[..., 0].astype(np.float32) if batch.shape[3] == 1 else batch.mean(axis=3, dtype=np.float32)
        for name, (_, figure) in FIGURES.items():
            parts[name].append(figure(grey))
    return {name: np.concatenate(found) for name, found in parts.items()}


def fitted_scores(numbers: Numbers, table: pd.DataFrame) -> NDArray[np.float64]:
    """Return the test images' scores (test images) under `fitted_log_odds`, whose arguments these are.

    Raises:
        UserError: The training originals are of one class only, or there are no test images.
    """
    test = catalogue.in_test(table).to_numpy()
    log_odds = fitted_log_odds(numbers, table)
    if not test.any():
        raise UserError("baselines: there are no test images; widen the filter or change the split")
    return log_odds(numbers[test])


def fitted_log_odds(numbers: Numbers, table: pd.DataFrame) -> Callable[[Numbers], NDArray[np.float64]]:
    """Return what maps numbers of images to scores, larger for covid: a logistic regression on standardised numbers.

    It is fitted on the training originals, with scikit-learn's defaults.

    Args:
        numbers: (images, numbers).
        table: The catalogue (images), with its split.

    Raises:
        UserError: The training originals are of one class only.
    """
    train = catalogue.in_training(table, augmented=False).to_numpy()
    positive = catalogue.covid(table).to_numpy()[train]
    if positive.all() or not positive.any():
        raise UserError("baselines: the training images are of one class only; widen the filter or change the split")
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=ITERATIONS))
    model.fit(numbers[train], positive)
    return lambda others: np.asarray(model.decision_function(others), dtype=np.float64)


def best_of(scores: Mapping[str, NDArray[np.float64]], bootstrap: Bootstrap) -> tuple[Best, NDArray[np.float64]]:
    """Return the best of several classifiers, and on each bootstrap sample the AUC of the best one there (samples).

    Args:
        scores: Scores (images), larger for covid, under what the classifier is given, in plain words.
        bootstrap: The bootstrap of these images.
    """
    areas = {title: bootstrap.area(score) for title, score in scores.items()}
    draws = {title: bootstrap.auc(score) for title, score in scores.items()}
    title, drawn = max(areas, key=lambda one: areas[one]), np.max(list(draws.values()), axis=0)
    own = bootstrap.with_interval(areas[title], draws[title])
    low, high = pivotal_interval(own.value, drawn)
    widest = min(low, own.low), max(high, own.high)
    return Best(title=title, of=len(scores), auc=Estimate.of(own.value, widest)), drawn


def above(
    auc: float, score: NDArray[np.float64], best: float, drawn: NDArray[np.float64], bootstrap: Bootstrap
) -> Estimate:
    """Return by how much a net's AUC is above that of the best without a trained net; `drawn` is of `best_of`."""
    difference = auc - best
    return Estimate.of(difference, pivotal_interval(difference, bootstrap.auc(score) - drawn))


def baseline(given: Input, scores: NDArray[np.float64], bootstrap: Bootstrap) -> Baseline:
    """Return what one classifier reaches.

    Args:
        given: What the classifier is given.
        scores: (images, heads), larger for covid. The median head's AUC is the baseline's.
        bootstrap: The bootstrap of these images.
    """
    areas = [bootstrap.area(column) for column in scores.T]
    spread = AucOverSeeds.of(areas) if len(areas) > 1 else None
    shown = scores[:, median_head(scores, bootstrap.positive)]
    return Baseline(**given._asdict(), auc=bootstrap.auc_estimate(shown), over_seeds=spread)

"""How little is enough: AUCs of classifiers that cannot know disease, beside those of the nets.

Five small sets of numbers an image, each under a logistic regression, fitted and tested on the same split as the heads;
the nets' scores come from elsewhere.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from deepcovid import catalogue
from deepcovid.audits.audit import AucOverSeeds, Audit, area
from deepcovid.audits.enough import PIPELINE, Way
from deepcovid.audits.enough import sentences as sentences_on_ways
from deepcovid.drawing.blocks import Block
from deepcovid.drawing.steps import Step
from deepcovid.errors import UserError
from deepcovid.schema import Strict
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.estimate import Estimate, Headline

GREY_LEVELS, BINS = 256, 32
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
        auc: The AUC of the first head; the interval is a bootstrap over patients.
        over_seeds: How the AUC varies over the heads, where there are several.
    """

    title: str
    kind: str
    numbers: int
    auc: Estimate
    over_seeds: AucOverSeeds | None = None


class Baselines(Audit):
    """How little of an image is enough.

    Attributes:
        recipe: Recipe of the nets' heads.
        baselines: Each classifier by name: a key of FIGURES, a net, or `untrained-` and a net.
    """

    recipe: str
    baselines: dict[str, Baseline]

    def headline(self) -> Headline:
        """Return the highest AUC of a classifier that cannot know disease."""
        best = max((one.auc for one in self.baselines.values() if one.kind != PIPELINE), key=lambda auc: auc.value)
        return Headline(auc=best.value, auc_low=best.low, auc_high=best.high)

    def ways(self) -> Iterator[Way]:
        """Yield the classifiers, by rising AUC."""
        for name, one in self._rising():
            model = name if one.kind == PIPELINE else ""
            yield Way(one.title, one.kind, one.auc, numbers=one.numbers, model=model)

    def sentences(self, ways: Sequence[Way]) -> Iterable[str]:
        """Yield what all ways together come to, those of other audits too."""
        return sentences_on_ways(ways)

    def blocks(self, step: Step) -> Iterable[Block]:
        """Yield nothing: the figure that compares the audits shows the classifiers."""
        return ()

    def plots(self) -> dict[str, pd.DataFrame]:
        """Return a row per classifier."""
        rows = [
            {"name": name, **one.model_dump(include={"title", "kind", "numbers"}), **area(one.auc)}
            for name, one in self._rising()
        ]
        return {"enough": pd.DataFrame(rows)}

    def _rising(self) -> list[tuple[str, Baseline]]:
        return sorted(self.baselines.items(), key=lambda item: (item[1].auc.value, item[0]))


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


def baseline(given: Input, scores: NDArray[np.float64], bootstrap: Bootstrap) -> Baseline:
    """Return what one classifier reaches.

    Args:
        given: What the classifier is given.
        scores: (images, heads), larger for covid. The first head's AUC is the baseline's.
        bootstrap: The bootstrap of these images.
    """
    areas = [float(roc_auc_score(bootstrap.positive, column)) for column in scores.T]
    spread = AucOverSeeds.of(areas) if len(areas) > 1 else None
    return Baseline(**given._asdict(), auc=bootstrap.auc_estimate(scores[:, 0]), over_seeds=spread)

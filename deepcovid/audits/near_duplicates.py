"""Pairs of images that are nearly the same picture, and how well they are found.

Pairs whose frozen features, whitened, are alike are compared point by point (deepcovid/audits/keypoints.py). From how
many points on a pair is a near-duplicate is set on the augmented copies, which are duplicates that are known.

Measured on covid-xray-5k at 224 x 224 pixels with ResNet18's features (336 published copies, zoomed, turned and
distorted, against their originals; 2.16 million pairs of different patients): all copies share 21 points at least, half
of them 91, and no pair of different patients, of 4,000 drawn from those whose features are alike, more than 13. The
features alone, at the cosine that one pair of different patients in a million reaches, find half of the copies; a
64-bit perceptual hash 18 %.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.covariance import LedoitWolf

from deepcovid import catalogue
from deepcovid.audits.keypoints import Keypoints, matched_points
from deepcovid.schema import Strict
from deepcovid.statistics.estimate import Estimate, Number
from deepcovid.statistics.intervals import wilson_interval

FEWEST_FOUND = 0.5  # share of the copies; a search that finds fewer says nothing of other pairs
FEWEST = 10  # points in which a near-duplicate matches, however little the copies have in common
BLOCK = 2**24  # similarities held at a time: 64 MiB
Vectors = NDArray[np.float32]
Rows = NDArray[np.intp]


class FalseAlarms(Strict):
    """How often training images of different patients are alike enough to count as near-duplicates.

    Attributes:
        pairs: Pairs of training images that are known to be of different patients.
        found: How many of them count as near-duplicates.
        per_million: The same as a rate, with Wilson's interval.
        expected: How many pairs of a training and a test image count as near-duplicates at that rate, by chance alone.
        skipped: Why nothing is known of false alarms, where that is so.
    """

    pairs: int
    found: int | None = None
    per_million: Estimate | None = None
    expected: Estimate | None = None
    skipped: str | None = None


class Search(Strict):
    """How near-duplicates were looked for, and how well that works.

    Attributes:
        threshold: Matched points from which on a pair is a near-duplicate.
        features_cosine: Cosine of the whitened features from which on a pair is compared point by point.
        copies: Augmented copies, which are duplicates that are known.
        sensitivity: The share of them that the search finds by their originals; the interval is Wilson's, over copies.
        false_alarms: What it finds where there is nothing.
        reached: How many pairs of a training and a test image reach the threshold.
    """

    threshold: int
    features_cosine: Number
    copies: int
    sensitivity: Estimate
    false_alarms: FalseAlarms
    reached: int

    @property
    def chance_alone(self) -> bool:
        """Whether no more pairs reach the threshold than are expected by chance; then none of them counts."""
        expected = self.false_alarms.expected
        return expected is not None and 0 < self.reached <= expected.value

    @property
    def blind(self) -> bool:
        """Whether it misses most of the duplicates that are known; then what it finds says nothing."""
        return self.sensitivity.value < FEWEST_FOUND

    @property
    def counts(self) -> bool:
        """Whether the pairs that reach the threshold count."""
        return not (self.chance_alone or self.blind)


def whitened(features: NDArray[np.float32], fitted: NDArray[np.bool_]) -> Vectors:
    """Return features (images, features) standardised, whitened and of length 1, so that a product is a cosine.

    The covariance is that of the `fitted` images, shrunk as Ledoit and Wolf (2004) say. They should be the originals of
    train and test alike: fitted to one side, pairs within it would look less alike than pairs across.
    """
    mean, deviation = features[fitted].mean(axis=0, dtype=float), features[fitted].std(axis=0, dtype=float)
    values = (features - mean) / np.where(deviation > 0, deviation, 1)
    covariance = LedoitWolf(assume_centered=True, store_precision=False).fit(values[fitted]).covariance_
    variances, directions = eigh(covariance)
    kept = variances > 1e-9 * variances.max()
    values = values @ (directions[:, kept] / np.sqrt(variances[kept]))
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return (values / np.where(length > 0, length, 1)).astype(np.float32)


class Points(NamedTuple):
    """The keypoints of a catalogue's images, and of the images mirrored."""

    straight: Keypoints
    mirrored: Keypoints

    def matched(self, pairs: Rows, title: str) -> Rows:
        """Return in how many points the images of pairs (pairs, 2) match, either as it is or mirrored."""
        sides = [matched_points(side, self.straight, pairs, title) for side in self]
        return np.maximum(*sides)


def near_duplicates(
    table: pd.DataFrame,
    vectors: Vectors,
    points: Points,
    sides: tuple[Rows, Rows],
    sensitivity: float,
    most_pairs: int,
) -> tuple[Search | None, pd.DataFrame]:
    """Return how near-duplicates were looked for, and the pairs (train, test) of rows that were found.

    Without augmented copies there is no threshold: the search is None, and there are no pairs. There are none either
    where as many would be found by chance.

    Args:
        table: The catalogue (images), with its split, and a digest of each image's pixels in the column `pixels`.
        vectors: (images, features), as `whitened` returns them.
        points: The keypoints of the images.
        sides: The rows of the training originals, and of the test images.
        sensitivity: Share of the augmented copies that is to be found by their originals.
        most_pairs: Pairs of train and test that are compared point by point: those most alike, where the features of
            the copies would let more through. Then fewer copies are found, as the search's sensitivity says.
    """
    copies = np.flatnonzero((catalogue.in_training(table, augmented=True) & catalogue.copies(table)).to_numpy())
    if not len(copies):
        return None, pd.DataFrame({"train": [], "test": []}, dtype=int)
    known = np.column_stack([original_rows(table)[copies], copies])
    cosine = _similarity(vectors, *known.T)
    # Of the copies that may be missed, one half at the first sieve, the other at the second.
    first = (1 + sensitivity) / 2
    alike = max(_reached_by(cosine, first), _reached_by_most(vectors, *sides, most_pairs))
    compared = cosine >= alike
    shared = np.where(compared, points.matched(known, "comparing copies"), 0)
    least = max(int(_reached_by(shared, sensitivity * min(1.0, compared.mean() / first))), FEWEST)
    found = int((shared >= least).sum())
    pairs = _alike(vectors, *sides, alike)
    near = pairs[points.matched(pairs, "comparing train and test") >= least]
    search = Search(
        threshold=least,
        features_cosine=alike,
        copies=len(copies),
        sensitivity=share_of(found, len(copies)),
        false_alarms=_false_alarms(table, vectors, points, sides, alike, least),
        reached=len(near),
    )
    return search, pd.DataFrame(near if search.counts else near[:0], columns=["train", "test"])


def _false_alarms(
    table: pd.DataFrame, vectors: Vectors, points: Points, sides: tuple[Rows, Rows], alike: float, least: int
) -> FalseAlarms:
    """Return how often training images of different patients reach the threshold, `least` points.

    Pairs are compared point by point if the cosine of their vectors is at least `alike`.
    """
    originals, test = sides
    # An image that stands twice in training, under two patients, is a duplicate and no example of the contrary.
    known = table.loc[originals]
    rows = known.index[(known["patient_id"] != "") & ~known["pixels"].duplicated()].to_numpy()
    patient = np.unique(table["patient_id"][rows].to_numpy(str), return_inverse=True)[1]
    number = (len(rows) ** 2 - int((np.bincount(patient) ** 2).sum())) // 2 if len(rows) else 0
    if not number:
        return FalseAlarms(pairs=0, skipped="no two training images are known to be of different patients")
    pairs = _alike(vectors, rows, rows, alike)
    of = dict(zip(rows.tolist(), patient.tolist(), strict=True))
    strangers = [first < second and of[first] != of[second] for first, second in pairs.tolist()]
    wrong = int((points.matched(pairs[np.array(strangers, bool)], "comparing patients") >= least).sum())
    low, high = wilson_interval(wrong, number)
    rate = Estimate.of(1e6 * wrong / number, (1e6 * low, 1e6 * high))
    # What is expected follows from the rate as it is rounded for the file, so that a reader can check it.
    factor = len(originals) * len(test) / 1e6
    return FalseAlarms(
        pairs=number,
        found=wrong,
        per_million=rate,
        expected=Estimate.of(factor * rate.value, (factor * rate.low, factor * rate.high)),
    )


def share_of(part: int, number: int) -> Estimate:
    """Return `part` of `number` as a share with Wilson's interval."""
    return Estimate.of(part / number, wilson_interval(part, number))


def _reached_by(values: NDArray[Any], share: float) -> float:
    """Return the highest value that at least this share of `values` reaches."""
    return float(-np.sort(-values)[math.ceil(share * len(values) - 1e-9) - 1])


def _reached_by_most(vectors: Vectors, left: Rows, right: Rows, most: int) -> float:
    """Return the lowest cosine of the `most` pairs that are most alike; minus infinity where there are no more."""
    if len(left) * len(right) <= most:
        return -math.inf
    kept = np.empty(0, np.float32)
    for _, similarity in _similarities(vectors[left], vectors[right]):
        kept = np.concatenate([kept, similarity.ravel()])
        kept = np.partition(kept, max(len(kept) - most, 0))[-most:]
    return float(kept.min())


def _alike(vectors: Vectors, left: Rows, right: Rows, least: float) -> Rows:
    """Return the pairs (pairs, 2) of a row of `left` and one of `right` whose cosine is at least `least`."""
    found = [
        np.column_stack([left[rows[first]], right[second]])
        for rows, similarity in _similarities(vectors[left], vectors[right])
        for first, second in [np.nonzero(similarity >= least)]
    ]
    return np.concatenate([np.empty((0, 2), np.intp), *found])


def _similarities(left: Vectors, right: Vectors) -> Iterator[tuple[Rows, Vectors]]:
    """Yield the cosines of every pair, some rows of `left` at a time: which rows, and (rows, right)."""
    size = max(BLOCK // max(len(right), 1), 1)
    for start in range(0, len(left), size):
        part = left[start : start + size]
        yield np.arange(start, start + len(part)), part @ right.T


def _similarity(vectors: Vectors, first: Rows, second: Rows) -> Vectors:
    """Return the cosine of each pair of rows, as (pairs)."""
    size = BLOCK // max(vectors.shape[1], 1)
    parts = [
        np.einsum("ij,ij->i", vectors[first[start : start + size]], vectors[second[start : start + size]])
        for start in range(0, len(first), size)
    ]
    return np.concatenate([np.empty(0, np.float32), *parts])


def original_rows(table: pd.DataFrame) -> Rows:
    """Return the row of each image's original, its own where it is one."""
    return pd.Index(table["image_id"]).get_indexer(pd.Index(catalogue.original_of(table)))

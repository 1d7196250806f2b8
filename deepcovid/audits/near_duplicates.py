"""Pairs of images that are nearly the same picture, and how well they are found.

Pairs whose frozen features, whitened, are alike are compared point by point (deepcovid/audits/keypoints.py). From how
many points on a pair is a near-duplicate is set on augmented copies, which are duplicates that are known: on those of
every second original. How many duplicates are found is measured on the copies of the others.

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
PAIRS = {"covid": "of two COVID images", "others": "with one other at least"}
FEWEST = 10  # points in which a near-duplicate matches, however little the copies have in common
BLOCK = 2**24  # similarities held at a time: 64 MiB
Vectors = NDArray[np.float32]
Rows = NDArray[np.intp]


class FalseAlarms(Strict):
    """How often training images of different patients are alike enough to count as near-duplicates.

    Attributes:
        pairs: Pairs of such images, of one kind, that are known to be of different patients.
        found: How many of them count as near-duplicates.
        per_million: The same as a rate, with Wilson's interval.
        expected: How many such pairs of a training and a test image count as near-duplicates at that rate, by chance
            alone.
        skipped: Why nothing is known of false alarms, where that is so.
    """

    pairs: int
    found: int | None = None
    per_million: Estimate | None = None
    expected: Estimate | None = None
    skipped: str | None = None


class Kind(Strict):
    """What the search finds among the pairs of one kind.

    Attributes:
        false_alarms: What it finds where there is nothing.
        reached: How many pairs of a training and a test image reach the threshold.
    """

    false_alarms: FalseAlarms
    reached: int

    @property
    def chance_alone(self) -> bool:
        """Whether no more pairs reach the threshold than are expected by chance; then none of them counts."""
        expected = self.false_alarms.expected
        return expected is not None and 0 < self.reached <= expected.value


class Search(Strict):
    """How near-duplicates were looked for, and how well that works.

    Attributes:
        threshold: Matched points from which on a pair is a near-duplicate.
        features_cosine: Cosine of the whitened features from which on a pair is compared point by point.
        set_on: Augmented copies that both were set on.
        copies: Augmented copies of other images.
        sensitivity: The share of these that the search finds by their originals; the interval is Wilson's, over copies.
        kinds: What it finds, by the kinds of PAIRS: images of one disease are more alike than others, and rarer.
    """

    threshold: int
    features_cosine: Number
    set_on: int
    copies: int
    sensitivity: Estimate
    kinds: dict[str, Kind]

    @property
    def blind(self) -> bool:
        """Whether it misses most of the duplicates that are known; then what it finds says nothing."""
        return self.sensitivity.value < FEWEST_FOUND


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

    Without augmented copies of two images there is no threshold: the search is None, and there are no pairs. Of a kind
    of which as many would be found by chance there are none either.

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
    known = np.column_stack([original_rows(table)[copies], copies])
    _, original = np.unique(known[:, 0], return_inverse=True)
    if original.max(initial=0) < 1:
        return None, pd.DataFrame({"train": [], "test": []}, dtype=int)
    cosine, setting = _similarity(vectors, *known.T), original % 2 == 0
    # Of the copies that may be missed, one half at the first sieve, the other at the second.
    first = (1 + sensitivity) / 2
    alike = max(_reached_by(cosine[setting], first), _reached_by_most(vectors, *sides, most_pairs))
    compared = cosine >= alike
    shared = np.where(compared, points.matched(known, "comparing copies"), 0)
    second = sensitivity * min(1.0, compared[setting].mean() / first)
    least = max(int(_reached_by(shared[setting], second)), FEWEST)
    pairs = _alike(vectors, *sides, alike)
    near = pairs[points.matched(pairs, "comparing train and test") >= least]
    of_covid = _both_covid(table, near)
    alarms = _false_alarms(table, vectors, points, sides, alike, least)
    search = Search(
        threshold=least,
        features_cosine=alike,
        set_on=int(setting.sum()),
        copies=int((~setting).sum()),
        sensitivity=share_of(int((shared[~setting] >= least).sum()), int((~setting).sum())),
        kinds={
            kind: Kind(false_alarms=alarms[kind], reached=int(own.sum()))
            for kind, own in zip(PAIRS, (of_covid, ~of_covid), strict=True)
        },
    )
    covid, others = (not (search.blind or search.kinds[kind].chance_alone) for kind in PAIRS)
    counted = np.where(of_covid, covid, others).astype(bool)
    return search, pd.DataFrame(near[counted], columns=["train", "test"])


def _both_covid(table: pd.DataFrame, pairs: Rows) -> NDArray[np.bool_]:
    """Return whether both rows of each of pairs (pairs, 2) are COVID images."""
    return np.asarray(catalogue.covid(table).to_numpy()[pairs].all(axis=1))


def _false_alarms(
    table: pd.DataFrame, vectors: Vectors, points: Points, sides: tuple[Rows, Rows], alike: float, least: int
) -> dict[str, FalseAlarms]:
    """Return, by kind, how often training images of different patients reach the threshold, `least` points.

    Pairs are compared point by point if the cosine of their vectors is at least `alike`.
    """
    originals, test = sides
    # An image that stands twice in training, under two patients, is a duplicate and no example of the contrary.
    known = table.loc[originals]
    rows = known.index[(known["patient_id"] != "") & ~known["pixels"].duplicated()].to_numpy()
    patient = np.unique(table["patient_id"][rows].to_numpy(str), return_inverse=True)[1]
    pairs = _alike(vectors, rows, rows, alike)
    of = dict(zip(rows.tolist(), patient.tolist(), strict=True))
    strangers = [first < second and of[first] != of[second] for first, second in pairs.tolist()]
    pairs = pairs[np.array(strangers, bool)]
    wrong = points.matched(pairs, "comparing patients") >= least
    covid: NDArray[np.bool_] = catalogue.covid(table).to_numpy()
    of_covid = _both_covid(table, pairs)
    found = {"covid": int(wrong[of_covid].sum()), "others": int(wrong[~of_covid].sum())}
    among = {"covid": _of_different_patients(patient[covid[rows]])}
    among["others"] = _of_different_patients(patient) - among["covid"]
    tested = {"covid": int(covid[originals].sum() * covid[test].sum())}
    tested["others"] = len(originals) * len(test) - tested["covid"]
    return {kind: _alarms(found[kind], among[kind], tested[kind]) for kind in PAIRS}


def _of_different_patients(patient: Rows) -> int:
    """Return how many pairs of images are of different patients, numbers from 0."""
    return (len(patient) ** 2 - int((np.bincount(patient) ** 2).sum())) // 2


def _alarms(found: int, among: int, tested: int) -> FalseAlarms:
    """Return what is `found` among so many pairs of different patients, and expected in so many of train and test."""
    if not among:
        return FalseAlarms(pairs=0, skipped="no two such training images are known to be of different patients")
    low, high = wilson_interval(found, among)
    rate = Estimate.of(1e6 * found / among, (1e6 * low, 1e6 * high))
    # What is expected follows from the rate as it is rounded for the file, so that a reader can check it.
    factor = tested / 1e6
    return FalseAlarms(
        pairs=among,
        found=found,
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

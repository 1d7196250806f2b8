"""Pairs of images that are nearly the same picture, and how well they are found.

Each test image is compared point by point (deepcovid/audits/keypoints.py) with the training images whose frozen
features, whitened, are nearest. So the comparisons grow with the number of images. To find the nearest, the distances
between the features of all pairs are computed, block by block. That time grows with the number of pairs, of a test and
a training image and of two training images; the memory does not.

From how many points on a pair is a near-duplicate is set on augmented copies, which are duplicates that are known: on
those of every second original. How many duplicates are found is measured on the copies of the others.

Measured on covid-xray-5k at 224 x 224 pixels with ResNet18's features (336 published copies, zoomed, turned and
distorted, against their originals; 2.16 million pairs of different patients): all copies share 21 points at least, half
of them 91, and no pair of different patients, of 4,000 drawn from those whose features are alike, more than 13. The
features alone, at the cosine that one pair of different patients in a million reaches, find half of the copies; a
64-bit perceptual hash 18 %.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import NearestNeighbors

from deepcovid import catalogue
from deepcovid.arrays import ArrayWriter, load_array
from deepcovid.audits.keypoints import matched_points
from deepcovid.schema import Strict
from deepcovid.statistics.estimate import Estimate, Number
from deepcovid.statistics.intervals import wilson_interval

FEWEST_FOUND = 0.5  # share of the copies; a search that finds fewer says nothing of other pairs
PAIRS = {"covid": "of two COVID images", "others": "with one other at least"}
FEWEST_POINTS = 10  # points in which a near-duplicate matches, however little the copies have in common
MOST_FITTED = 20_000  # images that whitening is fitted to; 512 features of each take 82 MB, and their squares as much
QUERIES = 4096  # images that are whitened, or whose neighbours are looked for, at a time
BLOCK = 32_768  # images that these neighbours are looked for among at a time
TIE = 1e-6  # a squared distance: how much further away than the first image the last one seems
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
        neighbours: With how many training images each image is compared point by point.
        among_neighbours: The share of the augmented copies whose original is one of these.
        set_on: Augmented copies that the threshold was set on.
        copies: Augmented copies of other images.
        sensitivity: The share of these that the search finds by their originals; the interval is Wilson's, over copies.
        kinds: What it finds, by the kinds of PAIRS: images of one disease are more alike than others, and rarer.
    """

    threshold: int
    neighbours: int
    among_neighbours: Number
    set_on: int
    copies: int
    sensitivity: Estimate
    kinds: dict[str, Kind]

    @property
    def blind(self) -> bool:
        """Whether it misses most of the duplicates that are known; then what it finds says nothing."""
        return self.sensitivity.value < FEWEST_FOUND


def whitened(features: NDArray[np.float32], fitted: Rows, target: Path) -> None:
    """Write features (images, features) standardised, whitened and of length 1, as a .npy file.

    The covariance is that of the rows `fitted`, of MOST_FITTED at most, shrunk as Ledoit and Wolf (2004) say. They
    should be the originals of train and test alike: fitted to one side, pairs within it would look less alike than
    pairs across.
    """
    sample = features[fitted[:: math.ceil(len(fitted) / MOST_FITTED)]]
    mean, deviation = sample.mean(axis=0, dtype=float), sample.std(axis=0, dtype=float)
    deviation = np.where(deviation > 0, deviation, 1)
    covariance = LedoitWolf(assume_centered=True, store_precision=False).fit((sample - mean) / deviation).covariance_
    variances, directions = eigh(covariance)
    spread = np.sqrt(np.maximum(variances, 1e-9 * variances.max()))
    whitening = directions / np.where(spread > 0, spread, 1)
    with ArrayWriter(target, features.shape[1:], np.float32) as writer:
        for start in range(0, len(features), QUERIES):
            values = (features[start : start + QUERIES] - mean) / deviation @ whitening
            length = np.linalg.norm(values, axis=1, keepdims=True)
            writer.append(values / np.where(length > 0, length, 1))


class Seen(NamedTuple):
    """What the search knows of images, in files whose rows are those of `order`: it reads what it is at work on.

    Attributes:
        order: (images), where in the files each row of the catalogue is.
        vectors: (images, features), as `whitened` wrote them.
        straight: The images' keypoints.
        mirrored: Those of the training originals mirrored.
    """

    order: Rows
    vectors: Path
    straight: Path
    mirrored: Path

    def matched(self, pairs: Rows, title: str, least: int = 0) -> Rows:
        """Return in how many points the images of pairs (pairs, 2) match, the first, an original, mirrored or not.

        Fewer than `least` may be returned as 0, which is faster.
        """
        pairs = self.order[pairs]
        sides = [matched_points(side, self.straight, pairs, title, least) for side in (self.straight, self.mirrored)]
        return np.maximum(*sides)

    def nearest(self, among: Rows, rows: Rows, most: int) -> Rows:
        """Return the `most` rows of `among` whose vectors are nearest to that of each of `rows`: (rows, most).

        If `among` has fewer, all are returned. Of some that are equally near, the first are taken.
        """
        vectors = np.pad(load_array(self.vectors)[self.order[rows]], ((0, 0), (0, 1)))
        near: Rows = np.empty((len(rows), 0), np.intp)
        distance: NDArray[Any] = np.empty((len(rows), 0))
        for start in range(0, len(among), BLOCK):
            part = among[start : start + BLOCK]
            # Which of some that are equally near are found would depend on the number of threads. So each is a little
            # further away than the one before it, in one more dimension.
            further = np.sqrt(TIE * part / len(self.order)).astype(np.float32)
            others = np.column_stack([load_array(self.vectors)[self.order[part]], further])
            search = NearestNeighbors(n_neighbors=min(most, len(part)), algorithm="brute").fit(others)
            apart, place = search.kneighbors(vectors)
            near, distance = np.hstack([near, part[place]]), np.hstack([distance, apart])
            kept = np.argsort(distance, axis=1, kind="stable")[:, :most]
            near, distance = np.take_along_axis(near, kept, axis=1), np.take_along_axis(distance, kept, axis=1)
        return near

    def candidates(self, among: Rows, rows: Rows, most: int) -> Iterator[Rows]:
        """Yield the pairs (pairs, 2) of each of `rows`, second, with its `nearest`, first; of some rows at a time."""
        for start in range(0, len(rows), QUERIES):
            part = rows[start : start + QUERIES]
            near = self.nearest(among, part, most)
            yield np.column_stack([near.ravel(), np.repeat(part, near.shape[1])])


def near_duplicates(
    table: pd.DataFrame, seen: Seen, sides: tuple[Rows, Rows], sensitivity: float, neighbours: int
) -> tuple[Search | None, pd.DataFrame]:
    """Return how near-duplicates were looked for, and the pairs (train, test) of rows that were found.

    Without augmented copies of two images there is no threshold: the search is None, and there are no pairs. Of a kind
    of which as many would be found by chance there are none either.

    Args:
        table: The catalogue (images), with its split, and a digest of each image's pixels in the column `pixels`.
        seen: What is known of the images.
        sides: The rows of the training originals, and of the test images.
        sensitivity: Share of the augmented copies that is to be found by their originals.
        neighbours: With how many training originals, those nearest, each image is compared point by point. A copy whose
            original is none of these counts as not found.
    """
    copies = np.flatnonzero((catalogue.in_training(table, augmented=True) & catalogue.copies(table)).to_numpy())
    original_of = original_rows(table)
    known = np.column_stack([original_of[copies], copies])
    _, original = np.unique(known[:, 0], return_inverse=True)
    if original.max(initial=0) < 1:
        return None, pd.DataFrame({"train": [], "test": []}, dtype=int)
    originals, test = sides
    setting = original % 2 == 0
    near = seen.candidates(originals, copies, neighbours)
    compared = np.isin(copies, np.concatenate([part[part[:, 0] == original_of[part[:, 1]], 1] for part in near]))
    shared = np.where(compared, seen.matched(known, "comparing copies"), 0)
    # The neighbours may lose half of the copies that may be missed. A lower threshold makes up for no more than that.
    kept_by_neighbours = min(1.0, compared[setting].mean() / ((1 + sensitivity) / 2))
    least = max(int(_reached_by(shared[setting], sensitivity * kept_by_neighbours)), FEWEST_POINTS)
    near = seen.candidates(originals, test, neighbours)
    found = np.concatenate([part[seen.matched(part, "comparing train and test", least) >= least] for part in near])
    of_covid = _both_covid(table, found)
    alarms = _false_alarms(table, seen, sides, neighbours, least)
    search = Search(
        threshold=least,
        neighbours=neighbours,
        among_neighbours=float(compared.mean()),
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
    return search, pd.DataFrame(found[counted], columns=["train", "test"])


def _both_covid(table: pd.DataFrame, pairs: Rows) -> NDArray[np.bool_]:
    """Return whether both rows of each of pairs (pairs, 2) are COVID images."""
    return np.asarray(catalogue.covid(table).to_numpy()[pairs].all(axis=1))


def _false_alarms(
    table: pd.DataFrame, seen: Seen, sides: tuple[Rows, Rows], neighbours: int, least: int
) -> dict[str, FalseAlarms]:
    """Return, by kind, how often training images of different patients reach the threshold, `least` points.

    Each is compared with those of its nearest `neighbours` that come before it. So a pair is looked for from one side,
    as a pair of train and test is.
    """
    originals, test = sides
    # An image that stands twice in training, under two patients, is a duplicate and no example of the contrary.
    known = table.loc[originals]
    rows = known.index[(known["patient_id"] != "") & ~known["pixels"].duplicated()].to_numpy()
    patient = np.unique(table["patient_id"][rows].to_numpy(str), return_inverse=True)[1]
    of = np.full(len(table), -1)
    of[rows] = patient
    wrong = [np.empty((0, 2), np.intp)]
    for pairs in seen.candidates(originals, rows, neighbours + 1):  # each is its own nearest
        first, second = pairs.T
        strangers = pairs[(first < second) & (of[first] >= 0) & (of[first] != of[second])]
        wrong.append(strangers[seen.matched(strangers, "comparing patients", least) >= least])
    found = np.concatenate(wrong)
    covid: NDArray[np.bool_] = catalogue.covid(table).to_numpy()
    of_covid = _both_covid(table, found)
    alarms = {"covid": int(of_covid.sum()), "others": int((~of_covid).sum())}
    among = {"covid": _of_different_patients(patient[covid[rows]])}
    among["others"] = _of_different_patients(patient) - among["covid"]
    tested = {"covid": int(covid[originals].sum() * covid[test].sum())}
    tested["others"] = len(originals) * len(test) - tested["covid"]
    return {kind: _alarms(alarms[kind], among[kind], tested[kind]) for kind in PAIRS}


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


def original_rows(table: pd.DataFrame) -> Rows:
    """Return the row of each image's original, its own where it is one."""
    return pd.Index(table["image_id"]).get_indexer(pd.Index(catalogue.original_of(table)))

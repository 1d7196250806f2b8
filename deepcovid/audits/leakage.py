"""Test images that are in training too: the same file, the same pixels, nearly the same, or of the same patient.

Files and pixels are compared with the augmented training copies too; a hit is named by the copy's original.
Near-duplicates and patients are looked for among the training originals. Pairs whose frozen features, whitened, are
alike are compared point by point (deepcovid/audits/keypoints.py); from how many points on a pair is a near-duplicate is
set on the augmented copies, which are duplicates that are known.

Measured on covid-xray-5k with ResNet18's features (336 published copies, zoomed, turned and distorted, against their
originals; 2.16 million pairs of different patients): all copies share 21 points at least, half of them 91, and no pair
of different patients, of 4,000 drawn from those whose features are alike, more than 13. The features alone, at the
cosine that one pair of different patients in a million reaches, find half of the copies; a 64-bit perceptual hash 18 %.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.covariance import LedoitWolf

from deepcovid import catalogue
from deepcovid.audits.keypoints import Keypoints, joined, keypoints, matched_points
from deepcovid.errors import UserError
from deepcovid.progress import bar
from deepcovid.statistics.intervals import wilson_interval
from deepcovid.statistics.rates import rounded

KINDS = ("same_file", "same_pixels", "near_duplicate", "same_patient")
LISTED = 1000  # pairs that are named
FEWEST = 10  # points in which a near-duplicate matches, however little the copies have in common
EXPECTED = {"expected": "rate", "expected_high": "high"}  # among the pairs of train and test
BLOCK = 2**24  # similarities held at a time: 64 MiB
Vectors = NDArray[np.float32]
Rows = NDArray[np.intp]


def leakage(
    table: pd.DataFrame,
    pixels: Iterable[NDArray[np.uint8]],
    features: NDArray[np.float32],
    model: str,
    near_duplicate_sensitivity: float,
) -> dict[str, Any]:
    """Return which test images are in training too, and how: pairs by name, and counts by kind.

    Args:
        table: The catalogue (images), with its split.
        pixels: The images in the catalogue's order, in batches (batch, height, width, channels).
        features: (images, features), frozen, of the net called `model`.
        model: For the result to name.
        near_duplicate_sensitivity: The share of the augmented copies that is to be found by their originals; it sets
            from how many matched points on a pair is a near-duplicate.

    Returns:
        `leaked` counts each test image once, whatever the kinds, with Wilson's interval of the share. `pairs` lists
        those with most matched points first, 1,000 at most; `copy` names the training copy where it, not its original,
        is what matches. `near_duplicates` has the threshold and its error rates, or says why there is none (`skipped`).

    Raises:
        UserError: There are no test images.
    """
    if not catalogue.in_test(table).any():
        raise UserError("leakage: there are no test images; widen the filter or change the split")
    # Ordered by name, so that the order of the rows changes no digit of the result.
    order = np.argsort(table["image_id"].to_numpy(str))
    digest, straight, mirrored = _seen(pixels, len(table))
    table = table.assign(pixels=digest).iloc[order].reset_index(drop=True)
    points = Points(straight.rows(order), mirrored.rows(order))
    original = catalogue.originals(table).to_numpy()
    train, test = _rows(catalogue.in_training(table, augmented=True)), _rows(catalogue.in_test(table))
    originals = train[original[train]]
    vectors = whitened(features[order], original)
    near_duplicates, similar = _near_duplicates(table, vectors, points, originals, test, near_duplicate_sensitivity)
    pairs = _merged(
        table,
        {
            "same_file": _equal(table["sha256"], train, test),
            "same_pixels": _equal(table["pixels"], train, test),
            "near_duplicate": similar,
            "same_patient": _equal(table["patient_id"], originals, test),
        },
    )
    pairs["points"] = points.matched(pairs[["train", "test"]].to_numpy(), "comparing leaks")
    pairs = pairs.sort_values(["points", "train", "test"], ascending=[False, True, True])
    leaked = table.loc[pairs["test"].unique(), "label"]
    low, high = wilson_interval(len(leaked), len(test))
    result = {
        "images": {"train": len(originals), "test": len(test)},
        "counts": {
            kind: {"pairs": int(pairs[kind].sum()), "test_images": pairs["test"][pairs[kind]].nunique()}
            for kind in KINDS
        },
        "leaked": {"test_images": len(leaked), "share": len(leaked) / len(test), "low": low, "high": high}
        | {label: int((leaked == label).sum()) for label in catalogue.LABELS},
        "near_duplicates": {"by": f"matched points, of pairs that are alike in {model}'s features"} | near_duplicates,
        "pairs": _named(table, pairs[:LISTED]),
        "pairs_left_out": max(len(pairs) - LISTED, 0),
    }
    # A false positive rate of 1e-6 would not survive rounding to six digits after the point.
    return rounded(result) | {"near_duplicates": result["near_duplicates"]}


def digests(batches: Iterable[NDArray[np.uint8]]) -> list[str]:
    """Return a digest per image; two images have the same one if all their pixels are equal."""
    return [hashlib.sha256(image.tobytes()).hexdigest() for batch in batches for image in batch]


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


def _seen(batches: Iterable[NDArray[np.uint8]], images: int) -> tuple[list[str], Keypoints, Keypoints]:
    """Return digest, keypoints and keypoints mirrored of each image."""
    names, sides = [], []
    with bar("looking for keypoints", total=images) as progress:
        for batch in batches:
            names += digests([batch])
            sides.append(keypoints(batch))
            progress.update(len(batch))
    straight, mirrored = (joined(side) for side in zip(*sides, strict=True))
    return names, straight, mirrored


def _near_duplicates(
    table: pd.DataFrame, vectors: Vectors, points: Points, originals: Rows, test: Rows, sensitivity: float
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return the threshold with its error rates, and the pairs of `originals` and `test` that reach it."""
    copies = _rows(catalogue.in_training(table, augmented=True) & catalogue.copies(table))
    if not len(copies):
        reason = "there are no augmented copies, known duplicates, to set a threshold on; set augment.copies"
        return {"skipped": reason}, pd.DataFrame({"train": [], "test": []}, dtype=int)
    known = np.column_stack([_originals(table)[copies], copies])
    cosine = _similarity(vectors, *known.T)
    # Of the copies that may be missed, one half at the first sieve, the other at the second.
    alike = _reached_by(cosine, (1 + sensitivity) / 2)
    shared = np.where(cosine >= alike, points.matched(known, "comparing copies"), 0)
    least = max(int(_reached_by(shared, sensitivity)), FEWEST)
    found = int((shared >= least).sum())
    pairs = _alike(vectors, originals, test, alike)
    near = pairs[points.matched(pairs, "comparing train and test") >= least]
    wrong = _false_positives(table, vectors, points, originals, alike, least)
    if "rate" in wrong:
        wrong |= {key: rounded(wrong[rate] * len(originals) * len(test)) for key, rate in EXPECTED.items()}
    errors = {
        "threshold": least,
        "features_cosine": rounded(alike),
        "sensitivity": rounded({"rate": found / len(copies)} | _wilson(found, len(copies)) | {"copies": len(copies)}),
        "false_positives": wrong,
    }
    return errors, pd.DataFrame(near, columns=["train", "test"])


def _false_positives(
    table: pd.DataFrame, vectors: Vectors, points: Points, originals: Rows, alike: float, least: int
) -> dict[str, Any]:
    """Return how often training images of different patients reach the threshold."""
    # An image that stands twice in training, under two patients, is a duplicate and no example of the contrary.
    known = table.loc[originals]
    rows = known.index[(known["patient_id"] != "") & ~known["pixels"].duplicated()].to_numpy()
    patient = np.unique(table["patient_id"][rows].to_numpy(str), return_inverse=True)[1]
    number = (len(rows) ** 2 - int((np.bincount(patient) ** 2).sum())) // 2 if len(rows) else 0
    if not number:
        return {"pairs": 0, "skipped": "no two training images are known to be of different patients"}
    pairs = _alike(vectors, rows, rows, alike)
    of = dict(zip(rows.tolist(), patient.tolist(), strict=True))
    strangers = [first < second and of[first] != of[second] for first, second in pairs.tolist()]
    wrong = int((points.matched(pairs[np.array(strangers, bool)], "comparing patients") >= least).sum())
    return {
        "found": wrong,
        "pairs": number,
        "rate": rounded(wrong / number, 12),
        "high": rounded(_wilson(wrong, number)["high"], 12),
    }


def _reached_by(values: NDArray[Any], share: float) -> float:
    """Return the highest value that at least this share of `values` reaches."""
    return float(-np.sort(-values)[math.ceil(share * len(values) - 1e-9) - 1])


def _wilson(found: int, number: int) -> dict[str, float]:
    low, high = wilson_interval(found, number)
    return {"low": low, "high": high}


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


def _equal(values: pd.Series, train: Rows, test: Rows) -> pd.DataFrame:
    """Return the pairs of a `train` and a `test` row with the same value, blanks apart."""
    sides = [pd.DataFrame({name: rows, "value": values[rows]}) for name, rows in (("train", train), ("test", test))]
    first, second = (side[side["value"] != ""] for side in sides)
    return first.merge(second, on="value")[["train", "test"]]


def _merged(table: pd.DataFrame, found: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return one row per pair of an original and a test image: train, test, a column per kind, and copy.

    `copy` is the training copy that matches where its original does not, or blank.
    """
    pairs = pd.concat([part.assign(**{name: name == kind for name in KINDS}) for kind, part in found.items()])
    pairs["copy"] = table["image_id"].where(table["augmentation_of"] != "", "")[pairs["train"]].to_numpy()
    pairs["train"] = _originals(table)[pairs["train"]]
    pairs = pairs.sort_values("copy").drop_duplicates(["train", "test", *KINDS])
    return pairs.groupby(["train", "test"], as_index=False).max()


def _originals(table: pd.DataFrame) -> Rows:
    """Return the row of each image's original, its own where it is one."""
    names = catalogue.original_of(table)
    return pd.Index(table["image_id"]).get_indexer(pd.Index(names))


def _named(table: pd.DataFrame, pairs: pd.DataFrame) -> list[dict[str, Any]]:
    name, label = table["image_id"], table["label"]
    return [
        {"train": name[pair["train"]], "test": name[pair["test"]]}
        | ({"copy": pair["copy"]} if pair["copy"] else {})
        | {
            "kinds": [kind for kind in KINDS if pair[kind]],
            "points": pair["points"],
            "train_label": label[pair["train"]],
            "test_label": label[pair["test"]],
        }
        for pair in pairs.to_dict("records")
    ]


def _rows(mask: "pd.Series[bool]") -> Rows:
    return np.flatnonzero(mask.to_numpy())

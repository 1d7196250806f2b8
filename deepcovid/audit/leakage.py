"""Test images that are in training too: the same file, the same pixels, nearly the same, or of the same patient.

Files and pixels are compared with the augmented training copies too; a hit is named by the copy's original.
Near-duplicates and patients are looked for among the training originals. A pair is a near-duplicate if the cosine of
its frozen features, whitened, reaches a threshold that hardly any pair of different patients reaches.

Measured on covid-xray-5k (336 published copies against their originals; 2.16 million pairs of different patients), the
sensitivity at a false positive rate of 1e-6, 1e-5 and 1e-4 is 0.54, 0.73, 0.85 with SqueezeNet's features whitened
(0.50, 0.64, 0.76 with ResNet18's, 0.71, 0.79, 0.87 with ResNet50's), 0.32, 0.52, 0.63 with SqueezeNet's only
standardised, and 0.18, 0.19, 0.21 with a 64-bit perceptual hash, flips or not.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.covariance import LedoitWolf

from deepcovid import catalogue
from deepcovid.errors import UserError
from deepcovid.evaluation import rounded
from deepcovid.intervals import wilson_interval

KINDS = ("same_file", "same_pixels", "near_duplicate", "same_patient")
LISTED = 1000  # pairs that are named
BLOCK = 2**24  # similarities held at a time: 64 MiB
Vectors = NDArray[np.float32]
Rows = NDArray[np.intp]


def leakage(
    table: pd.DataFrame,
    pixels: Iterable[NDArray[np.uint8]],
    features: NDArray[np.float32],
    model: str,
    near_duplicate_rate: float,
) -> dict[str, Any]:
    """Return which test images are in training too, and how: pairs by name, and counts by kind.

    Args:
        table: The catalogue (images), with its split.
        pixels: The images in the catalogue's order, in batches (batch, height, width, channels).
        features: (images, features), frozen, of the net called `model`.
        model: For the result to name.
        near_duplicate_rate: The highest share of pairs of different patients that may be taken for near-duplicates.

    Returns:
        `leaked` counts each test image once, whatever the kinds, with Wilson's interval of the share. `pairs` lists the
        most similar first, 1,000 at most; `copy` names the training copy where it, not its original, is what matches.
        `near_duplicates` has the threshold and its error rates, or says why there is none (`skipped`).

    Raises:
        UserError: There are no test images.
    """
    if not catalogue.in_test(table).any():
        raise UserError("leakage: there are no test images; widen the filter or change the split")
    # Ordered by name, so that the order of the rows changes no digit of the result.
    order = np.argsort(table["image_id"].to_numpy(str))
    table = table.assign(pixels=digests(pixels)).iloc[order].reset_index(drop=True)
    original = (table["augmentation_of"] == "").to_numpy()
    train, test = _rows(catalogue.in_training(table, augmented=True)), _rows(catalogue.in_test(table))
    originals = train[original[train]]
    vectors = whitened(features[order], original)
    near_duplicates, similar = _near_duplicates(table, vectors, originals, test, near_duplicate_rate)
    pairs = _merged(
        table,
        {
            "same_file": _equal(table["sha256"], train, test),
            "same_pixels": _equal(table["pixels"], train, test),
            "near_duplicate": similar,
            "same_patient": _equal(table["patient_id"], originals, test),
        },
    )
    pairs["similarity"] = _similarity(vectors, pairs["train"].to_numpy(), pairs["test"].to_numpy())
    pairs = pairs.sort_values(["similarity", "train", "test"], ascending=[False, True, True])
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
        "near_duplicates": {"by": f"cosine of whitened {model} features"} | near_duplicates,
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


def threshold(vectors: Vectors, patient: NDArray[Any], rate: float) -> tuple[float, float, int]:
    """Return the similarity from which a pair is called a near-duplicate.

    It is set by rank among the pairs of different patients: such that a further pair reaches it with a chance of at
    most `rate`, or, where there are fewer than 1 / rate pairs, such that none of them does.

    Args:
        vectors: (images, features), of length 1.
        patient: (images), known.
        rate: The false positive rate wanted.

    Returns:
        The threshold, the chance that a further pair reaches it, and the number of pairs; no pairs make no threshold.
    """
    code = np.unique(patient, return_inverse=True)[1]
    pairs = (len(code) ** 2 - int((np.bincount(code) ** 2).sum())) // 2
    if not pairs:
        return np.inf, 0.0, 0
    reaching = max(int(rate * (pairs + 1)) - 1, 0)
    highest = np.empty(0, np.float32)
    for rows, similarity in _similarities(vectors, vectors):
        counted = (code[rows, None] != code) & (rows[:, None] < np.arange(len(code)))
        highest = np.concatenate([highest, similarity[counted]])
        if len(highest) > reaching:
            highest = -np.partition(-highest, reaching)[: reaching + 1]
    return float(np.nextafter(highest.min(), np.float32(np.inf))), (reaching + 1) / (pairs + 1), pairs


def _near_duplicates(
    table: pd.DataFrame, vectors: Vectors, originals: Rows, test: Rows, rate: float
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return the threshold with its error rates, and the pairs of `originals` and `test` that reach it."""
    # An image that stands twice in training, under two patients, is a duplicate and no example of the contrary.
    known = table.loc[originals]
    known = known[known["patient_id"] != ""].drop_duplicates("pixels")
    least, chance, negatives = threshold(vectors[known.index], known["patient_id"].to_numpy(str), rate)
    if not negatives:
        reason = "no two training images are known to be of different patients; fill in patient_id"
        return {"skipped": reason}, pd.DataFrame({"train": [], "test": []}, dtype=int)
    similar = [
        np.column_stack([originals[rows[first]], test[second]])
        for rows, similarity in _similarities(vectors[originals], vectors[test])
        for first, second in [np.nonzero(similarity >= least)]
    ]
    expected = rounded(chance * len(originals) * len(test))
    errors = {
        "threshold": rounded(least),
        "sensitivity": rounded(_sensitivity(table, vectors, least)),
        "false_positives": {"rate": rounded(chance, 12), "pairs": negatives, "expected": expected},
    }
    return errors, pd.DataFrame(np.concatenate(similar), columns=["train", "test"])


def _sensitivity(table: pd.DataFrame, vectors: Vectors, least: float) -> dict[str, Any]:
    """Return the share of the training copies that are found to be near-duplicates of their originals."""
    copies = _rows(catalogue.in_training(table, augmented=True) & (table["augmentation_of"] != ""))
    if not len(copies):
        return {"copies": 0, "skipped": "there are no augmented copies, whose originals are known, to find"}
    found = int((_similarity(vectors, copies, _originals(table)[copies]) >= least).sum())
    low, high = wilson_interval(found, len(copies))
    return {"rate": found / len(copies), "low": low, "high": high, "copies": len(copies)}


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
    names = table["augmentation_of"].where(table["augmentation_of"] != "", table["image_id"])
    return pd.Index(table["image_id"]).get_indexer(pd.Index(names))


def _named(table: pd.DataFrame, pairs: pd.DataFrame) -> list[dict[str, Any]]:
    name, label = table["image_id"], table["label"]
    return [
        {"train": name[pair["train"]], "test": name[pair["test"]]}
        | ({"copy": pair["copy"]} if pair["copy"] else {})
        | {
            "kinds": [kind for kind in KINDS if pair[kind]],
            "similarity": pair["similarity"],
            "train_label": label[pair["train"]],
            "test_label": label[pair["test"]],
        }
        for pair in pairs.to_dict("records")
    ]


def _rows(mask: "pd.Series[bool]") -> Rows:
    return np.flatnonzero(mask.to_numpy())

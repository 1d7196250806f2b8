"""Test images that are in training too: the same file, the same pixels, nearly the same, or of the same patient.

Files and pixels are compared with the augmented training copies too; a hit is named by the copy's original.
Near-duplicates (deepcovid/audits/near_duplicates.py) and patients are looked for among the training originals.
"""

import hashlib
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import cpu_count
from numpy.typing import NDArray

from deepcovid import catalogue
from deepcovid.arrays import ArrayWriter, batches, load_array
from deepcovid.audits.audit import Audit
from deepcovid.audits.keypoints import KEYPOINTS, Keypoints, keypoints
from deepcovid.audits.near_duplicates import (
    PAIRS,
    Rows,
    Search,
    Seen,
    near_duplicates,
    original_rows,
    whitened,
)
from deepcovid.drawing.blocks import Block
from deepcovid.drawing.steps import Step
from deepcovid.drawing.tables import Table
from deepcovid.errors import UserError
from deepcovid.passes.forked import one_after_another
from deepcovid.progress import bar
from deepcovid.schema import Strict
from deepcovid.statistics.estimate import Estimate, Headline

KINDS = {
    "same_file": "the same file",
    "same_pixels": "the same pixels",
    "near_duplicate": "nearly the same picture",
    "same_patient": "the same patient",
}
LISTED = 1000  # pairs that are named
BATCH = 32  # images that a process takes at a time
NO_COPIES = "there are no augmented copies of two images, known duplicates, to set a threshold on; set augment.copies"


class Sides(Strict):
    """How many images there are, augmented copies apart."""

    train: int
    test: int


class Count(Strict):
    """How often one kind of leak was found: pairs of a training and a test image, and the test images in them."""

    pairs: int
    test_images: int


class Leaked(Strict):
    """The test images of one class that leak, in whatever way; each counts once.

    Attributes:
        images: How many there are.
        of: How many test images the class has.
        patients: How many patients they are of; one that is not known counts as a patient of its own.
        of_patients: How many patients the class's test images are of.
    """

    images: int
    of: int
    patients: int
    of_patients: int


class NearDuplicates(Strict):
    """The search for near-duplicates, or why there was none (`skipped`); `by` says what makes a pair one."""

    by: str
    search: Search | None = None
    skipped: str | None = None


class Pair(Strict):
    """A training original and a test image that leak.

    Attributes:
        train: Name of the training original.
        test: Name of the test image.
        copy_of_train: Name of the training copy that matches where its original does not.
        kinds: The ways in which they leak, of KINDS.
        points: How many points of the two match.
        train_label: Label of the training image.
        test_label: Label of the test image.
    """

    train: str
    test: str
    copy_of_train: str | None = None
    kinds: list[str]
    points: int
    train_label: str
    test_label: str


class Leakage(Audit):
    """Which test images are in training too.

    Attributes:
        images: How many images were compared.
        counts: How often each kind of leak was found.
        leaked: The test images that leak, under their label.
        near_duplicates: How near-duplicates were looked for.
        pairs: The pairs, by their names; those with most matched points, LISTED at most.
        pairs_left_out: How many pairs are not listed.
    """

    images: Sides
    counts: dict[str, Count]
    leaked: dict[str, Leaked]
    near_duplicates: NearDuplicates
    pairs: dict[str, Pair]
    pairs_left_out: int

    def headline(self) -> Headline:
        """Return the sensitivity of the search for near-duplicates; how many test images leak stands in the result."""
        search = self.near_duplicates.search
        return Headline(sensitivity=search.sensitivity.value if search else None)

    def sentences(self) -> Iterator[str]:
        """Yield how many test images leak, in which ways, and how well near-duplicates are found."""
        classes = (("covid", "COVID test images"), ("non", "others"))
        counted = " and ".join(_counted(self.leaked[label], words) for label, words in classes)
        yield f"{counted} resemble a training image or share its known patient."
        found = ", ".join(
            f"{self.counts[kind].pairs:,} as {words}" for kind, words in KINDS.items() if self.counts[kind].pairs
        )
        if found:
            yield f"Pairs of a training and a test image: {found}."
        search = self.near_duplicates.search
        if search is None:
            yield f"Near-duplicates were not looked for: {self.near_duplicates.skipped}."
        else:
            yield f"The search for near-duplicates finds {_percent(search.sensitivity)} of other augmented copies."
            for name, kind in search.kinds.items():
                if kind.false_alarms.expected:
                    expected = kind.false_alarms.expected
                    yield (
                        f"Of pairs {PAIRS[name]} it finds {kind.reached:,}; {expected.value:.1f} are expected by "
                        f"chance (at most {expected.high:.0f}, at 95 %)"
                        + (", so none is counted." if kind.reached and (search.blind or kind.chance_alone) else ".")
                    )

    def blocks(self, step: Step) -> Iterator[Block]:
        """Yield a table of the kinds of leaks, with the pairs by name."""
        rows = [
            (words, f"{self.counts[kind].pairs:,}", f"{self.counts[kind].test_images:,}")
            for kind, words in KINDS.items()
        ]
        caption = "What leaks from training into the test: pairs of images by kind."
        reading = tuple(self._search_in_words())
        table = Table(("in train and test", "pairs", "test images"), rows)
        yield Block(caption, (step,), table=table, folded=self._listed(), folded_title="By name", reading=reading)

    def _search_in_words(self) -> Iterator[str]:
        search = self.near_duplicates.search
        if search is None:
            yield f"Near-duplicates were not looked for: {self.near_duplicates.skipped}."
            return
        yield (
            f"Near-duplicates have at least {search.threshold} {self.near_duplicates.by}. The number was set on "
            f"{search.set_on} augmented copies; {_percent(search.sensitivity)} of {search.copies} copies of other "
            f"images reach that with their originals. Of all copies, {100 * search.among_neighbours:.0f} % have their "
            "original among the nearest."
        )
        for name, kind in search.kinds.items():
            wrong = kind.false_alarms
            yield (
                f"{wrong.found} of {wrong.pairs:,} pairs {PAIRS[name]}, of different patients in training, do too."
                if wrong.expected
                else f"How many pairs {PAIRS[name]} do by chance is not known: {wrong.skipped}."
            )

    def _listed(self) -> Table | None:
        rows = [
            (
                pair.copy_of_train or pair.train,
                pair.test,
                ", ".join(pair.kinds).replace("_", " "),
                pair.train_label,
                pair.test_label,
                f"{pair.points:,}",
            )
            for pair in sorted(self.pairs.values(), key=lambda pair: (-pair.points, pair.train, pair.test))
        ]
        header = ("in training", "in test", "kinds", "label in training", "label in test", "matched points")
        return Table(header, rows, names=5, breakable=True) if rows else None


def _counted(own: Leaked, words: str) -> str:
    of_whom = f", from {own.patients:,} of {own.of_patients:,} patients," if own.images else ""
    return f"{own.images:,} of {own.of:,} {words}{of_whom}"


def _percent(share: Estimate) -> str:
    return f"{100 * share.value:.0f} % ({100 * share.low:.0f} to {100 * share.high:.0f} %)"


def leakage(
    table: pd.DataFrame,
    pixels: Path,
    features: NDArray[np.float32],
    model: str,
    near_duplicate_sensitivity: float,
    neighbours: int,
    scratch: Path,
) -> Leakage:
    """Return which test images are in training too, and how.

    Args:
        table: The catalogue (images), with its split.
        pixels: The images in the catalogue's order, a .npy file of uint8 (images, height, width, 1 or 3).
        features: (images, features), frozen, of the net called `model`.
        model: Name of the net, for the result to name.
        near_duplicate_sensitivity: The share of the augmented copies that is to be found by their originals; it sets
            from how many matched points on a pair is a near-duplicate.
        neighbours: With how many training images, those nearest in features, each test image is compared.
        scratch: A folder for what is known of the images while they are compared, 60 KB an image.

    Raises:
        UserError: There are no test images, or `pixels` holds another number of images.
    """
    load_array(pixels, (len(table), None, None, None), np.uint8)
    if not catalogue.in_test(table).any():
        raise UserError("leakage: there are no test images; widen the filter or change the split")
    # Ordered by name, so that the order of the rows changes no digit of the result.
    order = np.argsort(table["image_id"].to_numpy(str))
    seen = Seen(order, *(scratch / f"{name}.npy" for name in ("vectors", "straight", "mirrored")))
    mirrored = catalogue.in_training(table, augmented=False).to_numpy()
    table = table.assign(pixels=_look(pixels, mirrored, seen)).iloc[order].reset_index(drop=True)
    original = catalogue.originals(table).to_numpy()
    train, test = _rows(catalogue.in_training(table, augmented=True)), _rows(catalogue.in_test(table))
    originals = train[original[train]]
    whitened(features, order[original], seen.vectors)
    search, similar = near_duplicates(table, seen, (originals, test), near_duplicate_sensitivity, neighbours)
    pairs = _merged(
        table,
        {
            "same_file": _equal(table["sha256"], train, test),
            "same_pixels": _equal(table["pixels"], train, test),
            "near_duplicate": similar,
            "same_patient": _equal(table["patient_id"], originals, test),
        },
    )
    pairs["points"] = seen.matched(pairs[["train", "test"]].to_numpy(), "comparing leaks")
    pairs = pairs.sort_values(["points", "train", "test"], ascending=[False, True, True])
    leaking = table.index.isin(pairs["test"])
    tested = table.loc[test].assign(leaks=leaking[test])
    return Leakage(
        images=Sides(train=len(originals), test=len(test)),
        counts={
            kind: Count(pairs=int(pairs[kind].sum()), test_images=pairs["test"][pairs[kind]].nunique())
            for kind in KINDS
        },
        leaked={label: _leaked(tested[tested["label"] == label]) for label in catalogue.LABELS},
        near_duplicates=NearDuplicates(
            by=f"matched points with one of the {neighbours} training images nearest in {model}'s features",
            search=search,
            skipped=None if search else NO_COPIES,
        ),
        pairs=_named(table, pairs[:LISTED].sort_values(["train", "test"])),
        pairs_left_out=max(len(pairs) - LISTED, 0),
    )


def _leaked(tested: pd.DataFrame) -> Leaked:
    """Return how many test images of one class leak, as the column `leaks` says."""
    patients = catalogue.patients(tested)
    return Leaked(
        images=int(tested["leaks"].sum()),
        of=len(tested),
        patients=patients[tested["leaks"]].nunique(),
        of_patients=patients.nunique(),
    )


def digests(images: NDArray[np.uint8]) -> list[str]:
    """Return a digest per image; two images have the same one if all their pixels are equal."""
    return [hashlib.sha256(image.tobytes()).hexdigest() for image in images]


def _look(pixels: Path, mirrored: NDArray[np.bool_], seen: Seen) -> list[str]:
    """Write the keypoints of each image, and of the `mirrored` ones (images), and return the images' digests."""
    work = [
        partial(_look_at, pixels, start, mirrored[start : start + BATCH]) for start in range(0, len(mirrored), BATCH)
    ]
    names: list[str] = []
    with (
        ArrayWriter(seen.straight, (), KEYPOINTS) as straight,
        ArrayWriter(seen.mirrored, (), KEYPOINTS) as turned,
        closing(one_after_another(work, cpu_count())) as parts,
        bar("looking for keypoints", total=len(mirrored)) as progress,
    ):
        for part, points, mirrored_points in parts:
            names += part
            straight.append(points)
            turned.append(mirrored_points)
            progress.update(len(part))
    return names


def _look_at(pixels: Path, start: int, mirrored: NDArray[np.bool_]) -> tuple[list[str], Keypoints, Keypoints]:
    (images,) = batches(pixels, BATCH, start, start + len(mirrored))
    return digests(images), *keypoints(images, mirrored)


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
    pairs["copy"] = table["image_id"].where(catalogue.copies(table), "")[pairs["train"]].to_numpy()
    pairs["train"] = original_rows(table)[pairs["train"]]
    pairs = pairs.sort_values("copy").drop_duplicates(["train", "test", *KINDS])
    return pairs.groupby(["train", "test"], as_index=False).max()


def _named(table: pd.DataFrame, pairs: pd.DataFrame) -> dict[str, Pair]:
    name, label = table["image_id"], table["label"]
    found = [
        Pair(
            train=name[pair["train"]],
            test=name[pair["test"]],
            copy_of_train=pair["copy"] or None,
            kinds=[kind for kind in KINDS if pair[kind]],
            points=pair["points"],
            train_label=label[pair["train"]],
            test_label=label[pair["test"]],
        )
        for pair in pairs.to_dict("records")
    ]
    return {f"{pair.train} and {pair.test}": pair for pair in found}


def _rows(mask: "pd.Series[bool]") -> Rows:
    return np.flatnonzero(mask.to_numpy())

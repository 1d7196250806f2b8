"""Train and test: as published, by image, or by patient; or all of it test."""

from typing import Any

import numpy as np
import pandas as pd

from deepcovid import catalogue
from deepcovid.catalogue import LABELS
from deepcovid.errors import UserError
from deepcovid.settings.datasets import Counts, SplitSettings


def split_images(table: pd.DataFrame, settings: SplitSettings) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the chosen rows with a column `split`, and counts of what was chosen and what overlaps.

    Strategies:
        published: The source's own lists (`published_split`).
        image: Seeded random over images, whoever the patient is.
        patient: Seeded random over patients; none is on both sides, over both labels. A patient with more images than
            a side still needs is passed over while another fits; where none does, some of their images are left out,
            so that counts are met exactly.
        test-only: Every image is a test image, whatever counts are wanted; the counts say `test_only`.

    Copies of an original that is in train go with it; others are left out.

    Raises:
        UserError: Fewer images than wanted, and `too_few` is `error`; or no image at all on one side.
    """
    # Ordered by name, so that the draw does not depend on the order of the rows.
    originals = table[catalogue.originals(table)].sort_values("image_id")
    wanted: dict[str, Counts] = {"covid": settings.covid, "non": settings.non}
    rng = np.random.default_rng(settings.seed)
    sides: dict[Any, str] = {}
    taken: dict[str, str] = {}
    metrics: dict[str, Any] = {}
    for label in LABELS:
        rows = originals[originals["label"] == label]
        if settings.strategy == "test-only":
            chosen = dict.fromkeys(rows.index, "test")
        elif settings.strategy == "published":
            chosen = _published(rows, wanted[label], rng)
        else:
            groups = rows["image_id"] if settings.strategy == "image" else catalogue.patients(rows)
            chosen = _random(groups, _fitting(len(rows), wanted[label]), rng, taken)
            if settings.strategy == "patient":
                taken |= dict(zip(groups[list(chosen)], chosen.values(), strict=True))
        metrics |= {label: _check(label, rows, chosen, wanted[label], settings)}
        sides |= chosen
    originals = originals.loc[sorted(sides)].assign(split=pd.Series(sides))
    in_train = set(originals.loc[originals["split"] == "train", "image_id"])
    copies = table[table["augmentation_of"].isin(in_train)].assign(split="train")
    result = pd.concat([originals, copies], ignore_index=True)
    scaled = any(metrics[label]["scaled_down"] for label in LABELS)
    metrics |= {"copies": len(copies), "scaled_down": int(scaled), "overlap": overlap(result)}
    return result, metrics | ({"test_only": 1} if settings.strategy == "test-only" else {})


def overlap(table: pd.DataFrame) -> dict[str, int]:
    """Count what stands in both train and test among originals: images by their name in the source, files by
    content, patients."""
    originals = table[catalogue.originals(table)]
    train, test = (originals[originals["split"] == side] for side in catalogue.SIDES)
    images, files, patients = (
        set(train[column]) & set(test[column]) - {""} for column in ("source_image", "sha256", "patient_id")
    )
    return {
        "images": len(images),
        "files": len(files),
        "patients": len(patients),
        "test_images_of_train_patients": int(test["patient_id"].isin(patients).sum()),
        "images_without_patient": int((originals["patient_id"] == "").sum()),
    }


def _published(rows: pd.DataFrame, wanted: Counts, rng: np.random.Generator) -> dict[Any, str]:
    chosen: dict[Any, str] = {}
    for side in catalogue.SIDES:
        listed = rows.index[rows["published_split"] == side].to_numpy()
        if len(listed) > getattr(wanted, side):
            listed = rng.permutation(listed)[: getattr(wanted, side)]
        chosen |= dict.fromkeys(listed.tolist(), side)
    return chosen


def _fitting(available: int, wanted: Counts) -> dict[str, int]:
    """Return how many images each side gets: as wanted, or in the same proportion where there are too few."""
    total = wanted.train + wanted.test
    if available >= total:
        return {"train": wanted.train, "test": wanted.test}
    train = min(max(available * wanted.train // total, 1), max(available - 1, 0))
    return {"train": train, "test": available - train}


def _random(
    groups: pd.Series, wanted: dict[str, int], rng: np.random.Generator, taken: dict[str, str]
) -> dict[Any, str]:
    """Fill test, then train, from a random order of groups; `taken` groups may go to their own side only."""
    names = rng.permutation(np.sort(groups.unique()))
    index = groups.index.to_numpy()
    members = {name: index[places].tolist() for name, places in groups.groupby(groups).indices.items()}
    chosen: dict[Any, str] = {}
    used: set[str] = set()
    for side in ("test", "train"):
        missing = wanted[side]
        # Those who can go nowhere else come first; then whole groups; last, a group of which only a part is needed.
        allowed = sorted((name for name in names if taken.get(name, side) == side), key=lambda name: name not in taken)
        for whole in (True, False):
            for name in allowed:
                if missing and name not in used and (len(members[name]) <= missing or not whole):
                    used.add(name)
                    part = members[name][:missing]
                    chosen |= dict.fromkeys(part, side)
                    missing -= len(part)
    return chosen


def _check(
    label: str, rows: pd.DataFrame, chosen: dict[Any, str], wanted: Counts, settings: SplitSettings
) -> dict[str, Any]:
    """Return the counts of one label; raise UserError if they are not what is wanted and may not be less."""
    got = {side: sum(where == side for where in chosen.values()) for side in catalogue.SIDES}
    short = settings.strategy != "test-only" and any(got[side] < getattr(wanted, side) for side in catalogue.SIDES)
    if short and (settings.too_few == "error" or min(got.values()) == 0):
        raise UserError(
            f"split: {label} wants {wanted.train} train and {wanted.test} test images, strategy "
            f"{settings.strategy!r} has {got['train']} and {got['test']} of {len(rows)} that passed the filter; "
            "lower the counts, widen the filter" + (", or set too_few: scale" if settings.too_few == "error" else "")
        )
    return got | {"scaled_down": int(short), "left_out": len(rows) - len(chosen)}

"""Some images against some others: what scores reach on parts of a test set, and across two collections."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepcovid import catalogue
from deepcovid.schema import Strict
from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.statistics.bootstrap import FEWEST_PATIENTS, Bootstrap
from deepcovid.statistics.estimate import Estimate
from deepcovid.statistics.views import projections

Mask = NDArray[np.bool_]
LIKE_COVID = ("Consolidation", "Lung Opacity", "Pneumonia")  # findings that look like COVID-19 on a radiograph


class Part(Strict):
    """What scores reach on some images against some others.

    Attributes:
        auc: The AUC with which the scores of the head that is shown tell the first from the second; the interval is a
            bootstrap over patients.
        images: How many there are of the first.
        others: How many of the second.
        called: How many of the first are called covid.
        others_called: How many of the second.
    """

    auc: Estimate
    images: int
    others: int
    called: int
    others_called: int


class Contrast:
    """Two groups of images, with a bootstrap of their patients that serves all heads."""

    def __init__(self, first: Mask, second: Mask, patients: pd.Series, settings: EvaluateSettings) -> None:
        """Take which images (images) are of either group, and who each is of (images)."""
        self._rows, self._first, self._second = first | second, first, second
        self._bootstrap = Bootstrap.over_patients(first[self._rows], patients[self._rows], settings)

    def reached(self, score: NDArray[np.float64], cut_off: float) -> Part:
        """Return what scores (images) reach; from `cut_off` on an image is called covid."""
        return Part(
            auc=self._bootstrap.auc_estimate(score[self._rows]),
            images=int(self._first.sum()),
            others=int(self._second.sum()),
            called=int((score[self._first] >= cut_off).sum()),
            others_called=int((score[self._second] >= cut_off).sum()),
        )


def contrasts(
    groups: Mapping[str, tuple[Mask, Mask]], rows: pd.DataFrame, settings: EvaluateSettings
) -> dict[str, Contrast]:
    """Return the contrasts of pairs of groups, by name; one with fewer than FEWEST_PATIENTS on a side is left out.

    Args:
        groups: Under the name of each comparison, which images (images) are of its first and of its second group.
        rows: image_id and patient_id of the images.
        settings: Samples and seed of the bootstraps.
    """
    patients = catalogue.named_patients(rows["patient_id"], rows["image_id"]).reset_index(drop=True)
    return {
        name: Contrast(first, second, patients, settings)
        for name, (first, second) in groups.items()
        if min(patients[first].nunique(), patients[second].nunique()) >= FEWEST_PATIENTS
    }


def parts_of(rows: pd.DataFrame, at_home: Mask) -> dict[str, tuple[Mask, Mask]]:
    """Return the parts of a test set in which COVID-19 is set against the rest.

    Args:
        rows: Catalogue rows of the test set (images).
        at_home: (images), which of them are test images of the heads' own data set too.
    """
    covid, view = catalogue.covid(rows).to_numpy(), projections(rows["view"]).to_numpy(str)
    healthy = (rows["finding"] == catalogue.NORMAL).to_numpy()
    found = {
        f"within {name} alone": (covid & (view == name), ~covid & (view == name)) for name in np.unique(view) if name
    }
    found["COVID-19 against no finding"] = covid, ~covid & healthy
    found["COVID-19 against other findings"] = covid, ~covid & ~healthy
    found["COVID-19 images that are in the heads' own test too"] = covid & at_home, ~covid
    if at_home.any():
        found["COVID-19 images that are not"] = covid & ~at_home, ~covid
    return found


def across(rows: pd.DataFrame, outside: Mask) -> dict[str, tuple[Mask, Mask]]:
    """Return pairs of groups across two collections: healthy ones, and COVID-19 against what looks like it.

    A score of the disease would be at one half for the first pair. For the second it may well be higher.

    Args:
        rows: Label and finding of the images of the test set, then of the heads' own test images.
        outside: (images), which are of the test set.
    """
    covid, healthy = catalogue.covid(rows).to_numpy(), (rows["finding"] == catalogue.NORMAL).to_numpy()
    like = rows["finding"].isin(LIKE_COVID).to_numpy() & ~covid
    return {
        "no finding there against no finding here": (healthy & outside, healthy & ~outside),
        "COVID-19 there against similar findings here": (covid & outside, like & ~outside),
    }

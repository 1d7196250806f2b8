"""Heads on images that they were not trained on, of another data set (DeGrave, Janizek and Lee 2021)."""

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepcovid import catalogue
from deepcovid.audits.views import projections
from deepcovid.errors import UserError
from deepcovid.schema import Strict
from deepcovid.settings import EvaluateSettings
from deepcovid.statistics.calibration import Calibration, calibration
from deepcovid.statistics.estimate import Estimate
from deepcovid.statistics.rates import Counts, RunResult, evaluate

FEWEST = 10  # images of each class from which a view is measured alone


def trained_on(test: pd.DataFrame, train: pd.DataFrame) -> pd.DataFrame:
    """Return which test images the training has seen, and why: columns same_patient and same_image, one row an image.

    An image may be both. Its patient, its source with its name there, and its bytes are compared; blanks match nothing.

    Args:
        test: Catalogue rows to be tested on.
        train: Catalogue rows that were trained on.
    """

    def seen(column: str) -> "pd.Series[bool]":
        return (test[column] != "") & test[column].isin(train[column])

    names = [rows["source"] + "/" + rows["source_image"] for rows in (test, train)]
    same_name = (test["source_image"] != "") & names[0].isin(names[1])
    return pd.DataFrame({"same_patient": seen("patient_id"), "same_image": same_name | seen("sha256")})


def left_out(seen: pd.DataFrame) -> dict[str, int]:
    """Return how many images `trained_on` found, in all as `images`, and by reason; one may have both."""
    return {"images": int(seen.any(axis=1).sum())} | {str(name): int(seen[name].sum()) for name in seen}


def check_images(rows: pd.DataFrame, counts: dict[str, int], origin: str) -> None:
    """Raise UserError if `rows`, what is left of the test images of `origin`, cannot tell a good head from a bad one.

    Args:
        rows: Catalogue rows.
        counts: Of `left_out`.
        origin: What to name in the error.
    """
    without = f"without the {counts['images']} that the heads were trained on" if counts["images"] else "in all"
    if rows.empty:
        raise UserError(f"{origin}: no test image, {without}; name a data set with other images")
    if rows["label"].nunique() == 1:
        raise UserError(
            f"{origin}: {len(rows)} test images, {without}, and every one {rows['label'].iloc[0]}; "
            "name a data set with images of both classes"
        )


def chosen(batches: Iterable[NDArray[np.uint8]], rows: NDArray[np.bool_]) -> Iterator[NDArray[np.uint8]]:
    """Yield from batches of images those that `rows` (images) has true; a batch of none is skipped."""
    start = 0
    for batch in batches:
        wanted = rows[start : start + len(batch)]
        start += len(batch)
        if wanted.any():
            yield batch[wanted]


class View(Strict):
    """The images of one view alone.

    Attributes:
        auc: Area under the ROC curve of the first head; the interval is a bootstrap over patients.
        n_test: Images.
    """

    auc: Estimate
    n_test: Counts


class ExternalRun(Strict):
    """What the heads of one recipe reach on other people's images.

    Attributes:
        run: The numbers of all images.
        views: By view, those of its images alone, where there are FEWEST of each class.
        calibration: Of the first head's scores.
    """

    run: RunResult
    views: dict[str, View]
    calibration: Calibration


def measured(
    rows: pd.DataFrame, scores: NDArray[np.float64], cut_off: float, bins: int, settings: EvaluateSettings
) -> ExternalRun:
    """Return what one recipe's heads reach.

    Args:
        rows: Catalogue rows of the images.
        scores: (images, heads), P(covid).
        cut_off: An image is called covid from this score on.
        bins: Of the reliability curve.
        settings: Of the bootstraps.
    """
    positive, patient = catalogue.covid(rows).to_numpy(), rows["patient_id"]
    views, view_of = {}, projections(rows["view"]).to_numpy(str)
    for view in np.unique(view_of):
        inside = view_of == view
        if view and min(positive[inside].sum(), (~positive[inside]).sum()) >= FEWEST:
            alone = evaluate(positive[inside], scores[inside], patient[inside], cut_off, settings)
            views[str(view)] = View(auc=alone.auc, n_test=alone.n_test)
    return ExternalRun(
        run=evaluate(positive, scores, patient, cut_off, settings),
        views=views,
        calibration=calibration(positive, scores[:, 0], patient, bins, settings),
    )

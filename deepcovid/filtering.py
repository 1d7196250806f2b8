"""Which images of the catalogue go on: the paper's "only anterior-posterior images", as a filter on its columns."""

from typing import Any

import pandas as pd

from deepcovid import catalogue
from deepcovid.catalogue import LABELS
from deepcovid.errors import UserError
from deepcovid.settings.datasets import FilterSettings


def filter_images(table: pd.DataFrame, settings: FilterSettings) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the rows that `settings` keeps, and counts of what was kept and dropped.

    A row is dropped for the first reason that applies: modality, then view. Copies go where their original goes.

    Returns:
        The kept rows, and numbers: `kept` and `dropped`, each with a total and, for originals, counts by label,
        view and finding; `dropped` by reason too. A blank view counts as `unknown`.

    Raises:
        UserError: A label has no image left.
    """
    reason = pd.Series("", index=table.index)
    for column, allowed in (("view", settings.views), ("modality", settings.modality)):
        if allowed != "all":
            reason[~table[column].isin(allowed)] = column
    original = table.set_index("image_id")["augmentation_of"]
    follows = catalogue.original_of(table)
    reason = follows.map(pd.Series(reason.to_numpy(), index=original.index))
    kept, dropped = table[reason == ""], table[reason != ""]
    for label in LABELS:
        if not (kept["label"] == label).any():
            views = ", ".join(sorted(set(table["view"]) - {""})) or "none"
            raise UserError(
                f"filter: no {label} image is left of {(table['label'] == label).sum()}; "
                f"widen `views` or `modality` (views there are: {views})"
            )
    counts = {"kept": _counts(kept), "dropped": _counts(dropped)}
    counts["dropped"]["reason"] = {name: int((reason == name).sum()) for name in ("modality", "view")}
    return kept, counts


def _counts(table: pd.DataFrame) -> dict[str, Any]:
    originals = table[catalogue.originals(table)]
    counts: dict[str, Any] = {"images": len(table), "copies": len(table) - len(originals)}
    for label in LABELS:
        rows = originals[originals["label"] == label]
        counts[label] = {
            "images": len(rows),
            "patients": rows["patient_id"].replace("", pd.NA).nunique(),
            "view": _by_value(rows["view"]),
            "finding": _by_value(rows["finding"]),
        }
    return counts


def _by_value(column: pd.Series) -> dict[str, int]:
    return {str(name): int(count) for name, count in column.replace("", "unknown").value_counts().sort_index().items()}

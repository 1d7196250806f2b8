"""Which test images get heat maps, and why."""

import numpy as np
import pandas as pd

from deepcovid import catalogue
from deepcovid.errors import UserError
from deepcovid.settings.datasets import HeatmapImages


def choose(table: pd.DataFrame, cut_off: float, images: HeatmapImages) -> pd.DataFrame:
    """Return the chosen rows of `table`, each once, with why it was chosen and the cut-off.

    True positives come first, then false positives from the highest score, false negatives from the lowest, and what a
    sample of the images without COVID-19 adds. Samples are the first so many of a shuffled table, so that an image that
    changes sides moves one place of them and no more.

    Args:
        table: Test images: label, score (P(covid)) and whatever else is to be kept.
        cut_off: An image is called covid from this score on.
        images: How many of which.

    Returns:
        The rows, with cut_off and why: true positive, false positive, false negative or sample.

    Raises:
        UserError: A score is not a number, or no image is chosen.
    """
    score, covid = table["score"].to_numpy(dtype=np.float64), catalogue.covid(table).to_numpy()
    if not np.isfinite(score).all():
        raise UserError("heat maps: a score is not a number; lower the recipe's learning rate")
    called, rng = score >= cut_off, np.random.default_rng(images.seed)
    shuffled, sampled = rng.permutation(len(table)), rng.permutation(len(table))
    falling, rising = np.argsort(-score, kind="stable"), np.argsort(score, kind="stable")
    most = None if images.true_positives == "all" else images.true_positives
    places = {
        "true positive": np.sort(shuffled[(covid & called)[shuffled]][:most]),
        "false positive": falling[(~covid & called)[falling]][: images.worst],
        "false negative": rising[(covid & ~called)[rising]][: images.worst],
        "sample": np.sort(sampled[~covid[sampled]][: images.sample]),
    }
    parts = [table.iloc[rows].assign(cut_off=cut_off, why=why) for why, rows in places.items()]
    found = pd.concat(parts)
    if found.empty:
        raise UserError(
            f"heat maps: none of {len(table)} test images is chosen; raise true_positives, sample or worst of the data "
            "set's heatmaps.images"
        )
    return found[~found.index.duplicated()].reset_index(drop=True)

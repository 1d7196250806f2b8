"""What a recipe's heads still reach when the lungs are hidden, or when little but the lungs is shown.

The lungs lie in the middle of a frontal radiograph. Heads that tell the classes apart without the middle look at
something else than disease (Maguolo and Nanni 2021).
"""

from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, cpu_count, delayed
from numpy.typing import NDArray

from deepcovid import catalogue
from deepcovid.audits.hiding import Square, hide
from deepcovid.errors import UserError
from deepcovid.heads.sweep import train_and_score
from deepcovid.settings import EvaluateSettings, Recipe
from deepcovid.statistics.intervals import patient_weights, percentile_interval, weighted_auc
from deepcovid.statistics.rates import rounded

WHOLE = Square(0.0, "outside")  # nothing is hidden


def swept(
    features: dict[Square, NDArray[np.float32]],
    table: pd.DataFrame,
    recipe: Recipe,
    seeds: list[int],
    settings: EvaluateSettings,
) -> list[dict[str, Any]]:
    """Return what heads reach that are trained and tested with each square hidden, or with nothing else shown.

    Args:
        features: (images, features) by square; WHOLE among them.
        table: The catalogue (images), with its split.
        recipe: Of the heads; one that needs no more than frozen features.
        seeds: Of the heads.
        settings: Of the bootstrap.

    Returns:
        Per square: share, shows; auc of the first seed with low and high (bootstrap over patients); over_seeds; and
        less_than_whole, the AUC of the whole image less this one, with its paired interval.

    Raises:
        UserError: The training or the test images are not of both classes.
    """
    test = table[catalogue.in_test(table)]
    for side, rows in (("training", table[catalogue.in_training(table, augmented=False)]), ("test", test)):
        if rows["label"].nunique() < 2:
            raise UserError(f"hidden: the {side} images are of one class only; widen the filter or change the split")
    positive = catalogue.covid(test).to_numpy()
    weights = patient_weights(positive, test["patient_id"], settings.bootstrap_samples, settings.bootstrap_seed)
    scores = _scores(features, table, recipe, seeds)
    ones = np.ones((1, len(positive)))
    draws = {square: weighted_auc(positive, part[:, 0], weights) for square, part in scores.items()}
    found = []
    for square, part in scores.items():
        areas = [float(weighted_auc(positive, score, ones)[0]) for score in part.T]
        whole = float(weighted_auc(positive, scores[WHOLE][:, 0], ones)[0])
        found.append(
            {
                **square._asdict(),
                "auc": areas[0],
                **_named(draws[square]),
                "over_seeds": {"mean": float(np.mean(areas)), "min": min(areas), "max": max(areas)},
                "less_than_whole": {"difference": whole - areas[0], **_named(draws[WHOLE] - draws[square])},
            }
        )
    return rounded(found)


def left_visible(masks: NDArray[np.bool_], square: Square) -> float:
    """Return the share of masks (images, height, width), some of them not empty, that `square` leaves to be seen."""
    return float(hide(masks[..., None].astype(np.uint8), square).sum() / masks.sum())


def _scores(
    features: dict[Square, NDArray[np.float32]], table: pd.DataFrame, recipe: Recipe, seeds: list[int]
) -> dict[Square, NDArray[np.float64]]:
    """Return the test images' scores (images, seeds) by square; the squares share out the processor's cores."""
    work = (delayed(train_and_score)(part, table, [recipe], seeds) for part in features.values())
    trained = Parallel(n_jobs=min(len(features), cpu_count()))(work)
    return {square: part[recipe.without_cut_off()].to_numpy() for square, part in zip(features, trained, strict=True)}


def _named(draws: NDArray[np.float64]) -> dict[str, float]:
    low, high = percentile_interval(draws)
    return {"low": low, "high": high}

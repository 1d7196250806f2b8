"""From features and heads to scores: P(covid) per image and head."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from deepcovid.catalogue import group_of
from deepcovid.errors import UserError
from deepcovid.settings.recipes import Recipe

# By recipe without its cut-off: test images by heads, columns seed_<seed> or seed_<seed>_run_<run>.
Scores = dict[Recipe, pd.DataFrame]


def score(features: NDArray[np.float32], weight: NDArray[np.float32], bias: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return P(covid) as (images, seeds): the softmax over two classes, which is the logistic of `log_odds`."""
    return np.asarray(expit(log_odds(features, weight, bias)))


def log_odds(
    features: NDArray[np.float32], weight: NDArray[np.float32], bias: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the log-odds of covid as (images, seeds): the difference of a head's two outputs.

    Raises:
        UserError: The heads are for features of another length, or a score is not a number.
    """
    if features.shape[1] != weight.shape[1]:
        raise UserError(
            f"a head for {weight.shape[1]} features cannot score {features.shape[1]}; use the net it was trained with"
        )
    difference = (weight[..., 0] - weight[..., 1]).astype(np.float64)
    found = np.asarray(features @ difference.T + (bias[:, 0] - bias[:, 1]))
    if np.isnan(found).any():
        raise UserError("a score is not a number: training diverged; lower the recipe's learning rate")
    return found


def score_table(table: pd.DataFrame, scores: NDArray[np.float64], heads: list[str]) -> pd.DataFrame:
    """Return the test images' columns of the catalogue, followed by a column of scores per head (images, heads)."""
    facts = table.assign(group=group_of(table))[["image_id", "label", "group", "patient_id"]].reset_index(drop=True)
    return facts.join(pd.DataFrame(scores, columns=heads))


def median_head(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> int:
    """Return which head's numbers are shown: the one with the median AUC; of an even number, the lower in the middle.

    Args:
        scores: (images, heads), larger for positive.
        positive: (images), some of them true and some not.
    """
    areas = []
    for column in scores.T:
        others = np.sort(column[~positive])
        below = [np.searchsorted(others, column[positive], side) for side in ("left", "right")]  # ties count half
        areas.append(int(np.sum(below)))
    return int(np.argsort(areas, kind="stable")[(len(areas) - 1) // 2])


def heads_of(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of a score table that are scores."""
    return table.filter(regex=r"^seed_")

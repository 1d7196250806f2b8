"""How much it matters that the epoch is chosen on the test images.

The epoch is chosen on one half of the test images, and the head is tested on the same half and on the other.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepcovid import catalogue
from deepcovid.heads.scoring import score
from deepcovid.heads.training import Trained, auc
from deepcovid.settings.recipes import Recipe

COLUMNS = ["recipe", "same", "other"]


def by_halves(
    recipes: Mapping[str, Recipe],
    heads: Mapping[Recipe, Trained],
    features: NDArray[np.float32],
    table: pd.DataFrame,
    parts: NDArray[np.intp] | None,
) -> pd.DataFrame:
    """Return the AUC of recipes that choose the epoch on test images: chosen on the tested half, and on the other one.

    Args:
        recipes: Frozen-feature recipes only, under their names.
        heads: The heads of each recipe without its cut-off, with those for the two `parts`.
        features: Features of all rows by one net (rows, features).
        table: The catalogue (rows).
        parts: What `halves` returned for these recipes.

    Returns:
        A row per recipe: its name, and the mean AUC over halves and seeds with the epoch chosen on the half that is
        tested (same) or on the other half (other). There is no row for recipes that do not choose on test images.
    """
    if parts is None:
        return pd.DataFrame(columns=COLUMNS)
    positive, rows = catalogue.covid(table).to_numpy(), []
    tested = [(np.asarray(features[half]), torch.tensor(positive[half])) for half in parts]
    for name, recipe in recipes.items():
        if recipe.chooses_on_the_test:
            chosen = heads[recipe.without_cut_off()].by_part
            areas = np.array([[_area(*half, *own) for half in tested] for own in chosen])
            rows.append({"recipe": name, "same": areas[[0, 1], [0, 1]].mean(), "other": areas[[0, 1], [1, 0]].mean()})
    return pd.DataFrame(rows, columns=COLUMNS)


def _area(
    features: NDArray[np.float32], positive: Tensor, weight: NDArray[np.float32], bias: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the AUC of each head, (seeds)."""
    scores = torch.tensor(score(features, weight, bias))
    areas: NDArray[np.float64] = auc(scores[None], positive)[0].double().numpy()
    return areas


def halves(table: pd.DataFrame, recipes: Iterable[Recipe]) -> NDArray[np.intp] | None:
    """Return two halves of the test images as rows of the catalogue, (2, images): no patient is in both.

    It is None if no recipe chooses the epoch on the test images. The halves are drawn by patient within each class.
    They have the same number of images of each class, so a few of the larger half are left out.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    if not any(recipe.chooses_on_the_test for recipe in recipes):
        return None
    test, covid = np.flatnonzero(catalogue.in_test(table)), catalogue.covid(table).to_numpy()
    folds = StratifiedGroupKFold(2, shuffle=True, random_state=0)
    both = [test[part] for part in next(folds.split(test, covid[test], catalogue.patients(table).iloc[test]))]
    kept: list[list[NDArray[np.intp]]] = [[], []]
    for wanted in (True, False):
        own = [part[covid[part] == wanted] for part in both]
        size = min(len(part) for part in own)
        for side, part in zip(kept, own, strict=True):
            side.append(part[:size])
    return np.array([np.concatenate(side) for side in kept])

"""How much it matters that the epoch is chosen on the test images.

The epoch is chosen on one half of the test images, and the head is tested on the same half and on the other.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from deepcovid import catalogue
from deepcovid.heads import training
from deepcovid.heads.scoring import score
from deepcovid.heads.sides import sides
from deepcovid.heads.sweep import groups_of, joined
from deepcovid.settings.recipes import Recipe

COLUMNS = ["recipe", "same", "other"]


Areas = dict[Recipe, dict[str, float]]  # the AUC by "same" and "other" (see `by_halves`)


def half_jobs(
    features: NDArray[np.float32], table: pd.DataFrame, recipes: Mapping[str, Recipe], seeds: Sequence[int]
) -> list[Callable[[], Areas]]:
    """Return the work of `by_halves` as functions without arguments, to be called anywhere.

    The halves are drawn by patient within each class. They have the same number of images of each class, so a few of
    the larger half are left out.

    Args:
        features: Features of all rows by one net (rows, features).
        table: The catalogue (rows), with its split.
        recipes: Frozen-feature recipes only, under their names.
        seeds: One head of each recipe is trained per seed.
    """
    chosen = _that_choose_on_the_test(recipes)
    if not chosen:
        return []
    parts = halves(table)
    return [partial(_areas, features, table, parts, group, list(seeds)) for group in groups_of(chosen.values())]


def by_halves(recipes: Mapping[str, Recipe], areas: Iterable[Areas]) -> pd.DataFrame:
    """Return the AUC of recipes that choose the epoch on test images: chosen on the tested half, and on the other one.

    Args:
        recipes: The recipes of `half_jobs`.
        areas: What its functions returned.

    Returns:
        A row per recipe: its name, and the mean AUC over halves and seeds with the epoch chosen on the half that is
        tested (same) or on the other half (other). There is no row for recipes that do not choose on test images.
    """
    found, chosen = joined(areas), _that_choose_on_the_test(recipes)
    rows = [{"recipe": name} | found[recipe.without_cut_off()] for name, recipe in chosen.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def _that_choose_on_the_test(recipes: Mapping[str, Recipe]) -> dict[str, Recipe]:
    return {
        name: recipe
        for name, recipe in recipes.items()
        if recipe.selection == "best-accuracy" and recipe.selection_on == "test"
    }


def halves(table: pd.DataFrame) -> NDArray[np.intp]:
    """Return two halves of the test images as rows of the catalogue, (2, images): no patient is in both."""
    from sklearn.model_selection import StratifiedGroupKFold

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


@training.one_thread()
def _areas(
    features: NDArray[np.float32], table: pd.DataFrame, parts: NDArray[np.intp], group: list[Recipe], seeds: list[int]
) -> Areas:
    whole = training.Data.of(np.asarray(features), table["label"])
    (train,) = np.nonzero(sides(table, group[0]).train.to_numpy())
    rows = torch.tensor(np.repeat(parts, len(seeds), axis=0))
    seen = training.Data(whole.features, whole.classes, torch.tensor(train).expand(len(rows), -1))
    tested_on = training.Data(whole.features, whole.classes, rows)  # and chosen on
    made = training.train(seen, tested_on, group, seeds * 2, logged=False)
    positive, found = catalogue.covid(table).to_numpy(), {}
    for recipe, heads in zip(group, made, strict=True):
        areas = np.empty((2, 2, len(seeds)))  # the half chosen on, the half tested on, seed
        for tested, half in enumerate(parts):
            margin = score(np.asarray(features[half]), heads.weight.numpy(), heads.bias.numpy())
            own = training.auc(torch.tensor(margin)[None], torch.tensor(positive[half]))[0]
            areas[:, tested] = own.numpy().reshape(2, len(seeds))
        found[recipe] = {"same": float(areas[[0, 1], [0, 1]].mean()), "other": float(areas[[0, 1], [1, 0]].mean())}
    return found

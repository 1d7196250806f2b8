"""Heads of many recipes on the frozen features of one net, trained in one go."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray

from deepcovid import catalogue
from deepcovid.heads import training
from deepcovid.heads.scoring import Scores, score
from deepcovid.heads.sides import sides
from deepcovid.heads.training import Trained
from deepcovid.passes.forked import at_once
from deepcovid.settings.recipes import Recipe

Key = TypeVar("Key")
Value = TypeVar("Value")


def train_recipes(
    features: NDArray[np.float32],
    table: pd.DataFrame,
    recipes: Iterable[Recipe],
    seeds: list[int],
    *,
    logged: bool = True,
) -> dict[Recipe, Trained]:
    """Return the heads of each recipe, by the recipe without its cut-off, which no training knows.

    Recipes of one training set train together, as a group; this machine's cores share the groups out.

    Args:
        features: (images, features), frozen.
        table: The catalogue (images), with its split.
        recipes: Frozen-feature recipes only.
        seeds: One head is trained per seed.
        logged: Whether the logs are wanted.
    """
    return joined(at_once(training_jobs(features, table, recipes, seeds, logged=logged)))


def training_jobs(
    features: ArrayLike,
    table: pd.DataFrame,
    recipes: Iterable[Recipe],
    seeds: list[int],
    *,
    parts: NDArray[np.intp] | None = None,
    logged: bool = True,
) -> list[Callable[[], dict[Recipe, Trained]]]:
    """Return the work of `train_recipes` as functions for `at_once`, which can call others with them.

    Args:
        features: As for `train_recipes`, or stored in a file; jobs for other processes are then small.
        table: The catalogue.
        recipes: The recipes.
        seeds: The seeds.
        parts: (parts, images), rows of some test images, for `Trained.by_part`.
        logged: Whether the logs are wanted.
    """
    chosen_on = parts if parts is not None else np.empty((0, 0), np.intp)
    return [partial(_train_group, features, table, group, seeds, chosen_on, logged) for group in groups_of(recipes)]


def joined(parts: Iterable[dict[Key, Value]]) -> dict[Key, Value]:
    """Return as one what several jobs returned under different keys."""
    return {key: value for part in parts for key, value in part.items()}


def groups_of(recipes: Iterable[Recipe]) -> list[list[Recipe]]:
    """Return the recipes without their cut-offs, in groups that train together: of one training set."""
    groups: dict[Any, list[Recipe]] = {}
    for recipe in dict.fromkeys(recipe.without_cut_off() for recipe in recipes):
        alike = recipe.augmented, recipe.batch_size, recipe.selection_on
        groups.setdefault(alike, []).append(recipe)
    return list(groups.values())


def train_and_score(
    features: NDArray[np.float32], table: pd.DataFrame, recipes: Iterable[Recipe], seeds: list[int]
) -> Scores:
    """Return the test images' scores under each recipe; arguments are as for `train_recipes`."""
    return joined(at_once(scoring_jobs(features, table, recipes, seeds)))


def scoring_jobs(
    features: ArrayLike, table: pd.DataFrame, recipes: Iterable[Recipe], seeds: list[int]
) -> list[Callable[[], Scores]]:
    """Return the work of `train_and_score` as functions for `at_once`; `joined` joins what they return.

    Features may be stored in a file, as for `training_jobs`.
    """
    jobs = training_jobs(features, table, recipes, seeds, logged=False)
    return [partial(_scores, job, features, table, seeds) for job in jobs]


def _scores(
    job: Callable[[], dict[Recipe, Trained]], features: ArrayLike, table: pd.DataFrame, seeds: list[int]
) -> Scores:
    test, columns = np.asarray(features)[catalogue.in_test(table).to_numpy()], [f"seed_{seed}" for seed in seeds]
    return {
        recipe: pd.DataFrame(score(test, trained.weight, trained.bias), columns=columns)
        for recipe, trained in job().items()
    }


def score_each(
    works: Sequence[tuple[NDArray[np.float32], pd.DataFrame]], recipe: Recipe, seeds: list[int]
) -> list[NDArray[np.float64]]:
    """Return the test images' scores (images, seeds) by heads of one recipe, trained on each of several works.

    Args:
        works: Features (images, features) and the catalogue (images), with its split; they share out the cores.
        recipe: A frozen-feature recipe.
        seeds: One head is trained per seed.
    """
    jobs = [job for work in works for job in scoring_jobs(*work, [recipe], seeds)]
    return [scores.to_numpy() for part in at_once(jobs) for scores in part.values()]


@training.one_thread()
def _train_group(
    features: ArrayLike,
    table: pd.DataFrame,
    group: list[Recipe],
    seeds: list[int],
    chosen_on: NDArray[np.intp],
    logged: bool,
) -> dict[Recipe, Trained]:
    values = np.asarray(features)

    def data_of(rows: "pd.Series[bool]") -> training.Data:
        return training.Data.of(values[rows.to_numpy()], table["label"][rows])

    rows = sides(table, group[0])
    train, test = data_of(rows.train), data_of(rows.test)
    selected_on = test if rows.selected_on is rows.test else data_of(rows.selected_on)
    parts = [torch.from_numpy(np.searchsorted(np.flatnonzero(rows.test), part)) for part in chosen_on]
    made = training.train(train, test, group, seeds, selected_on=selected_on, parts=parts, logged=logged)
    return dict(zip(group, made, strict=True))

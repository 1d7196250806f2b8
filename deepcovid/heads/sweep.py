"""Heads of many recipes on the frozen features of one net, trained and scored in one go."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, cpu_count, delayed
from numpy.typing import NDArray

from deepcovid import catalogue
from deepcovid.heads import training
from deepcovid.heads.scoring import Scores, score
from deepcovid.settings import Recipe


def train_and_score(
    features: NDArray[np.float32], table: pd.DataFrame, recipes: Iterable[Recipe], seeds: list[int]
) -> Scores:
    """Return the test images' scores under each recipe.

    Recipes of one optimiser and training set train together; such groups share out the processor's cores.

    Args:
        features: (images, features), frozen.
        table: The catalogue (images), with its split.
        recipes: None that needs the whole net.
        seeds: A head each.
    """
    groups: dict[Any, list[Recipe]] = {}
    for recipe in dict.fromkeys(recipe.without_cut_off() for recipe in recipes):
        groups.setdefault((recipe.augmented, recipe.optimiser, recipe.batch_size), []).append(recipe)
    work = [delayed(_train_group)(np.asarray(features), table, group, seeds) for group in groups.values()]
    return {
        recipe: scores for part in Parallel(n_jobs=min(len(work), cpu_count()))(work) for recipe, scores in part.items()
    }


def _train_group(features: NDArray[np.float32], table: pd.DataFrame, group: list[Recipe], seeds: list[int]) -> Scores:
    torch.set_num_threads(1)  # the steps are too small to share out; in a process of its own, so each must be told
    in_train, in_test = catalogue.in_training(table, augmented=group[0].augmented), catalogue.in_test(table)
    train, test = (training.Data.of(features[rows.to_numpy()], table["label"][rows]) for rows in (in_train, in_test))
    columns = [f"seed_{seed}" for seed in seeds]
    trained = training.train(train, test, group, seeds)
    values = [score(test.features.numpy(), part.weight.numpy(), part.bias.numpy()) for part in trained]
    return {recipe: pd.DataFrame(part, columns=columns) for recipe, part in zip(group, values, strict=True)}

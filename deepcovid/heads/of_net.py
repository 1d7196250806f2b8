"""All that is trained on the features of one net: its heads, heads on other splits, and the distance of outliers."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepcovid import catalogue
from deepcovid.arrays import Stored
from deepcovid.heads.gaussian import Gaussian
from deepcovid.heads.halves import halves
from deepcovid.heads.outliers import fit_with_threshold
from deepcovid.heads.resplit import SplitScore, on_splits, resplit
from deepcovid.heads.sweep import training_jobs
from deepcovid.passes.remembered import Job
from deepcovid.settings.analyses import OutlierSettings
from deepcovid.settings.recipes import Recipe

TOGETHER = 20  # other splits in one job; with fewer, cores share work more evenly, and with more, no step is cheaper


class Tables(NamedTuple):
    """What all nets share.

    Attributes:
        images: The catalogue.
        halves: What `halves` returned.
        divided: Rows of `images` that other splits divide.
        splits: These rows and the spare copies, as `resplit` divided them, by the seed of the split.
    """

    images: pd.DataFrame
    halves: NDArray[np.intp] | None
    divided: NDArray[np.intp]
    splits: dict[int, pd.DataFrame]

    @classmethod
    def of(
        cls, images: pd.DataFrame, spare: pd.DataFrame, recipes: Iterable[Recipe], seeds: Sequence[int], *, own: bool
    ) -> Self:
        """Return them for a catalogue, rows of spare copies, the recipes, and the seeds of other splits.

        `own` says whether all copies are ours. Published ones are not divided anew: not every image has them, nor
        equally many.
        """
        divided = np.arange(len(images)) if own else np.flatnonzero(catalogue.originals(images))
        drawn = resplit(pd.concat([images.iloc[divided], spare], ignore_index=True), seeds)
        return cls(images, halves(images, recipes), divided, dict(zip(seeds, drawn, strict=True)))


def jobs_of_net(
    features: Stored,
    copies: Stored | None,
    tables: Tables,
    recipes: Iterable[Recipe],
    seeds: list[int],
    outliers: OutlierSettings,
    tables_known: Any,
) -> dict[str, list[Job]]:
    """Return what there is to train on a net's features.

    Each recipe is trained by itself, so that its heads depend on no other recipe, not even in the last bit.

    Args:
        features: The net's features of the images (images, features).
        copies: The same of the spare copies (copies, features). None if nothing is trained on other splits.
        tables: What all nets share.
        recipes: Frozen-feature recipes only.
        seeds: One head is trained per seed. On other splits there is a head for the first one only.
        outliers: When an image counts as unlike the training images.
        tables_known: Something that differs if tables do, such as hashes of their files.

    Returns:
        own: jobs that return {recipe: Trained}.
        splits: jobs that return {(recipe, seed of the split): scores}, a SplitScore each.
        outliers: one job, which returns what `fit_with_threshold` does.
    """
    jobs: dict[str, list[Job]] = {"splits": [], "own": []}
    known, numbers = (tables_known, features.file.sha256), list(tables.splits)
    together = [numbers[start : start + TOGETHER] for start in range(0, len(numbers), TOGETHER)]
    for recipe in dict.fromkeys(recipe.without_cut_off() for recipe in recipes):
        if copies is not None:
            for some in together:
                splits = {number: tables.splits[number] for number in some}
                again = partial(_on_splits, features, copies, tables.divided, splits, recipe, seeds[0])
                jobs["splits"].append(Job(again, ("splits", known, copies.file.sha256, recipe, seeds[0], some)))
        parts = tables.halves if recipe.chooses_on_the_test else None
        (own,) = training_jobs(features, tables.images, [recipe], seeds, parts=parts)
        jobs["own"].append(Job(own, ("own", known, recipe, seeds)))
    fitted = partial(_fit, features, tables.images, outliers)
    return jobs | {"outliers": [Job(fitted, ("outliers", known, outliers))]}


def _on_splits(
    features: Stored,
    copies: Stored,
    divided: NDArray[np.intp],
    splits: Mapping[int, pd.DataFrame],
    recipe: Recipe,
    seed: int,
) -> dict[tuple[Recipe, int], SplitScore]:
    found = on_splits(np.concatenate([np.asarray(features)[divided], np.asarray(copies)]), splits, recipe, seed)
    return {(recipe, number): scored for number, scored in found.items()}


def _fit(features: Stored, table: pd.DataFrame, settings: OutlierSettings) -> tuple[Gaussian, float]:
    originals = catalogue.in_training(table, augmented=False)
    return fit_with_threshold(np.asarray(features)[originals.to_numpy()], table[originals], settings)

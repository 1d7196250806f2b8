"""Heads trained again on other splits, to see how far a number depends on who is trained on and who is tested."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from deepcovid import catalogue
from deepcovid.heads import training
from deepcovid.heads.scoring import score
from deepcovid.heads.sides import sides
from deepcovid.progress import track
from deepcovid.settings.datasets import Counts, SplitSettings
from deepcovid.settings.recipes import Recipe
from deepcovid.splitting import split_images

SplitScore = tuple[NDArray[np.bool_], NDArray[np.float64]]  # which test images have COVID-19, and their P(covid)


def resplit(table: pd.DataFrame, seeds: Sequence[int]) -> list[pd.DataFrame]:
    """Return the catalogue once per seed, split by patient at random, with as many images on each side as it has now.

    Args:
        table: The catalogue with its split, and copies of all COVID images.
        seeds: A split each.

    Raises:
        UserError: There are too few patients for such a split.
    """
    originals = table[catalogue.originals(table)]
    now = originals.groupby(["label", "split"]).size().to_dict()
    counts = {label: Counts(**{side: now[label, side] for side in catalogue.SIDES}) for label in catalogue.LABELS}
    names, found = table["image_id"], []
    for seed in track(seeds, "splitting", total=len(seeds), unit="splits"):
        settings = SplitSettings(strategy="patient", seed=seed, too_few="error", **counts)
        rows, _ = split_images(table.drop(columns="split"), settings)
        found.append(table.assign(split=names.map(rows.set_index("image_id")["split"]).fillna("")))
    return found


@training.one_thread()
def on_splits(
    features: NDArray[np.float32], splits: Mapping[int, pd.DataFrame], recipe: Recipe, seed: int
) -> dict[int, SplitScore]:
    """Return the test images' scores by heads that are trained on each split, under the split's seed.

    Args:
        features: A net's, of all rows (rows, features).
        splits: What `resplit` returned, each split under its seed.
        recipe: A frozen-feature recipe.
        seed: Seed of the initial weights, the same on every split.
    """
    whole, found = training.Data.of(features, next(iter(splits.values()))["label"]), {}
    for numbers, rows in _alike(splits, recipe):
        train, test, selected_on = (training.Data(whole.features, whole.classes, part) for part in rows)
        again = [seed] * len(numbers)
        (heads,) = training.train(train, test, [recipe], again, selected_on=selected_on, logged=False)
        for place, number in enumerate(numbers):
            tested, one = rows[1][place].numpy(), slice(place, place + 1)
            scores = score(features[tested], heads.weight[one], heads.bias[one])
            found[number] = catalogue.covid(splits[number]).to_numpy()[tested], scores[:, 0]
    return found


def _alike(splits: Mapping[int, pd.DataFrame], recipe: Recipe) -> Iterator[tuple[list[int], tuple[torch.Tensor, ...]]]:
    """Yield splits with as many rows on each side, which can be trained together: their seeds, and the rows of sides.

    Rows are (splits, images). Where a part of the training images is set apart, their number varies a little.
    """
    rows = {number: [np.flatnonzero(side) for side in sides(table, recipe)] for number, table in splits.items()}

    def lengths(number: int) -> list[int]:
        return [len(part) for part in rows[number]]

    for _, members in groupby(sorted(rows, key=lengths), lengths):
        numbers = list(members)
        parts = zip(*(rows[number] for number in numbers), strict=True)
        yield numbers, tuple(torch.tensor(np.stack(part)) for part in parts)

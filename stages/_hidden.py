"""Train and test heads on images with their middle hidden, on nothing but their middle, and on shuffled pixels."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepcovid import catalogue
from deepcovid.arrays import load_array
from deepcovid.audits.hidden import Hidden, swept
from deepcovid.audits.hiding import WHOLE, Square, squares
from deepcovid.errors import UserError
from deepcovid.fetching import packaged
from deepcovid.images.masks import lesion_masks, lung_masks, lung_places
from deepcovid.parameters import Parameters
from stages import _audit, paths
from stages._features import read_features


def hidden(parameters: Parameters, dataset: str) -> None:
    recipe = parameters.trained[parameters.audit.recipe]
    table = catalogue.read(paths.data(dataset, "images.csv"))
    sweep, size = squares(parameters.hiding), parameters.image_size
    lesions, lungs = known_lesions(dataset, table, size), known_lungs(dataset, table, size)
    nets = {}
    for model in parameters.audited_models:
        path = paths.features(dataset, model, "hidden")
        shape, whole = load_array(path).shape, read_features(dataset, model, len(table))
        # The file stores one block of rows per square, unlabelled. If it was written for another list of squares,
        # slicing would mix them up.
        if shape != (len(sweep) * len(table), whole.shape[1]):
            raise UserError(
                f"{path}: its {shape[0]} rows do not match {len(sweep)} squares (dataset.{dataset}.hiding) for each of "
                f"{len(table)} images, or come from another net; run `dvc repro`, or the stage features"
            )
        passes = read_features(dataset, model, shape[0], "hidden")
        features = {WHOLE: whole} | dict(zip(sweep, passes.reshape(len(sweep), len(table), -1), strict=True))
        nets[model] = swept(features, table, recipe, parameters.seeds, parameters.evaluate, lesions, lungs)
    found = Hidden(
        recipe=parameters.audit.recipe,
        told=Square(parameters.audit.hidden_share, "outside").key,
        nets=nets,
        skipped=None if nets else "audited_models names no net",
    )
    _audit.write(found, dataset, "hidden")


def known_lesions(dataset: str, table: pd.DataFrame, image_size: int) -> NDArray[np.bool_]:
    """Return the lesion masks of the COVID test images that have one, (images, side, side)."""
    masks = lesion_masks(paths.data(dataset, "raw"), covid_test_images(table), image_size)
    return np.array([mask for mask in masks if mask is not None])


def known_lungs(dataset: str, table: pd.DataFrame, image_size: int) -> NDArray[np.bool_]:
    """Return the lung masks of the COVID test images that have one, (images, side, side)."""
    raw = paths.data(dataset, "raw")
    places = lung_places(raw, packaged(paths.SOURCES, "lung-masks").path)
    masks = lung_masks(raw, covid_test_images(table), places, image_size)
    return np.array([mask for mask in masks if mask is not None])


def covid_test_images(table: pd.DataFrame) -> pd.DataFrame:
    """Return the catalogue's rows of the COVID test images."""
    return table[catalogue.in_test(table) & catalogue.covid(table)].reset_index(drop=True)

"""Features, as the stages features and external_features leave them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepcovid.arrays import load_array
from deepcovid.errors import REMAKE, UserError
from stages import paths


def read_features(dataset: str, model: str, count: int, of: str = "images") -> NDArray[np.float32]:
    """Return (images, features) of a data set's `count` images by one of its nets; `of` is as for `paths.features`.

    Raises:
        UserError: The file is damaged, or has features of another number of images.
    """
    table = paths.spare_copies(dataset) / "images.csv" if of == "spare" else paths.data(dataset, "images.csv")
    return _read(paths.features(dataset, model, of), count, table)


def read_external_features(dataset: str, images: str, model: str, count: int) -> NDArray[np.float32]:
    """Return (images, features) of the `count` test images of the data set `images`, by a net of `dataset`.

    Raises:
        UserError: The file is damaged, or has features of another number of images.
    """
    path = paths.external_features(dataset, images) / f"{model}.npy"
    return _read(path, count, paths.data(images, "images.csv"))


def _read(path: Path, count: int, table: Path) -> NDArray[np.float32]:
    features = load_array(path, (count, None), np.float32, table)
    if not np.isfinite(features).all():
        raise UserError(f"{path}: damaged (a feature is no number); {REMAKE}")
    return features

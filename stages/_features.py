"""Reads what the stages features and external_features wrote."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepcovid import catalogue
from deepcovid.arrays import Stored, load_array
from deepcovid.errors import REMAKE, UserError
from stages import paths


def read_features(dataset: str, model: str, count: int, of: str = "images") -> NDArray[np.float32]:
    """Return one net's features of a data set's `count` images, (images, features); `of` is as for `paths.features`.

    Raises:
        UserError: The file is damaged, or has features of another number of images.
    """
    table = paths.spare_copies(dataset) / "images.csv" if of == "spare" else paths.data(dataset, "images.csv")
    return _read(paths.features(dataset, model, of), count, table)


def stored_features(dataset: str, model: str, count: int, of: str = "images") -> Stored:
    """Return the file that `read_features` reads, for work that other processes do.

    Raises:
        UserError: As `read_features` does.
    """
    read_features(dataset, model, count, of)
    return Stored.of(paths.features(dataset, model, of))


def read_external(dataset: str, images: str) -> pd.DataFrame:
    """Return the catalogue of the test images of the set `images` that nets of `dataset` were shown."""
    return catalogue.read(paths.external_features(dataset, images) / "images.csv")


def read_external_features(dataset: str, images: str, model: str, count: int) -> NDArray[np.float32]:
    """Return the features (images, features) that a net of `dataset` gives `count` test images of the set `images`.

    Raises:
        UserError: The file is damaged, or has features of another number of images.
    """
    folder = paths.external_features(dataset, images)
    return _read(folder / f"{model}.npy", count, folder / "images.csv")


def _read(path: Path, count: int, table: Path) -> NDArray[np.float32]:
    features = load_array(path, (count, None), np.float32, table)
    if not np.isfinite(features).all():
        raise UserError(f"{path}: damaged (a feature is not a finite number); {REMAKE}")
    return features

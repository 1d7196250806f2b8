"""The training images that set the scale of random weights."""

import pandas as pd
import torch

from deepcovid import catalogue
from deepcovid.errors import UserError
from deepcovid.nets.features import normalised
from stages import paths
from stages._pixels import read_pixels


def calibration_images(dataset: str, image_size: int, seed: int, count: int) -> torch.Tensor:
    """Return a fixed sample of training images, as the net sees them."""
    table = catalogue.read(paths.data(dataset, "images.csv"))
    pixels = read_pixels(dataset, image_size, len(table))
    return normalised(torch.from_numpy(pixels[sampled(table, seed, count)]))


def sampled(table: pd.DataFrame, seed: int, count: int) -> "pd.Index[int]":
    """Return the places in the catalogue of a random sample of training originals, in rising order."""
    rows = table[catalogue.in_training(table, augmented=False)]
    if rows.empty:
        raise UserError("no training images to set the scale of random weights; name a data set with training images")
    return rows.sample(min(count, len(rows)), random_state=seed).index.sort_values()

"""The training images that set the scale of random weights."""

import torch

from deepcovid import catalogue
from deepcovid.arrays import load_array
from deepcovid.nets.features import normalised
from stages import paths


def calibration_images(dataset: str, seed: int, count: int) -> torch.Tensor:
    """Return a fixed sample of training images, as the net sees them."""
    table = catalogue.read(paths.data(dataset, "images.csv"))
    rows = table[catalogue.in_training(table, augmented=False)]
    sample = rows.sample(min(count, len(rows)), random_state=seed).index.sort_values()
    return normalised(torch.from_numpy(load_array(paths.data(dataset, "pixels.npy"))[sample]))

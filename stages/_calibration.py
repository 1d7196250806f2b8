"""The training images that set the scale of random weights."""

import torch

from deepcovid import catalogue
from deepcovid.nets.features import normalised
from stages import paths
from stages._pixels import read_pixels


def calibration_images(dataset: str, image_size: int, seed: int, count: int) -> torch.Tensor:
    """Return a fixed sample of training images, as the net sees them."""
    table = catalogue.read(paths.data(dataset, "images.csv"))
    rows = table[catalogue.in_training(table, augmented=False)]
    sample = rows.sample(min(count, len(rows)), random_state=seed).index.sort_values()
    return normalised(torch.from_numpy(read_pixels(dataset, image_size)[sample]))

"""Reads a data set's decoded images and checks their size."""

from typing import Any

import numpy as np

from deepcovid.arrays import load_array
from deepcovid.errors import UserError
from stages import paths


def read_pixels(dataset: str, image_size: int, count: int) -> "np.memmap[Any, Any]":
    """Return a data set's pixels, uint8 (images, image_size, image_size, 1 or 3), as a read-only memory map.

    Raises:
        UserError: The file is damaged, or does not hold the `count` images of images.csv. Or the images have another
            size, because they were decoded before image_size was changed.
    """
    path = paths.data(dataset, "pixels.npy")
    pixels = read_pixels_of_any_size(dataset, count)
    if (found := pixels.shape[1:3]) != (image_size, image_size):
        raise UserError(
            f"{path}: images of {' x '.join(map(str, found))} pixels, but dataset.{dataset}.image_size is "
            f"{image_size}; run `dvc repro`, which decodes them again"
        )
    return pixels


def read_pixels_of_any_size(dataset: str, count: int) -> "np.memmap[Any, Any]":
    """Return a data set's pixels, uint8 (images, side, side, 1 or 3), whatever their side.

    Raises:
        UserError: The file is damaged, or does not hold the `count` images of images.csv.
    """
    shape = (count, None, None, None)
    return load_array(paths.data(dataset, "pixels.npy"), shape, np.uint8, paths.data(dataset, "images.csv"))

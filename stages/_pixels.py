"""A data set's decoded images, of the size that its parameters say."""

from typing import Any

import numpy as np

from deepcovid.arrays import load_array
from deepcovid.errors import UserError
from stages import paths


def read_pixels(dataset: str, image_size: int) -> "np.memmap[Any, Any]":
    """Return a data set's pixels, uint8 (images, image_size, image_size, 1 or 3), as a read-only memory map.

    Raises:
        UserError: They are of another size: they were decoded before image_size was changed.
    """
    path = paths.data(dataset, "pixels.npy")
    pixels = load_array(path)
    if (found := pixels.shape[1:3]) != (image_size, image_size):
        raise UserError(
            f"{path}: images of {' x '.join(map(str, found))} pixels, but dataset.{dataset}.image_size is "
            f"{image_size}; run `dvc repro`, which decodes them anew"
        )
    return pixels

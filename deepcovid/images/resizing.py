"""One data set's pixels at the size of another's, whose nets are to see them."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms.v2.functional import resize


def resized(batches: Iterable[NDArray[np.uint8]], size: int) -> Iterator[NDArray[np.uint8]]:
    """Yield batches of square images as uint8 (batch, size, size, channels); those of that size stay as they are.

    The resampling is that of deepcovid/images/decoding.py: torchvision's, bilinear and antialiased.

    Args:
        batches: Each uint8 (batch, side, side, 1 or 3).
        size: Side of the images that are yielded, pixels.
    """
    for batch in batches:
        if batch.shape[1:3] == (size, size):
            yield batch
        else:
            images = torch.from_numpy(batch).permute(0, 3, 1, 2)
            yield resize(images, [size, size], antialias=True).permute(0, 2, 3, 1).numpy()

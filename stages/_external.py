"""Features of another data set's test images, as the stage external_features leaves them."""

import numpy as np
from numpy.typing import NDArray

from deepcovid.arrays import load_array
from deepcovid.errors import UserError
from stages import paths


def read_features(dataset: str, images: str, model: str, count: int) -> NDArray[np.float32]:
    """Return (images, features) of the `count` test images of the data set `images`, by a net of `dataset`.

    Raises:
        UserError: The file has features of another number of images.
    """
    path = paths.external_features(dataset, images) / f"{model}.npy"
    features = load_array(path)
    if len(features) != count:
        raise UserError(f"{path}: of {len(features)} images, but {images} has {count} test images; run `dvc repro`")
    return features

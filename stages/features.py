"""Turn every image into a feature vector with a frozen net, and the copies that other splits train on.

An audited net also sees every image once more for each square that hides its middle, or all but its middle, and a net
of the same kind with random weights, which has learnt from no picture of anything, sees every image too.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from deepcovid import catalogue
from deepcovid.arrays import batches, load_array
from deepcovid.audits.hiding import hide, squares
from deepcovid.files import read_csv, replacing
from deepcovid.nets.features import write_features
from deepcovid.nets.trunks import read_state, trunk
from deepcovid.nets.weights import random_state
from deepcovid.parameters import Parameters
from stages import _run, paths
from stages._calibration import calibration_images
from stages._pixels import read_pixels


def features(parameters: Parameters, dataset: str, model: str) -> None:
    pixels, options = paths.data(dataset, "pixels.npy"), parameters.features
    size, count = parameters.image_size, parameters.weights.calibration_images
    images = len(catalogue.read(paths.data(dataset, "images.csv")))
    read_pixels(dataset, size, images)  # refuses other images, or another size
    names, spare = (paths.spare_copies(dataset) / name for name in ("images.csv", "pixels.npy"))
    copies = len(read_csv(names, ("image_id", "augmentation_of"), dtype=str, keep_default_na=False))
    load_array(spare, (copies, size, size, None), np.uint8, names)

    def extract(net: nn.Module, seen: Iterable[NDArray[np.uint8]], number: int, target: Path, what: str) -> None:
        write_features(target, net, seen, number, options, f"{model}, {what}")

    net = trunk(*read_state(paths.weights(dataset, model)))
    with replacing(paths.features(dataset, model).parent) as folder:
        folder.mkdir()
        extract(net, batches(pixels, options.batch_size), images, folder / "images.npy", "images")
        extract(net, batches(spare, options.batch_size), copies, folder / "spare.npy", "spare copies")
        if audit := parameters.audit_passes[model]:
            sweep = squares(audit.hiding)
            hidden = (hide(batch, square) for square in sweep for batch in batches(pixels, options.batch_size))
            if sweep:
                extract(net, hidden, len(sweep) * images, folder / "hidden.npy", "middle hidden")
            if audit.untrained_seed is not None:
                sample = calibration_images(dataset, size, audit.untrained_seed, count)
                net = trunk(model, random_state(model, audit.untrained_seed, sample))
                extract(net, batches(pixels, options.batch_size), images, folder / "untrained.npy", "untrained")


if __name__ == "__main__":
    _run.run(features)

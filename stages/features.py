"""Turn every image into a feature vector with a frozen net.

A net whose heads are trained on other splits too sees the copies that only these train on.

An audited net sees every image again for each black square, which hides the middle or all but the middle, and once with
shuffled pixels if `hiding.shuffled` is set. If its weights are not random, a net of the same kind with random weights,
which has not learned from any picture, sees every image too.
"""

from functools import partial

import numpy as np

from deepcovid import catalogue
from deepcovid.arrays import load_array
from deepcovid.audits.hiding import hide, squares
from deepcovid.files import Known, read_csv, replacing
from deepcovid.nets.features import FeaturePass, View, on_cuda
from deepcovid.nets.trunks import write_state
from deepcovid.nets.weights import random_state
from deepcovid.parameters import Parameters
from deepcovid.passes.shards import passing, write_array
from stages import _run, paths
from stages._calibration import calibration_images
from stages._fingerprints import versions_of
from stages._pixels import read_pixels


def features(parameters: Parameters, dataset: str, model: str) -> None:
    size, count = parameters.image_size, parameters.weights.calibration_images
    images = len(catalogue.read(paths.data(dataset, "images.csv")))
    read_pixels(dataset, size, images)  # raises an error if they are other images, or of another size

    def seen_by(weights: Known, pixels: Known, rows: int, view: View | None = None) -> FeaturePass:
        return FeaturePass(weights, pixels, rows, parameters.features, view=view)

    weights, pixels = Known.of(paths.weights(dataset, model)), Known.of(paths.data(dataset, "pixels.npy"))
    target, unfinished = paths.features(dataset, model).parent, paths.unfinished("features", dataset, model)
    versions, alone = partial(versions_of, "features"), on_cuda(parameters.features)
    with passing(unfinished, versions, alone=alone) as run, replacing(target) as folder:
        folder.mkdir()
        write_array(folder / "images.npy", run("images", [seen_by(weights, pixels, images)], f"{model}, images"))
        if parameters.on_other_splits[model]:
            names, spare = (paths.spare_copies(dataset) / name for name in ("images.csv", "pixels.npy"))
            copies = len(read_csv(names, ("image_id", "augmentation_of"), dtype=str, keep_default_na=False))
            load_array(spare, (copies, size, size, None), np.uint8, names)  # raises an error if they are others
            seen = seen_by(weights, Known.of(spare), copies)
            write_array(folder / "spare.npy", run("spare", [seen], f"{model}, spare copies"))
        if audit := parameters.audit_passes[model]:
            hidden = [partial(hide, square=square) for square in squares(audit.hiding)]
            if hidden:
                passes = [seen_by(weights, pixels, images, view) for view in hidden]
                write_array(folder / "hidden.npy", run("hidden", passes, f"{model}, middle hidden"))
            if audit.untrained_seed is not None:
                sample = calibration_images(dataset, size, audit.untrained_seed, count)
                with replacing(unfinished / "untrained.safetensors") as state:
                    write_state(state, model, random_state(model, audit.untrained_seed, sample))
                seen = seen_by(Known.of(unfinished / "untrained.safetensors"), pixels, images)
                write_array(folder / "untrained.npy", run("untrained", [seen], f"{model}, untrained"))


if __name__ == "__main__":
    _run.run(features)

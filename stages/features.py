"""Turn every image into a feature vector with a frozen net."""

from itertools import chain

import numpy as np

from deepcovid.arrays import ArrayWriter, batches, load_array
from deepcovid.features import extract
from deepcovid.files import replacing
from deepcovid.nets import read_state, trunk
from deepcovid.progress import bar
from deepcovid.settings import Settings
from stages import _run, paths


def features(settings: Settings, dataset: str, model: str) -> None:
    pixels = paths.data(dataset, "pixels.npy")
    net = trunk(*read_state(paths.data(dataset, f"weights/{model}.safetensors")))
    extracted = extract(net, batches(pixels, settings.features.batch_size), settings.features)
    first = next(extracted)
    with (
        replacing(paths.data(dataset, f"features/{model}.npy")) as partial,
        ArrayWriter(partial, first.shape[1:], np.float32) as writer,
        bar(f"features of {model}", total=len(load_array(pixels))) as progress,
    ):
        for batch in chain([first], extracted):
            writer.append(batch)
            progress.update(len(batch))


if __name__ == "__main__":
    _run.run(features)

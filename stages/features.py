"""Turn every image into a feature vector with a frozen net."""

from deepcovid.arrays import batches, load_array
from deepcovid.files import replacing
from deepcovid.nets.features import write_features
from deepcovid.nets.trunks import read_state, trunk
from deepcovid.settings import Settings
from stages import _run, paths


def features(settings: Settings, dataset: str, model: str) -> None:
    pixels, options = paths.data(dataset, "pixels.npy"), settings.features
    net = trunk(*read_state(paths.data(dataset, f"weights/{model}.safetensors")))
    images = len(load_array(pixels))
    with replacing(paths.data(dataset, f"features/{model}.npy")) as partial:
        write_features(partial, net, batches(pixels, options.batch_size), images, options, f"features of {model}")


if __name__ == "__main__":
    _run.run(features)

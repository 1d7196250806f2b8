"""Turn every image into a feature vector with a net of random weights, which has seen no picture of anything."""

from deepcovid.arrays import batches, load_array
from deepcovid.files import replacing
from deepcovid.nets.features import write_features
from deepcovid.nets.trunks import trunk
from deepcovid.nets.weights import random_state
from deepcovid.settings import Settings
from stages import _run, paths
from stages.weights import calibration_images


def untrained(settings: Settings, dataset: str, model: str) -> None:
    pixels, options, weights = paths.data(dataset, "pixels.npy"), settings.features, settings.dataset[dataset].weights
    seed = settings.audit.seed
    net = trunk(model, random_state(model, seed, calibration_images(dataset, seed, weights.calibration_images)))
    images = len(load_array(pixels))
    with replacing(paths.data(dataset, f"untrained/{model}.npy")) as partial:
        write_features(partial, net, batches(pixels, options.batch_size), images, options, f"untrained {model}")


if __name__ == "__main__":
    _run.run(untrained)

"""Turn every image into a feature vector once more for each square that hides its middle, or all but its middle."""

from deepcovid.arrays import batches, load_array
from deepcovid.audits.hiding import hide, squares
from deepcovid.files import replacing
from deepcovid.nets.features import write_features
from deepcovid.nets.trunks import read_state, trunk
from deepcovid.settings import Settings
from stages import _run, paths


def hide_stage(settings: Settings, dataset: str, model: str) -> None:
    pixels, options = paths.data(dataset, "pixels.npy"), settings.features
    net = trunk(*read_state(paths.data(dataset, f"weights/{model}.safetensors")))
    sweep = squares(settings.dataset[dataset].hiding)
    hidden = (hide(batch, square) for square in sweep for batch in batches(pixels, options.batch_size))
    images = len(sweep) * len(load_array(pixels))
    with replacing(paths.data(dataset, f"hidden/{model}.npy")) as partial:
        write_features(partial, net, hidden, images, options, f"{model}, middle hidden")


if __name__ == "__main__":
    _run.run(hide_stage)

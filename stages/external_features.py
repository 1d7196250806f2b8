"""Turn the test images of another data set into feature vectors, with each net of this data set.

Where they were decoded at another image_size than this data set's, they are resized to its size, so that nets and heads
see what they know. The resampling is that of decoding, bilinear and antialiased.
"""

from deepcovid import catalogue
from deepcovid.arrays import batches
from deepcovid.audits.unseen import candidates, chosen
from deepcovid.errors import UserError
from deepcovid.files import replacing
from deepcovid.images.resizing import resized
from deepcovid.nets.features import write_features
from deepcovid.nets.trunks import read_state, trunk
from deepcovid.parameters import Parameters
from stages import _run, paths
from stages._pixels import read_pixels_of_any_size


def external_features(parameters: Parameters, dataset: str, images: str) -> None:
    table, pixels = catalogue.read(paths.data(images, "images.csv")), paths.data(images, "pixels.npy")
    options = parameters.features
    read_pixels_of_any_size(images, len(table))  # refuses other images
    rows = candidates(table)
    if rows.empty:
        raise UserError(f"--images {images}: no test image; name a data set with other images")
    with replacing(paths.external_features(dataset, images)) as folder:
        folder.mkdir()
        for model in parameters.models:
            net = trunk(*read_state(paths.weights(dataset, model)))
            decoded = chosen(batches(pixels, options.batch_size), table.index.isin(rows.index))
            seen = resized(decoded, parameters.image_size)
            write_features(folder / f"{model}.npy", net, seen, len(rows), options, f"{model} on {images}")


if __name__ == "__main__":
    _run.run(external_features)

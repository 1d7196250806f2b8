"""Turn the test images of another data set into feature vectors, with each net of this data set.

If they were decoded at another image_size, they are resized to this data set's size, so that nets and heads see images
of the size they know. The resampling is bilinear and antialiased, as in decoding. The rows of these images in the
catalogue are handed on, too.
"""

from functools import partial

from deepcovid import catalogue
from deepcovid.audits.unseen import candidates
from deepcovid.errors import UserError
from deepcovid.files import Known, replacing
from deepcovid.images.resizing import resized
from deepcovid.nets.features import FeaturePass, on_cuda
from deepcovid.parameters import Parameters
from deepcovid.passes.shards import passing, write_array
from stages import _run, paths
from stages._fingerprints import versions_of
from stages._pixels import read_pixels_of_any_size


def external_features(parameters: Parameters, dataset: str, images: str) -> None:
    table, options = catalogue.read(paths.data(images, "images.csv")), parameters.features
    read_pixels_of_any_size(images, len(table))  # raises an error if they are other images
    rows = candidates(table)
    if rows.empty:
        raise UserError(f"--images {images}: no test image; name a data set with other images")
    pixels, wanted = Known.of(paths.data(images, "pixels.npy")), table.index.isin(rows.index)
    view, unfinished = partial(resized, size=parameters.image_size), paths.unfinished("external", dataset, images)
    target = paths.external_features(dataset, images)
    versions = partial(versions_of, "external_features")
    with passing(unfinished, versions, alone=on_cuda(options)) as run, replacing(target) as folder:
        folder.mkdir()
        catalogue.write(folder / "images.csv", rows)
        for model in parameters.models:
            weights = Known.of(paths.weights(dataset, model))
            own = FeaturePass(weights, pixels, len(table), options, wanted, view)
            write_array(folder / f"{model}.npy", run(model, [own], f"{model} on {images}"))


if __name__ == "__main__":
    _run.run(external_features)

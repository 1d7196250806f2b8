"""Look for test images that are in training too: as the same file, the same pixels, nearly, or of the same patient."""

from deepcovid import catalogue
from deepcovid.arrays import batches
from deepcovid.audits.leakage import leakage
from deepcovid.parameters import Parameters
from stages import _audit, _run, paths
from stages._features import read_features
from stages._pixels import read_pixels_of_any_size


def leakage_stage(parameters: Parameters, dataset: str) -> None:
    table = catalogue.read(paths.data(dataset, "images.csv"))
    model = (parameters.audited_models or parameters.models)[0]
    read_pixels_of_any_size(dataset, len(table))  # refuses other images
    found = leakage(
        table,
        batches(paths.data(dataset, "pixels.npy"), 256),
        read_features(dataset, model, len(table)),
        model,
        parameters.audit.near_duplicate_sensitivity,
        parameters.compared_pairs,
    )
    _audit.write(found, dataset, "leakage")


if __name__ == "__main__":
    _run.run(leakage_stage)

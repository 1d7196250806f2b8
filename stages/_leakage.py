"""Look for test images that are known from training: by file, by pixels, as near-duplicates, or by their patient."""

import shutil

from deepcovid import catalogue
from deepcovid.audits import leakage as audit
from deepcovid.parameters import Parameters
from stages import _audit, paths
from stages._features import read_features
from stages._pixels import read_pixels_of_any_size


def leakage(parameters: Parameters, dataset: str) -> None:
    table = catalogue.read(paths.data(dataset, "images.csv"))
    model = (parameters.audited_models or parameters.models)[0]
    read_pixels_of_any_size(dataset, len(table))  # raises an error if they are other images
    scratch = paths.unfinished("audits", dataset, model)
    scratch.mkdir(parents=True, exist_ok=True)  # what a killed run left there is written over
    try:
        found = audit.leakage(
            table,
            paths.data(dataset, "pixels.npy"),
            read_features(dataset, model, len(table)),
            model,
            parameters.audit.near_duplicate_sensitivity,
            parameters.compared_neighbours,
            scratch,
        )
    finally:
        shutil.rmtree(scratch)
    _audit.write(found, dataset, "leakage")

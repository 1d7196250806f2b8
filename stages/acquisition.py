"""Predict the label from what is not disease: view, size, format, brightness of border and corners, age, sex."""

from deepcovid import catalogue
from deepcovid.arrays import batches
from deepcovid.audits.acquisition import confounding, measurements
from deepcovid.audits.headers import headers
from deepcovid.parameters import Parameters
from stages import _audit, _run, paths


def acquisition_stage(parameters: Parameters, dataset: str) -> None:
    table = catalogue.read(paths.data(dataset, "images.csv"))
    pixels = batches(paths.data(dataset, "pixels.npy"), 256)
    measured = measurements(table, headers(table, paths.data(dataset, "raw")), pixels)
    originals = catalogue.originals(table)
    found = confounding(table[originals], measured[originals], parameters.audit, parameters.evaluate)
    _audit.write(found, dataset, "acquisition")


if __name__ == "__main__":
    _run.run(acquisition_stage)

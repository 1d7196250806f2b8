"""Fetch or draw a data set's raw files, list its images, and record where every byte came from."""

from deepcovid import catalogue, sources
from deepcovid.fetching import mirror_folders
from deepcovid.files import replacing, write_json
from deepcovid.parameters import Parameters
from stages import _run, paths


def download(parameters: Parameters, dataset: str) -> None:
    with replacing(paths.data(dataset, "raw")) as folder:
        folder.mkdir()
        table, provenance = sources.prepare(parameters.source, folder, paths.REFERENCE, mirror_folders())
    catalogue.write(paths.data(dataset, "catalogue.csv"), table)
    write_json(paths.provenance(dataset, "data"), provenance)


if __name__ == "__main__":
    _run.run(download)

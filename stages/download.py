"""Fetch or draw a data set's raw files, list its images, and record where every byte came from."""

from deepcovid import catalogue, sources
from deepcovid.fetching import mirror_folders
from deepcovid.files import replacing, write_json
from deepcovid.settings import Settings
from stages import _run, paths


def download(settings: Settings, dataset: str) -> None:
    with replacing(paths.data(dataset, "raw")) as folder:
        folder.mkdir()
        source, mirrors = settings.dataset[dataset].source, mirror_folders()
        table, provenance = sources.prepare(source, folder, paths.REFERENCE, mirrors)
    catalogue.write(paths.data(dataset, "catalogue.csv"), table)
    write_json(paths.provenance(dataset, "data"), provenance)


if __name__ == "__main__":
    _run.run(download)

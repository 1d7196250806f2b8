"""Keep the images whose view and modality are wanted; count what was kept and dropped."""

from deepcovid import catalogue
from deepcovid.files import write_json
from deepcovid.filtering import filter_images
from deepcovid.settings import Settings
from stages import _run, paths


def filter_stage(settings: Settings, dataset: str) -> None:
    table = catalogue.read(paths.data(dataset, "catalogue.csv"))
    kept, counts = filter_images(table, settings.dataset[dataset].filter)
    catalogue.write(paths.data(dataset, "filtered.csv"), kept)
    write_json(paths.metrics(dataset, "filter"), counts)


if __name__ == "__main__":
    _run.run(filter_stage)

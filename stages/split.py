"""Divide the images into train and test; count what overlaps."""

from deepcovid import catalogue
from deepcovid.files import write_json
from deepcovid.settings import Settings
from deepcovid.splitting import split_images
from stages import _run, paths


def split(settings: Settings, dataset: str) -> None:
    table = catalogue.read(paths.data(dataset, "filtered.csv"))
    chosen, counts = split_images(table, settings.dataset[dataset].split)
    catalogue.write(paths.data(dataset, "split.csv"), chosen)
    write_json(paths.metrics(dataset, "split"), counts)


if __name__ == "__main__":
    _run.run(split)

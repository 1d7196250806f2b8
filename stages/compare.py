"""Set a data set's runs beside what others published, and compare net with net on the same test images."""

import pandas as pd

from deepcovid import catalogue
from deepcovid.comparison import Run, beside_published, between_nets, measure
from deepcovid.files import write_json
from deepcovid.settings import Settings
from stages import _run, paths
from stages.runs import runs


def compare(settings: Settings, dataset: str) -> None:
    images = catalogue.read(paths.data(dataset, "images.csv"))
    test = images[images["split"] == "test"]
    positive = (test["label"] == "covid").to_numpy()
    read = [
        Run(model, recipe, cut_off, scores_of(dataset, f"{model}-{recipe}", test["image_id"]))
        for model, recipe, cut_off in runs(settings)
    ]
    measured = measure(read, positive, test["patient_id"], settings.evaluate)
    groups = _run.read_published().of(dataset)
    write_json(paths.metrics(dataset, "published"), beside_published(measured, groups, positive))
    write_json(paths.metrics(dataset, "nets"), between_nets(measured, positive))


def scores_of(dataset: str, run: str, images: pd.Series) -> pd.DataFrame:
    """Return the scores of a run as (images, seeds), in the order of `images`."""
    table = pd.read_csv(paths.data(dataset, f"scores/{run}.csv"), index_col="image_id")
    return table.filter(like="seed_").reindex(images)


if __name__ == "__main__":
    _run.run(compare)

"""Set a data set's runs beside what others published, and compare net with net on the same test images."""

from deepcovid import catalogue
from deepcovid.files import write_json
from deepcovid.heads.scoring import heads_of
from deepcovid.settings import Settings
from deepcovid.statistics.comparison import Run, beside_published, between_nets, measure
from stages import _run, paths
from stages.runs import read_scores, runs


def compare(settings: Settings, dataset: str) -> None:
    tables = {run: read_scores(dataset, str(run)).set_index("image_id") for run in runs(settings)}
    images = next(iter(tables.values()))
    positive = catalogue.covid(images).to_numpy()
    read = [Run(*run, heads_of(table).reindex(images.index)) for run, table in tables.items()]
    measured = measure(read, positive, images["patient_id"], settings.evaluate)
    groups = _run.read_published().of(dataset)
    write_json(paths.metrics(dataset, "published"), beside_published(measured, groups, positive))
    write_json(paths.metrics(dataset, "nets"), between_nets(measured, positive))


if __name__ == "__main__":
    _run.run(compare)

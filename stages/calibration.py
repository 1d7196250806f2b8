"""Measure how well the scores of a data set's own test images are calibrated; each net's first head."""

from deepcovid import catalogue
from deepcovid.files import write_json
from deepcovid.heads.scoring import heads_of
from deepcovid.settings import Settings
from deepcovid.statistics.calibration import calibration
from stages import _run, paths
from stages.runs import read_scores


def calibration_stage(settings: Settings, dataset: str) -> None:
    found = {}
    for model in settings.models:
        table = read_scores(dataset, f"{model}-{settings.audit.recipe}")
        positive, score = catalogue.covid(table).to_numpy(), heads_of(table).iloc[:, 0].to_numpy()
        bins = settings.audit.calibration_bins
        found[model] = calibration(positive, score, table["patient_id"], bins, settings.evaluate)
    write_json(paths.metrics(dataset, "audit/calibration"), found)


if __name__ == "__main__":
    _run.run(calibration_stage)

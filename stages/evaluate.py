"""Measure how well a run's scores tell COVID-19 from the rest."""

from deepcovid import catalogue
from deepcovid.files import write_json
from deepcovid.heads.scoring import heads_of
from deepcovid.settings import Settings
from deepcovid.statistics.rates import evaluate
from stages import _run, paths
from stages.runs import read_scores


def evaluate_stage(settings: Settings, dataset: str, model: str, recipe: str) -> None:
    run = f"{model}-{recipe}"
    table = read_scores(dataset, run)
    positive, scores = catalogue.covid(table).to_numpy(), heads_of(table).to_numpy()
    cut_off = settings.recipe[recipe].cut_off
    write_json(paths.metrics(dataset, run), evaluate(positive, scores, table["patient_id"], cut_off, settings.evaluate))


if __name__ == "__main__":
    _run.run(evaluate_stage)

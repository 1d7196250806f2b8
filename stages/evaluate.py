"""Measure how well each run's scores tell COVID-19 from the rest, beside published numbers and net against net.

The tables behind the plots, of the first seed's heads, are drawn up here too.
"""

from collections import defaultdict

import pandas as pd

from deepcovid import catalogue
from deepcovid.files import replacing, write_csv, write_json
from deepcovid.heads.scoring import heads_of
from deepcovid.parameters import Parameters, RunParameters
from deepcovid.statistics import curves, published
from deepcovid.statistics.calibration import Calibrations, calibration
from deepcovid.statistics.comparison import Run, beside_published, between_nets, measure
from deepcovid.statistics.estimate import write_result
from deepcovid.statistics.rates import evaluate, headline
from stages import _run, paths
from stages._resolved import read_yaml
from stages.runs import read_log, read_scores


def evaluate_stage(parameters: Parameters, dataset: str) -> None:
    tables = {name: read_scores(dataset, run).set_index("image_id") for name, run in parameters.runs.items()}
    images = next(iter(tables.values()))
    positive, bootstrap = catalogue.covid(images).to_numpy(), parameters.evaluate

    results, calibrated = {}, {}
    with replacing(paths.metrics(dataset, "").parent) as folder:
        folder.mkdir()
        for name, run in parameters.runs.items():
            table = tables[name]
            covid, scores = catalogue.covid(table).to_numpy(), heads_of(table).to_numpy()
            result = evaluate(covid, scores, table["patient_id"], run.cut_off, bootstrap)
            write_result(folder / f"{name}.json", headline(result))
            results[name] = result.model_dump(mode="json", exclude_none=True)
            if run.recipe == parameters.audit.recipe:
                bins = parameters.audit.calibration_bins
                calibrated[run.model] = calibration(covid, scores[:, 0], table["patient_id"], bins, bootstrap)
    write_json(paths.results(dataset, "runs"), results)
    write_result(paths.results(dataset, "calibration"), Calibrations(recipe=parameters.audit.recipe, nets=calibrated))

    read = [
        Run(run.model, run.recipe, run.cut_off, heads_of(tables[name]).reindex(images.index))
        for name, run in parameters.runs.items()
    ]
    measured = measure(read, positive, images["patient_id"], bootstrap)
    groups = published.validate(read_yaml(paths.PUBLISHED), str(paths.PUBLISHED)).of(dataset)
    write_json(paths.results(dataset, "published"), beside_published(measured, groups, positive))
    write_json(paths.results(dataset, "nets"), between_nets(measured, positive))
    write_curves(parameters, dataset, tables)


def write_curves(parameters: Parameters, dataset: str, tables: dict[str, pd.DataFrame]) -> None:
    """Write one table a plot, with the rows of all runs."""
    parts = defaultdict(list)
    for name, run in parameters.runs.items():
        known = {"dataset": dataset, "model": run.model, "recipe": run.recipe}
        for plot, table in curves_of(run, tables[name], read_log(dataset, run)).items():
            parts[plot].append(pd.DataFrame(known, index=table.index).join(table))
    with replacing(paths.curves(dataset, "runs").with_suffix("")) as folder:
        folder.mkdir()
        for plot, tables_of_plot in parts.items():
            write_csv(folder / f"{plot}.csv", pd.concat(tables_of_plot))


def curves_of(run: RunParameters, table: pd.DataFrame, log: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the tables of one run, by the name of the plot."""
    positive, score = catalogue.covid(table).to_numpy(), heads_of(table).iloc[:, 0].to_numpy()
    tables = {
        "roc": curves.roc(positive, score),
        "precision_recall": curves.precision_recall(positive, score),
        "cut_offs": curves.over_cut_offs(positive, score),
        "histogram": curves.histogram(table["group"], score),
        "confusion": curves.confusion(positive, score, run.cut_off),
        "training": log.groupby("epoch").head(1).drop(columns=["seed", "run"], errors="ignore"),
    }
    return {name: part.reset_index(drop=True) for name, part in tables.items()}


if __name__ == "__main__":
    _run.run(evaluate_stage)

"""Gather the curves of a data set's runs into one table a plot; each shows the first seed's head."""

from collections import defaultdict

import pandas as pd

from deepcovid import catalogue
from deepcovid.files import write_csv
from deepcovid.heads.scoring import heads_of
from deepcovid.settings import Settings
from deepcovid.statistics import curves
from stages import _run, paths
from stages.runs import Run, read_scores, runs


def plots(settings: Settings, dataset: str) -> None:
    tables = defaultdict(list)
    for run in runs(settings):
        known = {"dataset": dataset, "model": run.model, "recipe": run.recipe}
        for name, table in tables_of(dataset, run).items():
            tables[name].append(pd.DataFrame(known, index=table.index).join(table))
    for name, parts in tables.items():
        write_csv(paths.plots(dataset, f"{name}.csv"), pd.concat(parts))


def tables_of(dataset: str, run: Run) -> dict[str, pd.DataFrame]:
    """Return the tables of one run, by the name of the plot."""
    table = read_scores(dataset, str(run))
    log = pd.read_csv(paths.data(dataset, f"training/{run}.csv"))
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
    _run.run(plots)

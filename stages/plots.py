"""Gather the curves of a data set's runs into one table a plot; each shows the first seed's head."""

from collections import defaultdict

import pandas as pd

from deepcovid import curves
from deepcovid.files import write_csv
from deepcovid.settings import Settings
from stages import _run, paths


def plots(settings: Settings, dataset: str) -> None:
    tables = defaultdict(list)
    for model in settings.models:
        for recipe in settings.recipes:
            run = {"dataset": dataset, "model": model, "recipe": recipe}
            for name, table in tables_of(settings, **run).items():
                tables[name].append(pd.DataFrame(run, index=table.index).join(table))
    for name, parts in tables.items():
        write_csv(paths.plots(dataset, f"{name}.csv"), pd.concat(parts))


def tables_of(settings: Settings, dataset: str, model: str, recipe: str) -> dict[str, pd.DataFrame]:
    """Return the tables of one run, by the name of the plot."""
    seed = settings.dataset[dataset].seeds[0]
    table = pd.read_csv(paths.data(dataset, f"scores/{model}-{recipe}.csv"))
    log = pd.read_csv(paths.data(dataset, f"training/{model}-{recipe}.csv"))
    positive, score = (table["label"] == "covid").to_numpy(), table[f"seed_{seed}"].to_numpy()
    tables = {
        "roc": curves.roc(positive, score),
        "precision_recall": curves.precision_recall(positive, score),
        "cut_offs": curves.over_cut_offs(positive, score),
        "histogram": curves.histogram(table["group"], score),
        "confusion": curves.confusion(positive, score, settings.recipe[recipe].cut_off),
        "training": log[log["seed"] == seed].drop(columns="seed"),
    }
    return {name: part.reset_index(drop=True) for name, part in tables.items()}


if __name__ == "__main__":
    _run.run(plots)

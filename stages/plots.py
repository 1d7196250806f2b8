"""Gather the tables behind the plots of all data sets in `datasets`, one table per plot, rows in reading order."""

from collections import defaultdict

import pandas as pd

from deepcovid.audits.registry import plots_of, results_of
from deepcovid.files import read_csv, replacing, write_csv
from deepcovid.parameters import Settings, main_of
from deepcovid.statistics.calibration import Calibrations
from deepcovid.statistics.estimate import read_result
from deepcovid.statistics.published import Published
from deepcovid.statistics.rates import Runs, cells
from stages import _run, paths
from stages._resolved import read_published
from stages.lock import Lock, sourced

OF_THE_MAIN_NET = ("confusion", "cut_offs", "histogram")  # the report has these plots of the other nets


def plots(settings: Settings) -> None:
    reported, main = read_published(), main_of(settings.models)
    lock, parts = Lock(), defaultdict(list)
    for dataset in settings.datasets:
        for file in sorted(paths.curves(dataset).rglob("*.csv")):
            lock.step_of(file)  # raises an error if the file is not whole
            # Read as text, so that numbers stay exactly as they were written.
            table = read_csv(file, ("dataset", "model"), dtype=str, keep_default_na=False)
            if file.stem in OF_THE_MAIN_NET:
                table = table[table["model"] == main]
            parts[file.stem].append(in_the_order_of_the_story(table, reported, settings.ladder.top))
        calibrations = sourced(lock, paths.results(dataset, "calibration"), Calibrations).value
        kinds = results_of(settings.test_sets)
        audits = {name: sourced(lock, paths.results(dataset, name), kind).value for name, kind in kinds.items()}
        for name, table in plots_of(dataset, calibrations, audits).items():
            parts[name].append(table)
    parts["confusion"].insert(0, published_matrices(settings, reported, main))
    with replacing(paths.PLOTS / "tables") as target:
        target.mkdir()
        for name, tables in parts.items():
            write_csv(target / f"{name}.csv", pd.concat(tables))


def in_the_order_of_the_story(table: pd.DataFrame, reported: Published, top: str) -> pd.DataFrame:
    """Sort a table of runs by recipe: those of the published failure, then the paper's, then all others."""
    if "recipe" not in table:
        return table
    failed = [
        recipe
        for group in reported.groups.values()
        if any(number.metric == "confusion.tp" for number in group.numbers)
        for recipe in group.recipes
    ]
    place = {recipe: number for number, recipe in enumerate([*failed, top])}
    return table.sort_values("recipe", kind="stable", key=lambda recipe: recipe.map(place).fillna(len(place)))


def published_matrices(settings: Settings, reported: Published, model: str) -> pd.DataFrame:
    """Return the confusion matrices that others published of a net, if they have as many test images as ours."""
    tables = {}
    for dataset in settings.datasets:
        run = next(iter(read_result(paths.results(dataset, "runs"), Runs).runs.values()))
        for name, confusion in reported.confusions(model, run.n_test).items():
            named = pd.DataFrame({"dataset": ["published"], "model": [model], "recipe": [name]})
            tables[name] = named.merge(cells(confusion), how="cross")
    return pd.concat(tables.values()) if tables else pd.DataFrame()


if __name__ == "__main__":
    _run.run(plots)

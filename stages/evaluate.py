"""Measure how well each run's scores tell COVID-19 from the rest, here and on other people's images.

They are compared with published numbers and between nets. The stage also writes the tables behind the plots, which are
those of the median heads, and what a reviewer asks for.
"""

import shutil
from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from typing import get_args

import pandas as pd

from deepcovid import catalogue
from deepcovid.errors import REMAKE, UserError
from deepcovid.files import read_csv, replacing, write_csv
from deepcovid.heads.head_files import read_head
from deepcovid.parameters import Parameters, RunParameters
from deepcovid.passes.forked import at_once
from deepcovid.statistics import curves
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.calibration import Calibrations, calibration
from deepcovid.statistics.comparison import beside_published, measure
from deepcovid.statistics.estimate import write_result
from deepcovid.statistics.further import FEWEST_EPOCHS, Further, further
from deepcovid.statistics.paired import between_nets
from deepcovid.statistics.published import Metric
from deepcovid.statistics.rates import Runs, evaluate, headline, units_of
from deepcovid.statistics.review import Review, prior, review
from deepcovid.statistics.runs import Run
from deepcovid.statistics.uncertainty import uncertainty
from stages import _audit, _run, paths
from stages._external import Elsewhere, external
from stages._resolved import read_published
from stages.runs import head_names, read_log, read_run


def evaluate_stage(parameters: Parameters, dataset: str) -> None:
    table = catalogue.read(paths.data(dataset, "images.csv"))
    runs = {name: read_run(dataset, run, table) for name, run in parameters.runs.items()}
    logs = {name: read_log(dataset, run, runs[name].heads.columns) for name, run in parameters.runs.items()}
    splits = [on_splits(parameters, dataset, run) for run in parameters.runs.values()]
    halves = [read_halves(dataset, net) for net in parameters.models]
    check_heads(parameters, dataset)
    images = next(iter(runs.values())).scores
    runs = {name: run.in_the_order_of(images["image_id"]) for name, run in runs.items()}
    bootstrap, calibrated_under = Bootstrap.of(images, parameters.evaluate), parameters.audit.recipe
    found = at_once(
        [partial(evaluate, run.heads.to_numpy(), bootstrap, run.cut_off, units_of(run.heads)) for run in runs.values()]
    )
    results = {
        name: own.model_copy(
            update={"shown": run.shown, "further": past_the_cap(parameters, parameters.runs[name], logs[name])}
        )
        for (name, run), own in zip(runs.items(), found, strict=True)
    }
    calibrated = {
        run.model: calibration(run.score, bootstrap, parameters.audit.calibration_bins)
        for run in runs.values()
        if run.recipe == calibrated_under
    }
    measured = measure(list(runs.values()), splits, bootstrap)
    groups = read_published().of(dataset)
    elsewhere = {
        images: external(parameters, (dataset, table), images, runs, results) for images in parameters.test_sets
    }

    with replacing(paths.metrics(dataset)) as folder:
        folder.mkdir()
        for name, result in results.items():
            write_result(folder / f"{name}.json", headline(result))
    write_result(paths.results(dataset, "runs"), Runs(runs=results))
    write_result(paths.results(dataset, "calibration"), Calibrations(recipe=calibrated_under, nets=calibrated))
    write_result(paths.results(dataset, "published"), beside_published(measured, groups))
    write_result(paths.results(dataset, "nets"), between_nets(measured))
    write_result(paths.results(dataset, "uncertainty"), uncertainty(measured, pd.concat(halves)))
    write_result(paths.results(dataset, "review"), reviewed(parameters, table, runs, bootstrap))
    write_elsewhere(dataset, elsewhere)
    write_curves(dataset, runs, logs)
    hand_on(parameters, dataset)


def reviewed(parameters: Parameters, table: pd.DataFrame, runs: Mapping[str, Run], bootstrap: Bootstrap) -> Review:
    """Return what a reviewer asks about the heads of the audits' recipe; `table` is the data set's catalogue."""
    name = parameters.audit.recipe
    own = [run for run in runs.values() if run.recipe == name]
    originals = table[catalogue.originals(table)]
    return review(
        table.set_index("image_id").loc[own[0].scores["image_id"]].reset_index(),
        {run.model: run.score for run in own},
        (name, parameters.trained[name]),
        prior(table, parameters.trained[name]),
        bootstrap,
        {side: originals[originals["split"] == side] for side in catalogue.SIDES},
    )


def past_the_cap(parameters: Parameters, run: RunParameters, log: pd.DataFrame) -> Further | None:
    """Return what the epochs that the cap cut off a replay could have changed.

    None if no epochs were cut off, or if too few were run to estimate it.
    """
    left_out = parameters.replayed[run.recipe].epochs - parameters.replay.epochs if run.whole_net else 0
    enough = parameters.replay.epochs >= FEWEST_EPOCHS
    return further(log, left_out) if enough and left_out > 0 else None


def on_splits(parameters: Parameters, dataset: str, run: RunParameters) -> pd.DataFrame | None:
    """Return a run's results on other splits, one row per split. None if it has only one split, as whole nets have."""
    if run.whole_net or not parameters.on_other_splits[run.model]:
        return None
    path = paths.resplit(dataset, run.model, "splits")
    table = read_csv(path, ("recipe",), ("split", *get_args(Metric)))
    splits = table.groupby("recipe")["split"].agg(["nunique", "size"])
    if run.recipe not in splits.index or splits.to_numpy().min() != splits.to_numpy().max():
        raise UserError(f"{path}: damaged (not every recipe has every split); {REMAKE}")
    return table[table["recipe"] == run.recipe].sort_values("split")


def read_halves(dataset: str, model: str) -> pd.DataFrame:
    """Return AUCs with the epoch chosen on the tested half of the test images, and with it chosen on the other half."""
    return read_csv(paths.resplit(dataset, model, "halves"), ("recipe",), ("same", "other")).assign(model=model)


def check_heads(parameters: Parameters, dataset: str) -> None:
    """Raise UserError if a head file that is handed on is damaged."""
    for run in parameters.frozen_runs.values():
        if run.recipe in (parameters.audit.recipe, parameters.heatmap_recipe):
            read_head(paths.head(dataset, run), (dataset, run.model, run.recipe))


def hand_on(parameters: Parameters, dataset: str) -> None:
    """Copy what other stages need of single runs to separate folders, so that other runs do not make them stale."""
    with replacing(paths.handed_on(dataset, "explained")) as folder:
        for model, choices in parameters.nets.items():
            (folder / model).mkdir(parents=True)
            if not choices.runs:  # an empty file tells its stages that there is nothing to do
                (folder / model / "head.safetensors").touch()
            elif model in parameters.heatmapped_models:
                run = parameters.runs[f"{model}-{parameters.heatmap_recipe}"]
                shutil.copyfile(paths.head(dataset, run), folder / model / "head.safetensors")
                shutil.copyfile(paths.scores(dataset, run), folder / model / "scores.csv")
    for name, wanted in (
        ("audited", [run for run in parameters.runs.values() if run.recipe == parameters.audit.recipe]),
        ("replayed", [run for run in parameters.runs.values() if run.whole_net]),
    ):
        with replacing(paths.handed_on(dataset, name)) as folder:
            folder.mkdir()
            for run in wanted:
                shutil.copyfile(paths.scores(dataset, run), folder / f"{run.model}-{run.recipe}.csv")
                if name == "audited" and run.model in parameters.audited_models:
                    shutil.copyfile(paths.head(dataset, run), folder / f"{run.model}-{run.recipe}.safetensors")


def write_elsewhere(dataset: str, found: Mapping[str, Elsewhere]) -> None:
    """Write what the heads reach on each set of other people's images."""
    with replacing(paths.elsewhere(dataset)) as folder, replacing(paths.audit_metrics(dataset) / "on") as metrics:
        folder.mkdir()
        metrics.mkdir()
        for images, own in found.items():
            _audit.write_headline(own.external, metrics / images)
            write_result(folder / f"{images}.json", own.external)
            write_result(folder / images / "review.json", own.review)
            for model, table in own.scores.items():
                write_csv(folder / images / f"{model}.csv", table)


def write_curves(dataset: str, runs: Mapping[str, Run], logs: Mapping[str, pd.DataFrame]) -> None:
    """Write one table per plot, with the rows of all runs; `logs` are the runs' training logs."""
    parts = defaultdict(list)
    for name, run in runs.items():
        known = {"dataset": dataset, "model": run.model, "recipe": run.recipe}
        for plot, table in curves_of(run, logs[name]).items():
            parts[plot].append(pd.DataFrame(known, index=table.index).join(table))
    with replacing(paths.curves(dataset) / "runs") as folder:
        folder.mkdir()
        for plot, tables in parts.items():
            write_csv(folder / f"{plot}.csv", pd.concat(tables))


def curves_of(run: Run, log: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the tables of one run, each under the name of its plot."""
    positive, score = run.positive, run.score
    tables = {
        "roc": curves.roc(positive, score),
        "precision_recall": curves.precision_recall(positive, score),
        "cut_offs": curves.over_cut_offs(positive, score),
        "histogram": curves.histogram(run.scores["group"], score),
        "confusion": curves.confusion(positive, score, run.cut_off),
        "training": log[head_names(log) == run.shown].drop(columns=["seed", "run"], errors="ignore"),
    }
    return {name: part.reset_index(drop=True) for name, part in tables.items()}


if __name__ == "__main__":
    _run.run(evaluate_stage)

"""Gather a data set's results on one page that opens without a network."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from deepcovid.drawing.steps import Sourced
from deepcovid.files import replacing
from deepcovid.ladder.finding import finding
from deepcovid.nets.zoo import BACKBONES
from deepcovid.report import contents as reported
from deepcovid.report.contents import Contents
from deepcovid.report.page import render
from deepcovid.settings import Recipe, Settings
from deepcovid.statistics.comparison import claim_sentence
from stages import _run, paths
from stages.lock import Lock
from stages.runs import Run, read_scores, runs


def report(settings: Settings, dataset: str) -> None:
    lock, options = Lock(), settings.dataset[dataset]
    runs_read = [read_run(lock, settings, dataset, run) for run in runs(settings)]
    names = ["data", "quarantined", *(f"weights-{model}" for model in settings.models)]
    provenance = {name: sourced(lock, paths.provenance(dataset, name)) for name in names}
    compared = {name: sourced(lock, paths.metrics(dataset, name)) for name in ("ladder", "published", "nets")}
    audits = {name: sourced(lock, paths.metrics(dataset, place)) for name, place in audit_files(settings).items()}
    located = sourced(lock, paths.metrics(dataset, "heatmaps"))
    pictures = {model: picture(lock, dataset, model) for model in settings.heatmapped_models}
    shown = (*provenance.values(), *compared.values(), *audits.values(), located, *pictures.values())
    steps = [value.step for value in shown]
    steps += [step for run in runs_read for step in (run.trained, run.evaluated)]
    page = render(
        Contents(
            dataset=dataset,
            synthetic=options.source.kind == "phantom",
            runs=tuple(runs_read),
            bootstrap=(settings.evaluate.bootstrap_samples, settings.evaluate.bootstrap_seed),
            provenance=provenance,
            parameters={"dataset": {dataset: options.model_dump()}, **shared(settings)},
            recipes={run.recipe: as_run(settings.recipe[run.recipe], options.replay.epochs) for run in runs_read},
            steps=lock.with_those_before(steps),
            command=f"python -m stages.report --dataset {dataset}",
            ladder=compared["ladder"],
            published=compared["published"],
            nets=compared["nets"],
            audits=audits,
            heatmaps=located,
            heatmap_pictures=pictures,
            nets_sentence=claim_sentence(compared["nets"].value, dataset, options.source.kind == "covid-xray-5k"),
            findings=tuple(finding(BACKBONES[model], part) for model, part in compared["ladder"].value.items()),
        )
    )
    with replacing(paths.data(dataset, "report.html")) as partial:
        partial.write_text(page, encoding="utf-8")


def audit_files(settings: Settings) -> dict[str, str]:
    """Return where the audits' findings are among the metrics, by name."""
    names = ["leakage", "acquisition", "baselines", "hidden", "calibration"]
    names += [f"external-{images}-{model}" for images in settings.test_sets for model in settings.models]
    return {"audit": "audit"} | {name: f"audit/{name}" for name in names}


def read_run(lock: Lock, settings: Settings, dataset: str, run: Run) -> reported.Run:
    """Return one run with its tables and the steps that made them."""
    metrics = sourced(lock, paths.metrics(dataset, str(run)))
    log = paths.data(dataset, f"training/{run}.csv")
    return reported.Run(
        run.model,
        run.recipe,
        settings.recipe[run.recipe].whole_net,
        run.cut_off,
        metrics.value,
        read_scores(dataset, str(run)),
        pd.read_csv(log),
        metrics.step,
        lock.step_of(log),
    )


def sourced(lock: Lock, path: Path) -> Sourced:
    """Return what a JSON file holds and the step that made it."""
    step = lock.step_of(path)  # first, for it refuses a file that is not whole
    return Sourced(json.loads(path.read_text(encoding="utf-8")), step)


def picture(lock: Lock, dataset: str, model: str) -> Sourced:
    """Return the picture of a net's heat maps and the step that made it."""
    path = paths.plots(dataset, f"heatmaps/{model}.png")
    return Sourced(path.read_bytes(), lock.step_of(path))


def as_run(recipe: Recipe, replay_epochs: int) -> dict[str, Any]:
    """Return the settings of a recipe; on the whole net, training ends early."""
    if recipe.whole_net and recipe.epochs > replay_epochs:
        return recipe.model_dump() | {"epochs": f"{replay_epochs} of {recipe.epochs}"}
    return recipe.model_dump()


def shared(settings: Settings) -> dict[str, Any]:
    """Return the settings that all data sets share, but for the recipes."""
    names = ("features", "evaluate", "audit", "outliers", "heatmaps")
    return {name: getattr(settings, name).model_dump() for name in names}


if __name__ == "__main__":
    _run.run(report)

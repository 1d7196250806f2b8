"""Gather a data set's results on one page that opens without a network."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from deepcovid import catalogue
from deepcovid.comparison import claim_sentence
from deepcovid.errors import UserError
from deepcovid.files import replacing
from deepcovid.report.contents import Contents, Run, Sourced
from deepcovid.report.page import render
from deepcovid.settings import Settings
from stages import _run, paths
from stages.lock import REMEDY, Lock
from stages.runs import runs


def report(settings: Settings, dataset: str) -> None:
    lock, options = Lock(), settings.dataset[dataset]
    images = catalogue.read(paths.data(dataset, "images.csv"))
    patients = images[["image_id", "patient_id"]]
    runs_read = [read_run(lock, settings, dataset, *run, patients) for run in runs(settings)]
    names = ["data", "quarantined", *(f"weights-{model}" for model in settings.models)]
    provenance = {name: sourced(lock, paths.provenance(dataset, name)) for name in names}
    compared = {
        name: sourced(lock, path) if (path := paths.metrics(dataset, name)).is_file() else None
        for name in ("ladder", "published", "nets")
    }
    steps = [*(value.step for value in (*provenance.values(), *compared.values()) if value)]
    steps += [step for run in runs_read for step in (run.trained, run.evaluated)]
    page = render(
        Contents(
            dataset=dataset,
            synthetic=options.source.kind == "phantom",
            runs=tuple(runs_read),
            bootstrap=(settings.evaluate.bootstrap_samples, settings.evaluate.bootstrap_seed),
            provenance=provenance,
            parameters={"dataset": {dataset: options.model_dump()}, **shared(settings)},
            recipes={run.recipe: settings.recipe[run.recipe].model_dump() for run in runs_read},
            steps=lock.with_those_before(steps),
            command=f"python -m stages.report --dataset {dataset}",
            ladder=compared["ladder"],
            published=compared["published"],
            nets=compared["nets"],
            nets_sentence=claim_sentence(compared["nets"].value, dataset, options.source.kind == "covid-xray-5k")
            if compared["nets"]
            else "",
        )
    )
    with replacing(paths.data(dataset, "report.html")) as partial:
        partial.write_text(page, encoding="utf-8")


def read_run(
    lock: Lock, settings: Settings, dataset: str, model: str, recipe: str, cut_off: float, patients: pd.DataFrame
) -> Run:
    """Return one run with its tables and the steps that made them."""
    name = f"{model}-{recipe}"
    scores, log = (paths.data(dataset, f"{table}/{name}.csv") for table in ("scores", "training"))
    metrics = sourced(lock, paths.metrics(dataset, name))
    evaluated, trained = lock.step_of(scores), lock.step_of(log)
    if evaluated != metrics.step:
        raise UserError(f"{scores}: {evaluated.name} made it, but {metrics.step.name} made the metrics; {REMEDY}")
    return Run(
        model,
        recipe,
        recipe not in settings.recipes,  # those are the recipes for frozen features
        cut_off,
        metrics.value,
        pd.read_csv(scores, dtype={"image_id": str}).merge(patients, on="image_id", validate="one_to_one"),
        pd.read_csv(log),
        evaluated,
        trained,
    )


def sourced(lock: Lock, path: Path) -> Sourced:
    """Return what a JSON file holds and the step that made it."""
    value: Any = json.loads(path.read_text(encoding="utf-8"))
    return Sourced(value, lock.step_of(path))


def shared(settings: Settings) -> dict[str, Any]:
    """Return the settings that all data sets share, but for the recipes."""
    return {"features": settings.features.model_dump(), "evaluate": settings.evaluate.model_dump()}


if __name__ == "__main__":
    _run.run(report)

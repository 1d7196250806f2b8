"""Gather a data set's results on one page that opens without a network."""

import json
from pathlib import Path
from typing import Any

from deepcovid.audits.verdict import verdict
from deepcovid.drawing.steps import Sourced
from deepcovid.files import replacing
from deepcovid.ladder.finding import finding
from deepcovid.nets.zoo import title_of
from deepcovid.parameters import Parameters, RunParameters
from deepcovid.report import contents as reported
from deepcovid.report.contents import Contents
from deepcovid.report.page import render
from deepcovid.settings import DatasetSettings, Recipe
from deepcovid.statistics.comparison import claim_sentence
from deepcovid.statistics.rates import RunResult
from stages import _run, paths
from stages.lock import Lock
from stages.runs import read_log, read_scores


def report(parameters: Parameters, dataset: str) -> None:
    lock = Lock()
    runs_read = [read_run(lock, dataset, name, run) for name, run in parameters.runs.items()]
    provenance = {name: sourced(lock, paths.provenance(dataset, name)) for name in ("data", "quarantined")}
    weights, mapped = paths.provenance_of_weights(dataset), parameters.heatmapped_models
    provenance |= {model: sourced(lock, weights / f"{model}.json") for model in parameters.models}
    compared = {name: sourced(lock, paths.results(dataset, name)) for name in ("ladder", "published", "nets")}
    audits = audits_of(lock, parameters, dataset)
    located = {model: sourced(lock, paths.results(dataset, f"heatmaps/{model}")) for model in mapped}
    pictures = {model: picture(lock, dataset, model) for model in mapped}
    shown = (*provenance.values(), *compared.values(), *audits.values(), *located.values(), *pictures.values())
    steps = [value.step for value in shown]
    steps += [step for run in runs_read for step in (run.trained, run.evaluated)]
    synthetic, papers_images = parameters.source.kind == "phantom", parameters.source.kind == "covid-xray-5k"
    page = render(
        Contents(
            dataset=dataset,
            synthetic=synthetic,
            runs=tuple(runs_read),
            bootstrap=(parameters.evaluate.bootstrap_samples, parameters.evaluate.bootstrap_seed),
            provenance=provenance,
            parameters=settings_of(parameters, dataset),
            recipes={
                run.recipe: as_run(parameters.recipe[run.recipe], parameters.replay.epochs)
                for run in parameters.runs.values()
            },
            steps=lock.with_those_before(steps),
            command=f"python -m stages.report --dataset {dataset}",
            ladder=compared["ladder"],
            published=compared["published"],
            nets=compared["nets"],
            audits=audits,
            heatmaps=located,
            heatmap_pictures=pictures,
            nets_sentence=claim_sentence(compared["nets"].value, dataset, papers_images),
            findings=tuple(finding(title_of(model), part) for model, part in compared["ladder"].value.items()),
        )
    )
    with replacing(paths.data(dataset, "report.html")) as partial:
        partial.write_text(page, encoding="utf-8")


def read_run(lock: Lock, dataset: str, name: str, run: RunParameters) -> reported.Run:
    """Return one run with its tables and the steps that made them."""
    metrics = sourced(lock, paths.results(dataset, "runs"))
    return reported.Run(
        run.model,
        run.recipe,
        run.whole_net,
        run.cut_off,
        RunResult.model_validate(metrics.value[name]),
        read_scores(dataset, run),
        read_log(dataset, run),
        metrics.step,
        lock.step_of(paths.training(dataset, run)),
    )


def audits_of(lock: Lock, parameters: Parameters, dataset: str) -> dict[str, Sourced]:
    """Return what the audits found, by name, and their verdict."""
    names = ("leakage", "acquisition", "baselines", "hidden", "calibration")
    found = {name: sourced(lock, paths.results(dataset, name)) for name in names}
    for images in parameters.test_sets:
        tests = sourced(lock, paths.results(dataset, f"external-{images}"))
        found |= {f"external-{images}-{model}": Sourced(own, tests.step) for model, own in tests.value.items()}
    leakage, acquisition, baselines, hidden = (found[name].value for name in names[:-1])
    external = [part.value for name, part in found.items() if name.startswith("external-")]
    said = verdict(leakage, acquisition, baselines, hidden, external, parameters.audit.hidden_share)
    return {"audit": Sourced(said, found["baselines"].step), **found}


def sourced(lock: Lock, path: Path) -> Sourced:
    """Return what a JSON file holds and the step that made it."""
    step = lock.step_of(path)  # first, for it refuses a file that is not whole
    return Sourced(json.loads(path.read_text(encoding="utf-8")), step)


def picture(lock: Lock, dataset: str, model: str) -> Sourced:
    """Return the picture of a net's heat maps and the step that made it."""
    path = paths.picture(dataset, model)
    return Sourced(path.read_bytes(), lock.step_of(path))


def as_run(recipe: Recipe, replay_epochs: int) -> dict[str, Any]:
    """Return the settings of a recipe; on the whole net, training ends early."""
    if recipe.whole_net and recipe.epochs > replay_epochs:
        return recipe.model_dump() | {"epochs": f"{replay_epochs} of {recipe.epochs}"}
    return recipe.model_dump()


def settings_of(parameters: Parameters, dataset: str) -> dict[str, Any]:
    """Return the settings of the data set and what data sets share, but for the recipes."""
    own = {name: value for name, value in parameters.model_dump().items() if name in DatasetSettings.model_fields}
    shared = {name: getattr(parameters, name).model_dump() for name in ("features", "evaluate", "audit", "outliers")}
    return {"dataset": {dataset: own}, **shared, "heatmaps": {"recipe": parameters.heatmap_recipe}}


if __name__ == "__main__":
    _run.run(report)

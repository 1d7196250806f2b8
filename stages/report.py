"""Gather a data set's results on one page, and what a reviewer asks for on another. Both open without a network."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from deepcovid.audits.external import External
from deepcovid.audits.registry import results_of
from deepcovid.drawing.steps import Sourced, Step
from deepcovid.files import read_json, replacing
from deepcovid.heatmaps.beside import MapsBeside
from deepcovid.heatmaps.localisation import NetHeat
from deepcovid.ladder.measuring import Ladders
from deepcovid.nets.zoo import title_of
from deepcovid.parameters import Parameters, RunParameters, Shared, main_of
from deepcovid.report.cause import cause
from deepcovid.report.checklists import read_checklists
from deepcovid.report.contents import Contents, MeasuredRun, ShownRun, failed_of
from deepcovid.report.page import render, render_review
from deepcovid.report.sentences import claim_sentences, finding
from deepcovid.settings.datasets import DatasetSettings
from deepcovid.settings.recipes import Recipe
from deepcovid.statistics.calibration import Calibrations
from deepcovid.statistics.comparison import AgainstPublished
from deepcovid.statistics.paired import NetsCompared
from deepcovid.statistics.rates import RunResult, Runs
from deepcovid.statistics.review import Review
from deepcovid.statistics.uncertainty import Uncertainty
from stages import _run, paths
from stages._resolved import read_published
from stages.lock import Lock, sourced
from stages.runs import read_log, read_run, read_score_table


def report(parameters: Parameters, dataset: str) -> None:
    lock = Lock()
    results = sourced(lock, paths.results(dataset, "runs"), Runs)
    shown_runs = [
        shown_run(lock, dataset, run, results.value.runs[name], results.step) for name, run in parameters.runs.items()
    ]
    provenance = {"data": recorded(lock, paths.provenance(dataset, "data"))}
    put_aside = {
        name: recorded(lock, paths.provenance(name, "quarantined")) for name in (dataset, *parameters.test_sets)
    }
    weights, mapped = paths.provenance_of_weights(dataset), parameters.heatmapped_models
    provenance |= {model: recorded(lock, weights / f"{model}.json") for model in parameters.models}
    ladder = sourced(lock, paths.results(dataset, "ladder"), Ladders)
    published = sourced(lock, paths.results(dataset, "published"), AgainstPublished)
    nets = sourced(lock, paths.results(dataset, "nets"), NetsCompared)
    kinds = results_of(parameters.test_sets)
    audits = {name: sourced(lock, paths.results(dataset, name), kind) for name, kind in kinds.items()}
    tested = {
        part.value.images: tuple(tested_runs(lock, dataset, part.value))
        for part in audits.values()
        if isinstance(part.value, External)
    }
    calibration = sourced(lock, paths.results(dataset, "calibration"), Calibrations)
    uncertainty = sourced(lock, paths.results(dataset, "uncertainty"), Uncertainty)
    located = {model: sourced(lock, paths.results(dataset, f"heatmaps/{model}"), NetHeat) for model in mapped}
    pairs = [(model, images) for model in mapped for images in parameters.test_sets]
    beside = tuple(
        (
            sourced(lock, paths.results(dataset, f"heatmaps/{model}-beside-{images}"), MapsBeside),
            picture(lock, paths.beside(dataset, model, images)),
        )
        for model, images in pairs
    )
    pictures = {model: picture(lock, paths.picture(dataset, model)) for model in mapped}
    steps = [made.step for made in (*provenance.values(), *put_aside.values(), *audits.values())]
    steps += [calibration.step, ladder.step, published.step, nets.step]
    steps += [made.step for part in (located, pictures) for made in part.values()]
    steps += [made.step for pair in beside for made in pair]
    steps += [step for run in shown_runs for step in (run.trained, run.evaluated)]
    synthetic, papers_images = parameters.source.kind == "phantom", parameters.source.kind == "covid-xray-5k"
    reviews = {
        name: sourced(lock, paths.results(dataset, "review" if name == dataset else f"external/{name}/review"), Review)
        for name in (dataset, *parameters.test_sets)
    }
    counted = {name: recorded(lock, paths.results(dataset, name)) for name in ("filter", "split", "images")}
    steps += [made.step for made in (*reviews.values(), *counted.values())]
    contents = Contents(
        dataset=dataset,
        synthetic=synthetic,
        random_weights=parameters.weights.source == "random",
        runs=tuple(shown_runs),
        bootstrap=parameters.evaluate,
        provenance=provenance,
        put_aside=put_aside,
        parameters=settings_of(parameters, dataset),
        recipes={
            run.recipe: as_run(parameters.recipe[run.recipe], parameters.replay.epochs)
            for run in parameters.runs.values()
        },
        steps=lock.with_those_before(steps, (dataset, *parameters.test_sets)),
        command=f"python -m stages.report --dataset {dataset}",
        ladder=ladder,
        published=published,
        published_matrices=read_published().confusions(main_of(parameters.models), shown_runs[0].result.n_test),
        nets=nets,
        audits=audits,
        tested=tested,
        calibration=calibration,
        uncertainty=uncertainty,
        heatmaps=located,
        beside=beside,
        heatmap_pictures=pictures,
        nets_sentences=tuple(claim_sentences(nets.value, dataset, papers_images)),
        findings={model: tuple(finding(title_of(model), part)) for model, part in ladder.value.nets.items()},
        reviews=reviews,
        counted=counted,
        checklists=read_checklists(paths.CHECKLISTS),
    )
    failed = failed_of(contents)
    if failed:
        climbed = ladder.value.nets[contents.main_model]
        share = trained_share(counted["split"].value, counted["images"].value, parameters.recipe[failed.recipe])
        contents = replace(contents, cause=tuple(cause(failed, parameters.recipe[failed.recipe], climbed, share)))
    for page, text in (("report.html", render(contents)), ("review.html", render_review(contents))):
        with replacing(paths.data(dataset, page)) as partial:
            partial.write_text(text, encoding="utf-8")


def trained_share(split: dict[str, Any], images: dict[str, Any], recipe: Recipe) -> float:
    """Return about the share of COVID-19 among the images that a recipe draws for training.

    Images that were put aside, and patients that are set apart for the selection, count too: there are few of the
    first, and of the second as large a share of either class.

    Args:
        split: Counts of images by class, from results/<data set>/split.json.
        images: Counts of images after decoding, from results/<data set>/images.json.
        recipe: The recipe.
    """
    if recipe.sampling == "balanced":
        return 0.5
    covid = split["covid"]["train"] + (images["copies"] if recipe.augmented else 0)
    return float(covid / (covid + split["non"]["train"]))


def shown_run(lock: Lock, dataset: str, run: RunParameters, result: RunResult, evaluated: Step) -> ShownRun:
    """Return one run with its tables and the steps that made them."""
    trained = lock.step_of(paths.training(dataset, run))  # first, to raise an error if the file is not whole
    lock.step_of(paths.scores(dataset, run))
    own = read_run(dataset, run)
    return ShownRun(
        own.model,
        own.recipe,
        own.cut_off,
        own.scores,
        result,
        replayed=run.whole_net,
        log=read_log(dataset, run, own.heads.columns),
        evaluated=evaluated,
        trained=trained,
    )


def tested_runs(lock: Lock, dataset: str, external: External) -> Iterator[MeasuredRun]:
    """Yield the run of each net in a test on other people's images, with its scores of these images."""
    for model, own in external.told.items():
        path = paths.elsewhere(dataset) / external.images / f"{model}.csv"
        lock.step_of(path)  # first, to raise an error if the file is not whole
        scores = read_score_table(path, external.images)
        yield MeasuredRun(model, external.recipe, own.run.cut_off, scores, own.run)


def recorded(lock: Lock, path: Path) -> Sourced[Any]:
    """Return what a JSON file holds and the step that made it."""
    step = lock.step_of(path)
    return Sourced(read_json(path), step)


def picture(lock: Lock, path: Path) -> Sourced[bytes]:
    """Return a picture of heat maps and the step that made it."""
    step = lock.step_of(path)
    return Sourced(path.read_bytes(), step)


def as_run(recipe: Recipe, replay_epochs: int) -> dict[str, Any]:
    """Return the settings of a recipe. If a replay is capped, `epochs` says so."""
    if recipe.whole_net and recipe.epochs > replay_epochs:
        return recipe.model_dump() | {"epochs": f"{replay_epochs} of {recipe.epochs}"}
    return recipe.model_dump()


def settings_of(parameters: Parameters, dataset: str) -> dict[str, Any]:
    """Return the settings of the data set and those that data sets share, without the recipes and the dials."""
    own = {name: value for name, value in parameters.model_dump().items() if name in DatasetSettings.model_fields}
    others = [name for name in Shared.model_fields if name not in ("recipe", "dials")]  # no run here uses the dials
    shared = {name: getattr(parameters, name).model_dump() for name in others}
    return {"dataset": {dataset: own}, **shared, "heatmaps": {"recipe": parameters.heatmap_recipe}}


if __name__ == "__main__":
    _run.run(report)

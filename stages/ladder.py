"""Climb from the failed reproduction to the paper, one switch at a time and back; try every combination of switches.

What was trained is remembered, as by the stage train.
"""

from collections.abc import Iterable
from functools import partial

import pandas as pd

from deepcovid import catalogue
from deepcovid.files import sha256_of, write_csv
from deepcovid.heads.scoring import Scores, heads_of
from deepcovid.heads.sweep import groups_of, joined, scoring_jobs
from deepcovid.ladder.measuring import Ladders, measured, rows
from deepcovid.ladder.rungs import rungs, subsets
from deepcovid.parameters import Parameters
from deepcovid.passes.forked import at_once, by_name
from deepcovid.passes.remembered import Job, remembering
from deepcovid.settings.recipes import Recipe
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.estimate import write_result
from stages import _run, paths
from stages._features import stored_features
from stages._fingerprints import versions_of
from stages.runs import read_score_table


def ladder_stage(parameters: Parameters, dataset: str) -> None:
    table = catalogue.read(paths.data(dataset, "images.csv"))
    ladders, rung_rows, combination_rows, named = {}, [], [], parameters.ladder_recipes
    whole = {model: replayed(parameters, dataset, model, table) for model in parameters.retrained_models}
    jobs = {}
    for model in parameters.retrained_models:
        chosen = [rung.recipe for rung in rungs(parameters.ladder, named, whole[model])]
        chosen += subsets(parameters.ladder, named).values()
        frozen = [recipe for recipe in chosen if not recipe.whole_net]
        jobs[model] = trainings(dataset, model, table, frozen, parameters.ladder_seeds)
    bootstrap = Bootstrap.of(table[catalogue.in_test(table)], parameters.evaluate)
    with remembering(paths.remembered(dataset), partial(versions_of, "ladder")) as share:
        done = by_name(share, jobs)
    scores = [whole[model] | joined(done[model]) for model in parameters.retrained_models]
    epochs = parameters.replay.epochs
    of_nets = at_once([partial(measured, parameters.ladder, named, own, bootstrap, epochs) for own in scores])
    for model, own in zip(parameters.retrained_models, of_nets, strict=True):
        ladders[model], known = own.ladder, {"dataset": dataset, "model": model}
        rung_rows += [known | row for row in rows(own.ladder, len(bootstrap.positive))]
        combination_rows += [known | row for row in own.combinations]
    write_result(paths.results(dataset, "ladder"), Ladders(nets=ladders))
    write_csv(paths.curves(dataset) / "ladder.csv", pd.DataFrame(rung_rows))
    write_csv(paths.curves(dataset).parent / "combinations.csv", pd.DataFrame(combination_rows))


def trainings(dataset: str, model: str, table: pd.DataFrame, recipes: Iterable[Recipe], seeds: list[int]) -> list[Job]:
    """Return the trainings of a net's heads, one for each group of recipes that train together; they return scores."""
    features, jobs = stored_features(dataset, model, len(table)), []
    known = [sha256_of(paths.data(dataset, "images.csv")), features.file.sha256]
    for group in groups_of(recipes):
        (work,) = scoring_jobs(features, table, group, seeds)
        jobs.append(Job(work, ("ladder", known, group, seeds)))
    return jobs


def replayed(parameters: Parameters, dataset: str, model: str, table: pd.DataFrame) -> Scores:
    """Return the scores of the recipes that were replayed on the whole net; `table` is the data set's catalogue."""
    if model not in parameters.replayed_models:
        return {}
    folder = paths.handed_on(dataset, "replayed")
    return {
        recipe.without_cut_off(): heads_of(read_score_table(folder / f"{model}-{name}.csv", dataset, table))
        for name, recipe in parameters.replayed.items()
    }


if __name__ == "__main__":
    _run.run(ladder_stage)

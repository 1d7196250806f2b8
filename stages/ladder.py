"""Climb from the failed reproduction to the paper, one switch at a time and back; try every combination of switches."""

import pandas as pd

from deepcovid import catalogue
from deepcovid.arrays import load_array
from deepcovid.files import write_csv, write_json
from deepcovid.heads.scoring import heads_of
from deepcovid.heads.sweep import Scores, train_and_score
from deepcovid.ladder.measuring import measured, rows
from deepcovid.ladder.rungs import rungs, subsets
from deepcovid.settings import Settings
from stages import _run, paths
from stages.runs import read_scores


def ladder_stage(settings: Settings, dataset: str) -> None:
    table = catalogue.read(paths.data(dataset, "images.csv"))
    positive = catalogue.covid(table)[catalogue.in_test(table)].to_numpy()
    options = settings.dataset[dataset]
    results, table_rows = {}, []
    for model in settings.models:
        scores = replayed(settings, dataset, model)
        chosen = [rung.recipe for rung in rungs(settings.ladder, settings.recipe, scores)]
        chosen += subsets(settings.ladder, settings.recipe).values()
        features = load_array(paths.data(dataset, f"features/{model}.npy"))
        frozen = [recipe for recipe in chosen if not recipe.whole_net]
        scores |= train_and_score(features, table, frozen, options.ladder_seeds)
        results[model] = measured(settings.ladder, settings.recipe, scores, positive, options.replay.epochs)
        known = {"dataset": dataset, "model": model}
        table_rows += [known | row for row in rows(results[model], len(positive))]
    write_json(paths.metrics(dataset, "ladder"), results)
    write_csv(paths.plots(dataset, "ladder.csv"), pd.DataFrame(table_rows))


def replayed(settings: Settings, dataset: str, model: str) -> Scores:
    """Return the scores of the recipes that were run on the whole net."""
    names = settings.replays if model in settings.replayed_models else []
    return {
        settings.recipe[name].without_cut_off(): heads_of(read_scores(dataset, f"{model}-{name}")) for name in names
    }


if __name__ == "__main__":
    _run.run(ladder_stage)

"""Train heads on each net's features, one per recipe and seed, and score the test images with them.

Heads of some nets are then trained again on other splits by patient, to see how far numbers depend on the split. If a
recipe chooses the epoch on the test images, it is also chosen on one half of them, and the heads are tested on either
half.

What was trained is remembered in data/<data set>/remembered: heads are not trained again while their net's features,
their recipe and the code are as they were. Remove that folder to train all of them.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from deepcovid import catalogue
from deepcovid.arrays import Stored
from deepcovid.errors import REMAKE, UserError
from deepcovid.files import read_csv, replacing, sha256_of, write_csv
from deepcovid.heads.card import model_card
from deepcovid.heads.halves import by_halves
from deepcovid.heads.head_files import HeadFile, sha256_of_weights, write_head
from deepcovid.heads.of_net import Tables, jobs_of_net
from deepcovid.heads.resplit import SplitScore
from deepcovid.heads.scoring import median_head, score, score_table
from deepcovid.heads.sweep import joined
from deepcovid.parameters import Parameters
from deepcovid.passes.forked import at_once, by_name
from deepcovid.passes.remembered import Job, remembering
from deepcovid.settings.recipes import Recipe
from deepcovid.statistics.comparison import metrics_of
from stages import _run, paths
from stages._features import stored_features
from stages._fingerprints import versions_of
from stages._pixels import read_pixels


def train_stage(parameters: Parameters, dataset: str) -> None:
    listed = paths.data(dataset, "images.csv"), paths.spare_copies(dataset) / "images.csv"
    table = catalogue.read(listed[0])
    read_pixels(dataset, parameters.image_size, len(table))  # raises an error if their size is another
    spare, recipes = spare_rows(listed[1], table), parameters.trained.values()
    own = parameters.augment.source == "generated"
    tables = Tables.of(table, spare, recipes, parameters.resplits, own=own)
    weights = {model: sha256_of_weights(paths.weights(dataset, model), model) for model in parameters.models}
    of_tables = [*map(sha256_of, listed), own]
    jobs: dict[tuple[str, str], list[Job]] = {}
    stored = {model: stored_features(dataset, model, len(table)) for model in parameters.models}
    for model, features in stored.items():
        copies = stored_features(dataset, model, len(spare), "spare") if parameters.on_other_splits[model] else None
        of_net = jobs_of_net(features, copies, tables, recipes, parameters.seeds, parameters.outliers, of_tables)
        jobs |= {(model, what): parts for what, parts in of_net.items()}
    with remembering(paths.remembered(dataset), partial(versions_of, "train")) as share:
        done = by_name(share, jobs)
    write = partial(write_net, parameters, dataset, tables)
    at_once(
        [
            partial(write, model, features, weights[model], {what: done[model, what] for what in of_net})
            for model, features in stored.items()
        ]
    )


def write_net(
    parameters: Parameters,
    dataset: str,
    tables: Tables,
    model: str,
    stored: Stored,
    weights: str,
    done: Mapping[str, Sequence[Any]],
) -> None:
    """Write a net's heads, scores and logs, and what heads reach on other splits.

    `stored` are the net's features, `weights` is the hash of its weights, and `done` is what its jobs returned.
    """
    table, seeds, features = tables.images, parameters.seeds, np.asarray(stored)
    in_test = catalogue.in_test(table)
    positive = catalogue.covid(table[in_test]).to_numpy()
    trained, ((gaussian, threshold),) = joined(done["own"]), done["outliers"]
    on_others = joined(done["splits"])
    on_halves = by_halves(parameters.trained, trained, features, table, tables.halves)
    folders = [paths.of_net(dataset, what, model) for what in ("heads", "scores", "training")]
    with (
        replacing(folders[0]) as heads,
        replacing(folders[1]) as scores,
        replacing(folders[2]) as logs,
        replacing(paths.resplit(dataset, model, "splits").parent) as again,
    ):
        for folder in (heads, scores, logs, again):
            folder.mkdir()
        for name, recipe in parameters.trained.items():
            own = trained[recipe.without_cut_off()]
            values = score(features[in_test.to_numpy()], own.weight, own.bias)
            head = HeadFile(
                model=model,
                weights_sha256=weights,
                dataset=dataset,
                recipe=name,
                choices=recipe,
                image_size=parameters.image_size,
                seeds=seeds,
                shown=median_head(values, positive),
                weight=own.weight,
                bias=own.bias,
                training=gaussian,
                threshold=threshold,
            )
            write_head(heads / f"{name}.safetensors", head)
            reached = metrics_of(positive, values[:, head.shown], recipe.cut_off)
            card = model_card(head, table, reached, synthetic=parameters.source.kind == "phantom")
            (heads / f"{name}.md").write_text(card, encoding="utf-8")
            write_csv(logs / f"{name}.csv", own.log)
            named = score_table(table[in_test], values, [f"seed_{seed}" for seed in seeds])
            write_csv(scores / f"{name}.csv", named, digits=17)
        if on_others:
            splits = on_other_splits(parameters.trained, parameters.resplits, on_others)
            write_csv(again / paths.resplit(dataset, model, "splits").name, splits)
        write_csv(again / paths.resplit(dataset, model, "halves").name, on_halves)


def spare_rows(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Return catalogue rows for the spare copies in the table `path`. The catalogue has only their originals.

    Raises:
        UserError: That table is damaged, or names an original that is not in the catalogue `table`.
    """
    names = read_csv(path, ("image_id", "augmentation_of"), dtype=str, keep_default_na=False)
    if not names["augmentation_of"].isin(table["image_id"]).all():
        raise UserError(f"{path}: damaged (names an image that images.csv does not); {REMAKE}")
    return table.set_index("image_id").loc[names["augmentation_of"]].reset_index(drop=True).assign(**names)


def on_other_splits(
    recipes: Mapping[str, Recipe], splits: Sequence[int], scores: Mapping[tuple[Recipe, int], SplitScore]
) -> pd.DataFrame:
    """Return what heads reached on other splits, a row per recipe and split; scores are by recipe and split."""
    return pd.DataFrame(
        {"recipe": name, "split": split} | metrics_of(*scores[recipe.without_cut_off(), split], recipe.cut_off)
        for name, recipe in recipes.items()
        for split in splits
    )


if __name__ == "__main__":
    _run.run(train_stage)

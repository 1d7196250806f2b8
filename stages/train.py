"""Train a net's heads, one per recipe and seed, on its features, and score the test images with them.

Heads are then trained again on other splits by patient, to see how far the numbers depend on the split. If a recipe
chooses the epoch on the test images, it is also chosen on one half of them, and the heads are tested on either half.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepcovid import catalogue
from deepcovid.errors import REMAKE, UserError
from deepcovid.files import read_csv, replacing, write_csv
from deepcovid.heads.card import model_card
from deepcovid.heads.halves import by_halves, halves
from deepcovid.heads.head_files import HeadFile, sha256_of_weights, write_head
from deepcovid.heads.outliers import fit_with_threshold
from deepcovid.heads.resplit import SplitScores, resplit, split_jobs
from deepcovid.heads.scoring import median_head, score, score_table
from deepcovid.heads.sweep import joined, training_jobs
from deepcovid.parameters import Parameters
from deepcovid.passes.executors import sharing
from deepcovid.passes.forked import by_name
from deepcovid.settings.recipes import Recipe
from deepcovid.statistics.comparison import metrics_of
from stages import _run, paths
from stages._features import read_features
from stages._fingerprints import versions_of
from stages._pixels import read_pixels


def train_stage(parameters: Parameters, dataset: str, model: str) -> None:
    table, seeds = catalogue.read(paths.data(dataset, "images.csv")), parameters.seeds
    read_pixels(dataset, parameters.image_size, len(table))  # raises an error if their size is another
    features, spare = read_features(dataset, model, len(table)), spare_rows(dataset, table)
    copies = read_features(dataset, model, len(spare), "spare")
    weights = sha256_of_weights(paths.weights(dataset, model), model)
    in_test, originals = catalogue.in_test(table), catalogue.in_training(table, augmented=False)
    positive = catalogue.covid(table[in_test]).to_numpy()
    seen, parts = np.asarray(features[originals.to_numpy()]), halves(table, parameters.trained.values())
    jobs: dict[str, Sequence[Callable[[], Any]]] = {
        "splits": jobs_of_other_splits(parameters, table, features, spare, copies),
        "own": training_jobs(features, table, parameters.trained.values(), seeds, parts=parts),
        "outliers": [partial(fit_with_threshold, seen, table[originals], parameters.outliers)],
    }
    with sharing(partial(versions_of, "train")) as share:
        done = by_name(share, jobs)
    trained = joined(done["own"])
    on_others = on_other_splits(parameters.trained, joined(done["splits"]))
    on_halves = by_halves(parameters.trained, trained, features, table, parts)
    ((gaussian, threshold),) = done["outliers"]
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
            weight, bias = own.weight.numpy(), own.bias.numpy()
            values = score(features[in_test.to_numpy()], weight, bias)
            head = HeadFile(
                model=model,
                weights_sha256=weights,
                dataset=dataset,
                recipe=name,
                choices=recipe,
                image_size=parameters.image_size,
                seeds=seeds,
                shown=median_head(values, positive),
                weight=weight,
                bias=bias,
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
        write_csv(again / paths.resplit(dataset, model, "splits").name, on_others)
        write_csv(again / paths.resplit(dataset, model, "halves").name, on_halves)


def spare_rows(dataset: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return catalogue rows for the spare copies, which the catalogue does not list; `table` has their originals.

    Raises:
        UserError: The table of the spare copies is damaged, or names an original that is not in `table`.
    """
    path = paths.spare_copies(dataset) / "images.csv"
    names = read_csv(path, ("image_id", "augmentation_of"), dtype=str, keep_default_na=False)
    if not names["augmentation_of"].isin(table["image_id"]).all():
        raise UserError(f"{path}: damaged (names an image that images.csv does not); {REMAKE}")
    return table.set_index("image_id").loc[names["augmentation_of"]].reset_index(drop=True).assign(**names)


def jobs_of_other_splits(
    parameters: Parameters,
    table: pd.DataFrame,
    images: NDArray[np.float32],
    spare: pd.DataFrame,
    copies: NDArray[np.float32],
) -> list[Callable[[], SplitScores]]:
    """Return functions without arguments that train heads on other splits and score the test images there.

    Args:
        parameters: What the data set runs with.
        table: Its catalogue (rows).
        images: A net's features of the images in the catalogue (rows, features).
        spare: Catalogue rows of the spare copies (copies).
        copies: The net's features of the spare copies (copies, features).
    """
    own = parameters.augment.source == "generated"  # not every image has published copies, nor equally many
    used = table if own else table[catalogue.originals(table)]
    drawn = resplit(pd.concat([used, spare], ignore_index=True), parameters.resplits)
    splits = dict(zip(parameters.resplits, drawn, strict=True))
    features = np.concatenate([images[used.index], copies])
    return split_jobs(features, splits, parameters.trained.values(), parameters.seeds[0])


def on_other_splits(recipes: Mapping[str, Recipe], scores: SplitScores) -> pd.DataFrame:
    """Return what heads reached on other splits, a row per recipe and split."""
    return pd.DataFrame(
        {"recipe": name, "split": split} | metrics_of(*scored, recipe.cut_off)
        for name, recipe in recipes.items()
        for split, scored in scores[recipe.without_cut_off()].items()
    )


if __name__ == "__main__":
    _run.run(train_stage)

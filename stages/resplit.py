"""Train every frozen run's heads on other splits by patient, to see how far its numbers depend on the split.

And with the epoch chosen on one half of the test images and the test on the other, where a recipe chooses on them.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepcovid import catalogue
from deepcovid.arrays import load_array
from deepcovid.files import write_csv
from deepcovid.heads.halves import by_halves
from deepcovid.heads.resplit import resplit, scores_of_splits
from deepcovid.parameters import Parameters
from deepcovid.statistics.comparison import metrics_of
from stages import _run, paths


def resplit_stage(parameters: Parameters, dataset: str) -> None:
    table = catalogue.read(paths.data(dataset, "images.csv"))
    names = pd.read_csv(paths.spare_copies(dataset) / "images.csv", dtype=str, keep_default_na=False)
    spare = table.set_index("image_id").loc[names["augmentation_of"]].reset_index(drop=True).assign(**names)
    own = parameters.augment.source == "generated"  # the published copies are not of all images, and not equally many
    used = table if own else table[catalogue.originals(table)]
    drawn = resplit(pd.concat([used, spare], ignore_index=True), parameters.resplits)
    splits = dict(zip(parameters.resplits, drawn, strict=True))
    features = {model: features_of(dataset, model, used) for model in parameters.models}
    scores = scores_of_splits(features, splits, list(parameters.trained.values()), parameters.seeds[0])
    rows = [
        {"model": model, "recipe": name, "split": split} | metrics_of(*scored, recipe.cut_off)
        for model in parameters.models
        for name, recipe in parameters.trained.items()
        for split, scored in scores[model][recipe.without_cut_off()].items()
    ]
    write_csv(paths.resplit(dataset), pd.DataFrame(rows))
    alone = {model: load_array(paths.features(dataset, model)) for model in parameters.models}
    write_csv(paths.selection(dataset), by_halves(alone, table, parameters.trained, parameters.seeds))


def features_of(dataset: str, model: str, used: pd.DataFrame) -> NDArray[np.float32]:
    """Return a net's features of the rows `used` of the catalogue, then of the spare copies."""
    images, spare = (load_array(paths.features(dataset, model, of)) for of in ("images", "spare"))
    return np.concatenate([images[used.index], spare])


if __name__ == "__main__":
    _run.run(resplit_stage)

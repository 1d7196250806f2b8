"""Train heads on a whole net that runs again in every epoch, as the released script does. This takes minutes.

On a CPU an epoch of ResNet18 on the paper's data takes about a minute; dataset.NAME.replay.epochs caps their number.
The scores are kept by git instead of DVC's cache. So they can be measured in another way without being made again.
"""

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from deepcovid import catalogue
from deepcovid.errors import UserError
from deepcovid.files import write_csv
from deepcovid.heads.replay import Images, Net, Replayed, replay
from deepcovid.heads.scoring import score_table
from deepcovid.heads.sides import sides
from deepcovid.heads.training import classes_of
from deepcovid.images.uncropped import uncropped
from deepcovid.nets.features import choose_device, keep_large_buffers
from deepcovid.nets.trunks import read_state, trunk
from deepcovid.parameters import Parameters
from deepcovid.settings.recipes import Recipe
from stages import _run, paths
from stages._pixels import read_pixels
from stages._run import leave_nothing


def replay_stage(parameters: Parameters, dataset: str, model: str, recipe: str) -> None:
    if recipe not in parameters.replayed:
        raise UserError(f"--recipe {recipe}: replays names {', '.join(parameters.replayed) or 'none'}; name it there")
    scored, logged = (paths.replayed(dataset, model, recipe, what) for what in ("scores", "log"))
    if not parameters.nets[model].runs:
        leave_nothing((scored, logged), f"{model} is not named in models, so no recipe is replayed on it")
        return
    keep_large_buffers()
    device = choose_device(parameters.features.device)
    options, choices, seeds = parameters.replay, parameters.replayed[recipe], parameters.ladder_seeds
    capped = choices.model_copy(update={"epochs": min(choices.epochs, options.epochs)})
    table = catalogue.read(paths.data(dataset, "images.csv"))
    rows = sides(table, choices)
    pixels = read_pixels(dataset, parameters.image_size, len(table))
    train = images(parameters, dataset, table[rows.train], pixels, capped)
    test = images(parameters, dataset, table[rows.test], pixels)
    apart = None if rows.selected_on is rows.test else images(parameters, dataset, table[rows.selected_on], pixels)
    state = paths.weights(dataset, model)
    runs: dict[int, Replayed] = {}
    for run in options.runs:
        net = Net(trunk(*read_state(state)), device, parameters.features.precision)
        runs[run] = replay(net, train, test, capped, seeds, run, apart)

    scores = np.concatenate([part.scores for part in runs.values()], axis=1)
    heads = [f"seed_{seed}_run_{run}" for run in runs for seed in seeds]
    write_csv(scored, score_table(table[rows.test], scores, heads), digits=9)
    write_csv(logged, pd.concat(part.log.assign(run=run) for run, part in runs.items()))


def images(
    parameters: Parameters,
    dataset: str,
    rows: pd.DataFrame,
    whole: NDArray[np.uint8],
    recipe: Recipe | None = None,
) -> Images:
    """Return some images of the data set, whose pixels are `whole`; uncropped if `recipe` draws crops."""
    pixels = whole[rows.index]
    if recipe and recipe.random_crop:
        generated = parameters.augment.source == "generated"
        found = uncropped(rows, paths.data(dataset, "raw"), pixels, generated)
    else:
        found = list(pixels)
    return Images([torch.from_numpy(image.copy()) for image in found], classes_of(rows["label"]), parameters.image_size)


if __name__ == "__main__":
    _run.run(replay_stage)

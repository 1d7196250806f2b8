"""Train heads on a whole net, as the released script does: crops and BatchNorm at work in every epoch. Takes minutes.

On a CPU an epoch of ResNet18 on the paper's data takes about a minute; dataset.NAME.replay.epochs caps their number.
"""

import numpy as np
import pandas as pd
import torch

from deepcovid import catalogue
from deepcovid.arrays import load_array
from deepcovid.errors import UserError
from deepcovid.files import replacing, sha256_of, write_csv
from deepcovid.heads.replay import Images, Net, Replayed, replay, write
from deepcovid.heads.scoring import score_table
from deepcovid.heads.training import classes_of
from deepcovid.images.uncropped import uncropped
from deepcovid.nets.features import choose_device, keep_large_buffers
from deepcovid.nets.trunks import read_state, trunk
from deepcovid.settings import Recipe, Settings
from stages import _run, paths


def replay_stage(settings: Settings, dataset: str, model: str, recipe: str) -> None:
    if not settings.recipe[recipe].whole_net:
        raise UserError(f"--recipe {recipe}: needs no more than frozen features; use stages.train")
    keep_large_buffers()
    device = choose_device(settings.features.device)
    options, choices = settings.dataset[dataset], settings.recipe[recipe]
    capped = choices.model_copy(update={"epochs": min(choices.epochs, options.replay.epochs)})
    table = catalogue.read(paths.data(dataset, "images.csv"))
    in_train, in_test = catalogue.in_training(table, augmented=choices.augmented), catalogue.in_test(table)
    train, test = images(settings, dataset, table[in_train], capped), images(settings, dataset, table[in_test])
    state = paths.data(dataset, f"weights/{model}.safetensors")
    runs: dict[int, Replayed] = {}
    for run in options.replay.runs:
        net = Net(trunk(*read_state(state)), device, options.replay.precision)
        runs[run] = replay(net, train, test, capped, options.ladder_seeds, run)

    name = f"{model}-{recipe}"
    facts = {
        "model": model,
        "weights_sha256": sha256_of(state),
        "dataset": dataset,
        "recipe": recipe,
        "choices": capped.model_dump(),
        "seeds": options.ladder_seeds,
        "runs": options.replay.runs,
    }
    with replacing(paths.data(dataset, f"heads/{name}.safetensors")) as partial:
        write(partial, runs, facts)
    scores = np.concatenate([part.scores for part in runs.values()], axis=1)
    heads = [f"seed_{seed}_run_{run}" for run in runs for seed in options.ladder_seeds]
    write_csv(paths.data(dataset, f"scores/{name}.csv"), score_table(table[in_test], scores, heads), digits=17)
    log = pd.concat(part.log.assign(run=run) for run, part in runs.items())
    write_csv(paths.data(dataset, f"training/{name}.csv"), log)


def images(settings: Settings, dataset: str, rows: pd.DataFrame, recipe: Recipe | None = None) -> Images:
    """Return images of the data set, uncropped if `recipe` draws crops."""
    pixels = load_array(paths.data(dataset, "pixels.npy"))[rows.index]
    if recipe and recipe.random_crop:
        generated = settings.dataset[dataset].augment.source == "generated"
        found = uncropped(rows, paths.data(dataset, "raw"), pixels, generated)
    else:
        found = list(pixels)
    return Images([torch.from_numpy(image.copy()) for image in found], classes_of(rows["label"]))


if __name__ == "__main__":
    _run.run(replay_stage)

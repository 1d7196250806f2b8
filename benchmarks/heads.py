"""How much faster heads are trained together than one by one, and how long a net's ladder takes.

    python -m benchmarks.heads [--features 512] [--seeds 10] [--epochs 3] [--record]

"One by one" is a linear layer, cross-entropy and torch.optim, as a PyTorch user would write it, one head after the
other. "Together" is deepcovid.heads.training. Both run the same epochs on as many images as the paper's (420 + 2,000,
batch 20). They take turns in one process and on one thread, since machines are shared; the number to look at is the
ratio. The time for the ladder is computed from the epochs of its frozen recipes. Run it by hand only.
"""

import argparse
import math
import statistics
import time

import torch
from torch import nn

import stages  # noqa: F401  # sets passive waiting of threads, as in the stage
from benchmarks._record import record
from deepcovid.heads import training
from deepcovid.heads.training import Data
from deepcovid.ladder.rungs import subsets
from deepcovid.settings.recipes import Recipe
from stages._resolved import read_settings

TRAIN, TEST, ORIGINALS = 2420, 3100, 2084


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=int, default=512, help="512 for ResNet18 and SqueezeNet, 2048 for ResNet50")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--record", action="store_true", help="keep the numbers in benchmarks/results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = read_settings()
    recipes = list(subsets(settings.ladder, settings.recipe).values())
    adam = [recipe for recipe in recipes if recipe.optimiser.kind == "adam" and recipe.augmented]
    train, test = (random_data(images, options.features) for images in (TRAIN, TEST))
    apart, together = [], []
    for _ in range(options.epochs):
        apart.append(seconds_apart(train, adam[0]))
        together.append(seconds_together(train, test, adam, options.seeds))
    one, all_of_them = statistics.median(apart), statistics.median(together)
    trajectories = len({(recipe.learning_rate, recipe.schedule) for recipe in adam})
    heads = options.seeds * trajectories
    groups = {(recipe.optimiser, recipe.augmented): [] for recipe in recipes}
    for recipe in recipes:
        groups[recipe.optimiser, recipe.augmented].append(recipe.epochs)
    epochs = sum(max(found) * (1 if augmented else ORIGINALS / TRAIN) for (_, augmented), found in groups.items())
    print(
        f"{heads} heads ({options.seeds} seeds, {trajectories} schedules) of {options.features} features, an epoch: "
        f"one by one {heads * one:.2f} s, together {all_of_them:.2f} s, ratio {heads * one / all_of_them:.1f}; "
        f"the {len(recipes)} frozen recipes of the ladder, {len(recipes) * options.seeds} heads: "
        f"{epochs * all_of_them:.0f} s on one core"
    )
    if options.record:
        values = {"features": options.features, "heads": heads, "apart": heads * one, "together": all_of_them}
        record("heads", {f"{heads} heads of {options.features}": values | {"ratio": heads * one / all_of_them}})


def random_data(images: int, features: int) -> Data:
    generator = torch.Generator().manual_seed(0)
    classes = (torch.rand(images, generator=generator) > 0.1).long()
    return Data(torch.randn(images, features, generator=generator), classes)


def seconds_apart(train: Data, recipe: Recipe) -> float:
    layer = nn.Linear(train.features.shape[1], 2)
    optimiser = torch.optim.Adam(layer.parameters(), lr=recipe.learning_rate)
    start = time.perf_counter()
    for batch in torch.randperm(len(train.classes)).split(recipe.batch_size):
        optimiser.zero_grad()
        nn.functional.cross_entropy(layer(train.features[batch]), train.classes[batch]).backward()
        optimiser.step()
    return time.perf_counter() - start


def seconds_together(train: Data, test: Data, recipes: list[Recipe], seeds: int) -> float:
    one_epoch = [recipe.model_copy(update={"epochs": 1}) for recipe in recipes]
    start = time.perf_counter()
    trained = training.train(train, test, one_epoch, list(range(seeds)))
    assert math.isfinite(float(trained[0].weight.sum()))
    return time.perf_counter() - start


if __name__ == "__main__":
    main()

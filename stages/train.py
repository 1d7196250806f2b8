"""Train a head per seed on a net's features, as a recipe says, and score the test images with it."""

import torch

from deepcovid import catalogue
from deepcovid.arrays import load_array
from deepcovid.errors import UserError
from deepcovid.files import replacing, sha256_of, write_csv
from deepcovid.heads import training
from deepcovid.heads.head_files import HeadFile, write_head
from deepcovid.heads.outliers import fit_with_threshold
from deepcovid.heads.scoring import score, score_table
from deepcovid.settings import Settings
from stages import _run, paths


def train(settings: Settings, dataset: str, model: str, recipe: str) -> None:
    torch.set_num_threads(1)  # the steps are too small to share out, and one thread gives the same bytes everywhere
    choices, seeds = settings.recipe[recipe], settings.dataset[dataset].seeds
    if choices.whole_net:
        raise UserError(f"--recipe {recipe}: crops at random or trains BatchNorm; use stages.replay")
    table = catalogue.read(paths.data(dataset, "images.csv"))
    features = load_array(paths.data(dataset, f"features/{model}.npy"))
    in_train, in_test = catalogue.in_training(table, augmented=choices.augmented), catalogue.in_test(table)
    train_data, test_data = (
        training.Data.of(features[rows.to_numpy()], table["label"][rows]) for rows in (in_train, in_test)
    )
    (trained,) = training.train(train_data, test_data, [choices], seeds)
    run = f"{model}-{recipe}"
    gaussian, threshold = fit_with_threshold(train_data.features.numpy(), table[in_train], settings.outliers)
    head = HeadFile(
        model=model,
        weights_sha256=sha256_of(paths.data(dataset, f"weights/{model}.safetensors")),
        dataset=dataset,
        recipe=recipe,
        choices=choices,
        seeds=seeds,
        weight=trained.weight.numpy(),
        bias=trained.bias.numpy(),
        training=gaussian,
        threshold=threshold,
    )
    with replacing(paths.data(dataset, f"heads/{run}.safetensors")) as partial:
        write_head(partial, head)
    write_csv(paths.data(dataset, f"training/{run}.csv"), trained.log)
    scores = score(test_data.features.numpy(), trained.weight.numpy(), trained.bias.numpy())
    named = score_table(table[in_test], scores, [f"seed_{seed}" for seed in seeds])
    write_csv(paths.data(dataset, f"scores/{run}.csv"), named, digits=17)


if __name__ == "__main__":
    _run.run(train)

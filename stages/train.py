"""Train a net's heads, one per recipe and seed, on its features, and score the test images with them."""

import torch

from deepcovid import catalogue
from deepcovid.arrays import load_array
from deepcovid.files import replacing, sha256_of, write_csv
from deepcovid.heads.head_files import HeadFile, write_head
from deepcovid.heads.outliers import fit_with_threshold
from deepcovid.heads.scoring import score, score_table
from deepcovid.heads.training import Data, train
from deepcovid.parameters import Parameters
from stages import _run, paths


def train_stage(parameters: Parameters, dataset: str, model: str) -> None:
    torch.set_num_threads(1)  # the steps are too small to share out, and one thread gives the same bytes everywhere
    table, seeds = catalogue.read(paths.data(dataset, "images.csv")), parameters.seeds
    features, weights = load_array(paths.features(dataset, model)), sha256_of(paths.weights(dataset, model))
    in_test = catalogue.in_test(table)
    folders = [paths.of_net(dataset, what, model) for what in ("heads", "scores", "training")]
    with replacing(folders[0]) as heads, replacing(folders[1]) as scores, replacing(folders[2]) as logs:
        for folder in (heads, scores, logs):
            folder.mkdir()
        for name, recipe in parameters.trained.items():
            in_train = catalogue.in_training(table, augmented=recipe.augmented)
            train_data, test_data = (
                Data.of(features[rows.to_numpy()], table["label"][rows]) for rows in (in_train, in_test)
            )
            (trained,) = train(train_data, test_data, [recipe], seeds)
            gaussian, threshold = fit_with_threshold(train_data.features.numpy(), table[in_train], parameters.outliers)
            head = HeadFile(
                model=model,
                weights_sha256=weights,
                dataset=dataset,
                recipe=name,
                choices=recipe,
                seeds=seeds,
                weight=trained.weight.numpy(),
                bias=trained.bias.numpy(),
                training=gaussian,
                threshold=threshold,
            )
            write_head(heads / f"{name}.safetensors", head)
            write_csv(logs / f"{name}.csv", trained.log)
            values = score(test_data.features.numpy(), trained.weight.numpy(), trained.bias.numpy())
            named = score_table(table[in_test], values, [f"seed_{seed}" for seed in seeds])
            write_csv(scores / f"{name}.csv", named, digits=17)


if __name__ == "__main__":
    _run.run(train_stage)

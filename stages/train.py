"""Train a net's heads, one per recipe and seed, on its features, and score the test images with them."""

import numpy as np
from joblib import delayed

from deepcovid import catalogue
from deepcovid.arrays import load_array
from deepcovid.files import replacing, sha256_of, write_csv
from deepcovid.heads.head_files import HeadFile, write_head
from deepcovid.heads.outliers import fit_with_threshold
from deepcovid.heads.scoring import median_head, score, score_table
from deepcovid.heads.sweep import joined, share_out, training_jobs
from deepcovid.parameters import Parameters
from stages import _run, paths
from stages._pixels import read_pixels


def train_stage(parameters: Parameters, dataset: str, model: str) -> None:
    table, seeds = catalogue.read(paths.data(dataset, "images.csv")), parameters.seeds
    read_pixels(dataset, parameters.image_size)  # refuses pixels of another size, whose features these then are
    features, weights = load_array(paths.features(dataset, model)), sha256_of(paths.weights(dataset, model))
    in_test, originals = catalogue.in_test(table), catalogue.in_training(table, augmented=False)
    seen = np.asarray(features[originals.to_numpy()])
    jobs = training_jobs(features, table, parameters.trained.values(), seeds)
    *parts, (gaussian, threshold) = share_out(
        [*jobs, delayed(fit_with_threshold)(seen, table[originals], parameters.outliers)]
    )
    trained = joined(parts)

    folders = [paths.of_net(dataset, what, model) for what in ("heads", "scores", "training")]
    with replacing(folders[0]) as heads, replacing(folders[1]) as scores, replacing(folders[2]) as logs:
        for folder in (heads, scores, logs):
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
                shown=median_head(values, catalogue.covid(table[in_test]).to_numpy()),
                weight=weight,
                bias=bias,
                training=gaussian,
                threshold=threshold,
            )
            write_head(heads / f"{name}.safetensors", head)
            write_csv(logs / f"{name}.csv", own.log)
            named = score_table(table[in_test], values, [f"seed_{seed}" for seed in seeds])
            write_csv(scores / f"{name}.csv", named, digits=17)


if __name__ == "__main__":
    _run.run(train_stage)

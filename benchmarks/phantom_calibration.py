"""Print the properties by which the phantoms' dial `shortcut` was set: python -m benchmarks.phantom_calibration

It needs data/<data set>/images.csv, ResNet18's features and results/<data set>/baselines.json, as `dvc repro` leaves
them. For phantoms the net has random weights, for the paper's images it has ImageNet's.
"""

import sys

import numpy as np

from deepcovid import catalogue
from deepcovid.arrays import load_array
from deepcovid.audits.baselines import Baselines
from deepcovid.statistics.estimate import read_result
from stages import paths

DATASETS = ("phantom", "covid-xray-5k")


def main() -> None:
    """Print one line for each data set."""
    for dataset in sys.argv[1:] or DATASETS:
        path = paths.features(dataset, "resnet18")
        if not path.is_file():
            print(f"{dataset}: {path} is not there; run `dvc repro` with it in `datasets`")
            continue
        table, features = catalogue.read(paths.data(dataset, "images.csv")), np.array(load_array(path), float)
        covid, original = catalogue.covid(table).to_numpy(), catalogue.originals(table).to_numpy()
        means = [features[original & side].mean(0) for side in (covid, ~covid)]
        apart = ((means[0] - means[1]) ** 2).sum()
        spread = [features[original & side].var(0).sum() for side in (covid, ~covid)]
        sharpness = read_result(paths.results(dataset, "baselines"), Baselines).baselines["sharpness"].auc.value
        print(
            f"{dataset}: class means {apart:.1f} apart (squared), mean square {(features**2).sum(1).mean():.0f}, total "
            f"variance {spread[0]:.0f} with covid and {spread[1]:.0f} without; sharpness alone reaches {sharpness:.3f}"
        )


if __name__ == "__main__":
    main()

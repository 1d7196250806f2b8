"""What audits find, made up: for tests of what is told of it."""

from deepcovid.audits.external import ExternalRun, View
from deepcovid.heatmaps.localisation import (
    CENTRE,
    GRAD_CAM,
    OCCLUSION,
    RANDOM,
    Heatmaps,
    Located,
    Measures,
    Method,
    NetHeat,
    NotLocated,
)
from deepcovid.statistics.calibration import Bin, Calibration, Calibrations
from deepcovid.statistics.estimate import Bounds, Estimate
from deepcovid.statistics.rates import AtSensitivity, Confusion, Counts, OverSeeds, Rate, RunResult, Spread


def area(auc, reach=0.02):
    return {"auc": auc, "low": auc - reach, "high": min(auc + reach, 1.0)}


def square(share, shows, auc):
    less = {"difference": 0.99 - auc, "low": 0.98 - auc, "high": 1 - auc}
    over = {"mean": auc, "min": auc - 0.01, "max": auc}
    return {"share": share, "shows": shows, **area(auc), "over_seeds": over, "less_than_whole": less}


def calibrated():
    return Calibration(
        brier=Estimate(value=0.1, low=0.08, high=0.12),
        brier_skill=0.4,
        ece=Estimate(value=0.05, low=0.04, high=0.09),
        bins={
            "0": Bin(low=0, high=0.5, images=80, mean_score=0.2, observed=Estimate(value=0.1, low=0.05, high=0.2)),
            "0.5": Bin(low=0.5, high=1, images=20, mean_score=0.8, observed=Estimate(value=0.75, low=0.5, high=0.9)),
        },
    )


def about(value, reach=0.05):
    return Estimate(value=value, low=value - reach, high=value + reach)


def rate_of(value):
    bounds = Bounds(low=value - 0.05, high=value + 0.05)
    return Rate(value=value, paper=bounds, wilson=bounds)


def run_result(auc):
    spread = Spread(min=auc - 0.01, max=auc)
    over = dict.fromkeys(("auc", "sensitivity", "specificity", "predicted_positive", "collapsed"), spread)
    return RunResult(
        auc=about(auc),
        average_precision=auc,
        accuracy=0.6,
        balanced_accuracy=0.5,
        majority_accuracy=0.7,
        cut_off=0.5,
        sensitivity=rate_of(0.8),
        specificity=rate_of(0.2),
        confusion=Confusion(tp=278, fp=80, fn=70, tn=20),
        at_sensitivity_98=AtSensitivity(cut_off=0.1, sensitivity=0.98, specificity=0.1),
        predicted_positive=358,
        collapsed=0,
        n_test=Counts(covid=348, non=100),
        over_seeds=OverSeeds(heads=1, **over),
    )


LEAKAGE = {
    "images": {"train": 384, "test": 300},
    "counts": {
        "same_file": {"pairs": 1, "test_images": 1},
        "same_pixels": {"pairs": 1, "test_images": 1},
        "near_duplicate": {"pairs": 2, "test_images": 2},
        "same_patient": {"pairs": 0, "test_images": 0},
    },
    "leaked": {"test_images": 2, "share": 2 / 300, "low": 0.002, "high": 0.024, "covid": 1, "non": 1},
    "near_duplicates": {
        "by": "matched points, of pairs that are alike in resnet18's features",
        "threshold": 46,
        "features_cosine": 0.08,
        "sensitivity": {"rate": 0.82, "low": 0.77, "high": 0.86, "copies": 336},
        "false_positives": {
            "found": 1, "pairs": 2171502, "rate": 4.6e-7, "high": 2.6e-6, "expected": 0.6, "expected_high": 11.2,
        },
    },
    "pairs": [
        {"train": "phantom-1", "test": "phantom-2", "kinds": ["same_file", "same_pixels", "near_duplicate"],
         "points": 190, "train_label": "covid", "test_label": "covid"},
        {"train": "phantom-3", "test": "phantom-4", "kinds": ["near_duplicate"], "points": 60,
         "train_label": "non", "test_label": "non"},
    ],
}  # fmt: skip
ACQUISITION = {
    "images": {"covid": 184, "non": 500},
    "best": {"name": "size", **area(0.91)},
    "together": {**area(0.97), "variables": ["size", "view"]},
    "variables": [
        {"name": "size", "title": "image size", "columns": ["width"], "known": {"covid": 184, "non": 500},
         **area(0.91)},
        {"name": "view", "title": "view", "columns": ["view"], "known": {"covid": 180, "non": 500}, **area(0.6)},
        {"name": "age", "title": "age", "columns": ["age"], "known": {"covid": 3, "non": 500},
         "skipped": "fewer than 5 patients of covid have it"},
    ],
}  # fmt: skip
BASELINES = {
    "recipe": "paper",
    "best_without_disease": {"name": "sharpness", **area(0.96)},
    "baselines": [
        {"name": "sharpness", "title": "three figures of sharpness", "kind": "hand-made", "numbers": 3, **area(0.96)},
        {"name": "untrained-resnet18", "title": "ResNet18, random weights", "kind": "untrained", "numbers": 512,
         **area(0.9)},
        {"name": "resnet18", "title": "ResNet18, ImageNet weights", "kind": "pipeline", "numbers": 512, **area(0.99)},
    ],
}  # fmt: skip
HIDDEN = {
    "recipe": "paper",
    "nets": [
        {
            "model": "resnet18",
            "squares": [
                square(0.0, "outside", 0.99),
                square(0.5, "outside", 0.97),
                square(0.75, "outside", 0.95),
                square(0.5, "inside", 0.93),
            ],
        }
    ],
}


def located(pointing, inside, auc, above=None):
    less = None if above is None else about(above, 0.1)
    return Method(
        pointing_game=about(pointing),
        heat_inside=about(inside),
        auc=about(auc),
        without_heat=0,
        minus_centre=less and Measures(pointing_game=less, heat_inside=less, auc=less),
    )


HEATMAPS = Heatmaps(
    recipe="paper",
    window=32,
    stride=16,
    fill=128,
    nets={
        "resnet18": NetHeat(
            chosen={"true_positive": 20, "sample": 3},
            lesions=Located(
                images=20,
                patients=18,
                mask_share=0.18,
                methods={
                    OCCLUSION: located(0.47, 0.39, 0.64, -0.08),
                    GRAD_CAM: located(0.55, 0.29, 0.7, -0.02),
                    CENTRE: located(0.01, 0.24, 0.72),
                    RANDOM: located(0.1, 0.18, 0.5, -0.22),
                },
            ),
            lungs=NotLocated(skipped="there is no mask"),
        )
    },
)
CALIBRATION = Calibrations(recipe="paper", nets={"resnet18": calibrated()}).model_dump(mode="json")


def external(images="elsewhere", model="resnet18", auc=0.55):
    run = ExternalRun(
        run=run_result(auc),
        views={"AP": View(auc=about(0.62), n_test=Counts(covid=160, non=22))},
        calibration=calibrated(),
    ).model_dump(mode="json", exclude_none=True)
    left_out = {"images": 84, "same_patient": 84, "same_image": 80}
    return {"heads": "phantom", "images": images, "model": model, "left_out": left_out, "recipes": {"paper": run}}

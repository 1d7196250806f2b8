"""What audits find, made up: for tests of what is told of it."""


def area(auc, reach=0.02):
    return {"auc": auc, "low": auc - reach, "high": min(auc + reach, 1.0)}


def square(share, shows, auc):
    less = {"difference": 0.99 - auc, "low": 0.98 - auc, "high": 1 - auc}
    over = {"mean": auc, "min": auc - 0.01, "max": auc}
    return {"share": share, "shows": shows, **area(auc), "over_seeds": over, "less_than_whole": less}


def calibrated():
    bins = [
        {"low": 0.0, "high": 0.5, "images": 80, "mean_score": 0.2, "observed": 0.1, "observed_low": 0.05,
         "observed_high": 0.2},
        {"low": 0.5, "high": 1.0, "images": 20, "mean_score": 0.8, "observed": 0.75, "observed_low": 0.5,
         "observed_high": 0.9},
    ]  # fmt: skip
    scores = {"brier": 0.1, "brier_low": 0.08, "brier_high": 0.12, "brier_skill": 0.4}
    return scores | {"ece": 0.05, "ece_low": 0.04, "ece_high": 0.09, "bins": bins}


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
    own = {name: {"mean": value, **rate(value)} for name, value in
           (("pointing_game", pointing), ("heat_inside", inside), ("auc", auc))}  # fmt: skip
    if above is not None:
        less = {"difference": above, "low": above - 0.1, "high": above + 0.1}
        own |= {"minus_centre": dict.fromkeys(own, less)}
    return own | {"without_heat": 0}


def rate(value):
    return {"low": value - 0.05, "high": value + 0.05}


HEATMAPS = {
    "recipe": "paper", "window": 32, "stride": 16, "fill": 128,
    "nets": [
        {
            "model": "resnet18",
            "chosen": {"true_positive": 20, "sample": 3},
            "lesions": {
                "images": 20, "patients": 18, "mask_share": 0.18,
                "methods": {
                    "occlusion": located(0.47, 0.39, 0.64, -0.08), "grad_cam": located(0.55, 0.29, 0.7, -0.02),
                    "centre": located(0.01, 0.24, 0.72), "random": located(0.1, 0.18, 0.5, -0.22),
                },
            },
            "lungs": {"images": 0, "skipped": "there is no mask"},
        }
    ],
}  # fmt: skip
CALIBRATION = {"resnet18": calibrated()}


def external(images="elsewhere", model="resnet18", auc=0.55):
    run = {
        "auc": auc, "auc_ci95": rate(auc), "threshold": 0.5, "n_test": {"covid": 348, "non": 100},
        "views": {"AP": {"auc": 0.62, "auc_ci95": rate(0.62), "n_test": {"covid": 160, "non": 22}}},
        "sensitivity": 0.8, "sensitivity_wilson95": rate(0.8),
        "specificity": 0.2, "specificity_wilson95": rate(0.2), **calibrated(),
    }  # fmt: skip
    left_out = {"images": 84, "same_patient": 84, "same_image": 80}
    return {"heads": "phantom", "images": images, "model": model, "left_out": left_out, "recipes": {"paper": run}}

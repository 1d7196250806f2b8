"""What audits find, made up: for tests of what is told of it."""

import pandas as pd

from deepcovid.audits import (
    acquisition,
    audit,
    baselines,
    changed,
    collection,
    enough,
    hidden,
    leakage,
    near_duplicates,
)
from deepcovid.audits.external import External, ExternalRun
from deepcovid.audits.parts import Part
from deepcovid.audits.unseen import LeftOut
from deepcovid.drawing.blocks import Block
from deepcovid.drawing.tables import Table
from deepcovid.heatmaps.localisation import (
    CENTRE,
    GRAD_CAM,
    OCCLUSION,
    RANDOM,
    Located,
    Measures,
    Method,
    NetHeat,
    NotLocated,
)
from deepcovid.statistics.calibration import Bin, Calibration, Calibrations
from deepcovid.statistics.counts import Confusion, Counts
from deepcovid.statistics.estimate import Bounds, Estimate, Headline
from deepcovid.statistics.rates import AtSensitivity, OverSeeds, Rate, RunResult, Spread


def area(auc, reach=0.02):
    return Estimate(value=auc, low=auc - reach, high=min(auc + reach, 1.0))


def square(share, shows, auc):
    less = Estimate(value=0.99 - auc, low=0.98 - auc, high=1 - auc)
    over = audit.AucOverSeeds(mean=auc, min=auc - 0.01, max=auc)
    return hidden.Reached(share=share, shows=shows, auc=area(auc), over_seeds=over, less_than_whole=less)


def known(covid, non=500):
    return Counts(covid=covid, non=non)


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
    return Rate(value=value, patients=bounds, paper=bounds, wilson=bounds)


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


def alarms(pairs, found, expected, at_most):
    """So many false alarms among so many pairs."""
    return near_duplicates.FalseAlarms(
        pairs=pairs,
        found=found,
        per_million=Estimate(value=1e6 * found / pairs, low=0.0, high=2.6),
        expected=Estimate(value=expected, low=0.0, high=at_most),
    )


LEAKAGE = leakage.Leakage(
    images=leakage.Sides(train=384, test=300),
    counts={
        "same_file": leakage.Count(pairs=1, test_images=1),
        "same_pixels": leakage.Count(pairs=1, test_images=1),
        "near_duplicate": leakage.Count(pairs=2, test_images=2),
        "same_patient": leakage.Count(pairs=0, test_images=0),
    },
    leaked={
        "covid": leakage.Leaked(images=1, of=100, patients=1, of_patients=61),
        "non": leakage.Leaked(images=1, of=200, patients=1, of_patients=180),
    },
    near_duplicates=leakage.NearDuplicates(
        by="matched points with one of the 50 training images nearest in resnet18's features",
        search=near_duplicates.Search(
            threshold=46,
            neighbours=50,
            among_neighbours=0.94,
            set_on=168,
            copies=168,
            sensitivity=Estimate(value=0.82, low=0.77, high=0.86),
            kinds={
                "covid": near_duplicates.Kind(false_alarms=alarms(3486, 0, 0.0, 9.2), reached=1),
                "others": near_duplicates.Kind(false_alarms=alarms(2168016, 1, 0.6, 11.2), reached=1),
            },
        ),
    ),
    pairs={
        "phantom-3 and phantom-4": leakage.Pair(
            train="phantom-3",
            test="phantom-4",
            kinds=["near_duplicate"],
            points=60,
            train_label="non",
            test_label="non",
        ),
        "phantom-5 and phantom-2": leakage.Pair(
            train="phantom-5",
            test="phantom-2",
            kinds=["same_file", "same_pixels", "near_duplicate"],
            points=190,
            train_label="covid",
            test_label="covid",
        ),
    },
    pairs_left_out=0,
)
ACQUISITION = acquisition.Acquisition(
    images=known(184),
    together=acquisition.Together(variables=["border", "view"], auc=area(0.97)),
    variables={
        "view": acquisition.Predicted(title="view", columns=["view"], known=known(180), auc=area(0.6)),
        "border": acquisition.Predicted(title="the border", columns=["border_mean"], known=known(184), auc=area(0.91)),
        "age": acquisition.Predicted(
            title="age", columns=["age"], known=known(3), skipped="fewer than 5 patients of covid have it"
        ),
    },
    properties={
        "size": acquisition.Property(
            title="short side, pixels", known=known(184), value="320", having=known(0), auc=0.9
        ),
        "file_format": acquisition.Property(title="format", known=known(0)),
    },
)
BASELINES = baselines.Baselines(
    recipe="paper",
    baselines={
        "sharpness": baselines.Baseline(
            title="three figures of sharpness", kind="hand-made", numbers=3, auc=area(0.96)
        ),
        "untrained-resnet18": baselines.Baseline(
            title="ResNet18, random weights", kind="untrained", numbers=512, auc=area(0.9)
        ),
        "resnet18": baselines.Baseline(
            title="ResNet18, ImageNet weights",
            kind="pipeline",
            numbers=512,
            auc=area(0.99),
            above_best=Estimate(value=0.02, low=-0.01, high=0.05),
        ),
    },
    best=baselines.Best(title="how the image was taken, all together", of=7, auc=area(0.97)),
    short_side=320,
)
HIDDEN = hidden.Hidden(
    recipe="paper",
    told="hidden-0.75",
    nets={
        "resnet18": {
            "whole": square(0.0, "outside", 0.99),
            "hidden-0.5": square(0.5, "outside", 0.97),
            "hidden-0.75": square(0.75, "outside", 0.95),
            "visible-0.5": square(0.5, "inside", 0.93),
        }
    },
)


def located(pointing, inside, auc, above=None):
    less = None if above is None else about(above, 0.1)
    return Method(
        pointing_game=about(pointing),
        heat_inside=about(inside),
        auc=about(auc),
        without_heat=0,
        minus_centre=less and Measures(pointing_game=less, heat_inside=less, auc=less),
    )


HEATMAPS = NetHeat(
    model="resnet18",
    recipe="paper",
    window=32,
    stride=16,
    fill=128,
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
CALIBRATION = Calibrations(recipe="paper", nets={"resnet18": calibrated()})


def external(images="elsewhere", model="resnet18", auc=0.55):
    tested = ExternalRun(
        run=run_result(auc),
        parts={"within AP alone": Part(auc=about(0.62), images=160, others=22, called=100, others_called=11)},
        across={
            "no finding there against no finding here": Part(
                auc=about(0.97), images=20, others=90, called=15, others_called=1
            )
        },
        calibration=calibrated(),
        inside=about(0.95),
        collection=about(0.93),
    )
    left_out = LeftOut(images=84, same_patient=84, same_image=80)
    return External(heads="phantom", images=images, recipe="paper", left_out=left_out, nets={model: {"paper": tested}})


def detector(auc):
    over = audit.AucOverSeeds(mean=auc, min=auc - 0.01, max=auc)
    return collection.Detector(auc=about(auc), over_seeds=over, less_than_covid=about(0.99 - auc, 0.02))


def without_covid(images="elsewhere"):
    one = collection.OfNet(
        covid=detector(0.99),
        collection=detector(0.98),
        healthy=detector(0.97),
        similar=detector(0.6),
        within=about(0.64, 0.06),
    )
    return collection.Collection(
        heads="phantom",
        images=images,
        recipe="paper",
        learned=100,
        healthy=19,
        similar=40,
        left_out=3,
        nets={"resnet18": one},
    )


SHIFT = changed.Shift(images=100, patients=61, before=1.5, change=about(-2.5, 0.5), called_before=85, called=12)
CHANGED = changed.Changed(
    recipe="paper",
    nets={
        "resnet18": changed.OfNet(
            shifts={changed.OTHER_FRAME: SHIFT, changed.LIKE_FRAME: SHIFT.model_copy(update={"called": 80})},
            parts=changed.Parts(images=100, whole=about(5.0), disease=about(1.0), collection=about(4.0)),
        )
    },
)


def found(*tests):
    """What the audits found, by name, with `tests` on other people's images."""
    own = {"leakage": LEAKAGE, "acquisition": ACQUISITION, "baselines": BASELINES, "hidden": HIDDEN, "changed": CHANGED}
    own |= {f"collection/{test.images}": without_covid(test.images) for test in tests}
    return own | {f"external/{test.images}": test for test in tests}


class Machines(audit.Audit):
    """An audit that a test adds: how well the maker of the machine tells the classes apart."""

    auc: float

    def headline(self):
        return Headline(auc=self.auc)

    def ways(self):
        yield enough.Way("maker of the machine", "acquisition", area(self.auc))

    def sentences(self):
        yield f"The machine's maker tells {self.auc:.2f}."

    def blocks(self, step):
        yield Block("What the makers tell.", (step,), table=Table(("maker", "AUC"), [("any", f"{self.auc:.2f}")]))

    def plots(self):
        return {"machines": pd.DataFrame({"auc": [self.auc]})}

"""The rest of params.yaml: how nets run, and what is asked of the scores."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from deepcovid.schema import Strict
from deepcovid.settings.types import Name, Names, OpenShare, Seed, Share, distinct


class Net(Strict):
    """What the pipeline has to know of an architecture.

    Attributes:
        title: The paper's name for it.
        last_layer: Name of the submodule that turns features into the classes it was trained on; a head replaces it.
        last_stage: Name of the last submodule whose output still has places, for Grad-CAM.
        averages: Whether the last layer averages over places itself, so that the mean is to be kept when it goes.
    """

    title: str
    last_layer: str
    last_stage: str
    averages: bool = False


class FeatureSettings(Strict):
    """How the frozen nets run."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:(0|[1-9][0-9]?))?)$")]
    precision: Literal["fp32", "bf16"]
    batch_size: Annotated[int, Field(ge=1, le=4096)]


class EvaluateSettings(Strict):
    """The bootstrap over patients behind every interval over patients."""

    bootstrap_samples: Annotated[int, Field(ge=100, le=10000)]
    bootstrap_seed: Seed


class Detection(Strict):
    """What a head must reach to count as one that detects: both rates, at its recipe's cut-off."""

    sensitivity: Share
    specificity: Share


class LadderSettings(Strict):
    """From the recipe `bottom` to the recipe `top`, a switch at a time, and back.

    Attributes:
        bottom: Recipe of the lowest rung.
        top: Recipe of the highest.
        up: Order of the switches on the way up; those that are not named but differ come last, those that do not
            differ have no rung. On the way down, switches that need the whole net come last, in reverse.
        asides: Recipes beside the ladder, compared with its bottom.
        remedies: Switches that neither recipe sets, with the value that is tried in every combination of the others.
        detection: When a head counts as one that detects.
    """

    bottom: Name
    top: Name
    up: Names
    asides: Annotated[list[Name], AfterValidator(distinct)]
    remedies: dict[str, Any]
    detection: Detection


class AuditSettings(Strict):
    """What the audits share.

    Attributes:
        recipe: Recipe of the heads that the audits and the calibration are about.
        near_duplicate_sensitivity: Share of the augmented copies that is to be found by their originals; it sets from
            how many matched points on a pair is a near-duplicate.
        seed: Seed of all random choices of the audits: weights of untrained nets, partners of changed images, folds.
        hidden_share: The hidden square whose AUC is the headline; each data set's `hiding.hidden` has it.
        calibration_bins: Bins of the reliability curve.
    """

    recipe: Name
    near_duplicate_sensitivity: OpenShare
    seed: Seed
    hidden_share: OpenShare
    calibration_bins: Annotated[int, Field(ge=2, le=100)]


class DialPoints(Strict):
    """Settings of `source.shortcut` and of `source.lesion`; each of one is combined with each of the other."""

    shortcut: Annotated[list[Annotated[float, Field(ge=0, le=2)]], Field(min_length=1), AfterValidator(distinct)]
    lesion: Annotated[list[Share], Field(min_length=1), AfterValidator(distinct)]


class DialSettings(Strict):
    """How the phantoms' dials are turned to read the audits: see deepcovid/audits/dials.py.

    Attributes:
        images: Test set of other patients, all from one collection.
        at: At which settings the audits are read.
        share: Share of the data sets' images that is drawn at each.
    """

    images: Name
    at: DialPoints
    share: Annotated[float, Field(gt=0, le=1)]


class OutlierSettings(Strict):
    """When an image counts as unlike the training images: by its distance from them in feature space.

    Attributes:
        components: Principal axes of the training images' features; what lies off them counts as noise.
        share: Share of the training images that lie beyond the threshold, each measured without its patient's fold.
        folds: Number of folds of that cross-validation by patient.
        seed: Seed of the folds.
    """

    components: Annotated[int, Field(ge=1, le=512)]
    share: OpenShare
    folds: Annotated[int, Field(ge=2, le=20)]
    seed: Seed


class SharedHeatmapSettings(Strict):
    """What the heat maps of all data sets share.

    Attributes:
        recipe: Recipe of the heads whose scores are explained.
    """

    recipe: Name

"""The sections of params.yaml: every knob, its type and its range. The file as a whole is in parameters.py."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PlainSerializer,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from deepcovid.schema import Strict as _Strict

Item = TypeVar("Item")
Group = Literal["covid", "normal", "other"]
Collection = Literal["A", "B"]


def distinct(values: list[Item]) -> list[Item]:
    """Return `values`, which may name each only once."""
    if len(set(values)) < len(values):
        raise ValueError(f"each value may be named once, got {values}")
    return values


Share = Annotated[float, Field(ge=0, le=1)]
OpenShare = Annotated[float, Field(gt=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Names = Annotated[list[Name], Field(min_length=1), AfterValidator(distinct)]
LARGEST = 512  # pixels
# Side of what a net is shown, pixels. Nets halve it up to five times, and audits divide it by 16.
ImageSize = Annotated[int, Field(ge=64, le=LARGEST, multiple_of=16)]

MOST_SEEDS = 1000
MOST_PHANTOMS = 100_000


def counted(seeds: object) -> object:
    """Return the seeds 0 to n - 1 for a number n, and anything else as it is."""
    if not isinstance(seeds, int) or isinstance(seeds, bool):
        return seeds
    if not 2 <= seeds <= MOST_SEEDS:
        raise ValueError(f"write 2 to {MOST_SEEDS} seeds, as a number or as a list")
    return list(range(seeds))


def as_counted(seeds: list[int]) -> int | list[int]:
    """Return how many seeds there are if they are 0 to n - 1, and otherwise the seeds."""
    return len(seeds) if seeds == list(range(len(seeds))) else seeds


# Written as a number where they can be, so that what stages track stays short.
Seeds = Annotated[
    list[Seed],
    Field(min_length=2, max_length=MOST_SEEDS),
    BeforeValidator(counted),
    AfterValidator(distinct),
    PlainSerializer(as_counted),
]


class GroupCounts(_Strict):
    """How many images of each group there are."""

    covid: Annotated[int, Field(ge=0, le=MOST_PHANTOMS)]
    normal: Annotated[int, Field(ge=0, le=MOST_PHANTOMS)]
    other: Annotated[int, Field(ge=0, le=MOST_PHANTOMS)]


class PhantomImages(_Strict):
    """AP radiographs on each side of the published split; images of other views come on top, for the filter to drop."""

    train: GroupCounts
    test: GroupCounts

    @model_validator(mode="after")
    def _no_class_is_empty(self) -> Self:
        for side in ("train", "test"):
            counts: GroupCounts = getattr(self, side)
            non = counts.normal + counts.other
            if bool(counts.covid) != bool(non) or (side == "test" and not non):
                raise ValueError(
                    f"{side} has {counts.covid} images with covid and {non} without; both classes are needed"
                    + (", or none of either" if side == "train" else "")
                )
        return self


class PhantomSource(_Strict):
    """Synthetic radiographs: see deepcovid/sources/phantom.

    Attributes:
        seed: Seed of the patients and their images. Patients of different seeds are different patients.
        height: Height of the drawn images, pixels; the width varies with the patient.
        images: How many there are.
        collections: Where the images of each group come from.
        lesion: Factor on the centimetres of lung that findings fill, and on how much a heart is enlarged; 0 is no
            disease at all.
        shortcut: How differently the two collections process their images; 0 is alike, 1 as much as the paper's two.
        repeat_share: Share of patients with a second and a third image.
        views: Shares of the images.
    """

    kind: Literal["phantom"]
    seed: Seed
    height: Annotated[int, Field(ge=64, le=1024)]
    images: PhantomImages
    collections: dict[Group, Collection]
    lesion: Share
    shortcut: Annotated[float, Field(ge=0, le=2)]
    repeat_share: Share
    views: dict[Literal["AP", "PA", "L", "Axial"], Share]

    def scaled(self, share: float) -> Self:
        """Return the source with a share of its images, at least one where there are any."""

        def fewer(counts: GroupCounts) -> GroupCounts:
            return GroupCounts(**{group: -int(-count * share // 1) for group, count in counts.model_dump().items()})

        images = PhantomImages(train=fewer(self.images.train), test=fewer(self.images.test))
        return self.model_copy(update={"images": images})

    @model_validator(mode="after")
    def _every_group_has_a_collection(self) -> Self:
        missing = [group for group in get_args(Group) if group not in self.collections]
        if missing:
            raise ValueError(f"collections: {missing[0]} has none; name A or B")
        return self

    @model_validator(mode="after")
    def _some_images_are_ap(self) -> Self:
        if self.views.get("AP", 0) < 0.1:
            raise ValueError("views: a share of at least 0.1 must be AP, the view that is counted")
        return self

    @model_validator(mode="after")
    def _views_sum_to_one(self) -> Self:
        if abs(sum(self.views.values()) - 1) > 1e-6:
            raise ValueError(f"the shares of the views must sum to 1, they sum to {sum(self.views.values()):g}")
        return self


class CovidXray5kSource(_Strict):
    """The authors' archive, checked against the published file list."""

    kind: Literal["covid-xray-5k"]


class CohenChexpertSource(_Strict):
    """COVID-19 of covid-chestxray-dataset against a seeded sample of CheXpert's images, at most `chexpert_images`."""

    kind: Literal["cohen-chexpert"]
    chexpert_images: PositiveInt
    seed: Seed


class CohenSource(_Strict):
    """COVID-19 against other findings, both from covid-chestxray-dataset."""

    kind: Literal["cohen"]


class FolderSource(_Strict):
    """A user's own images, a folder or a zip, and a CSV that labels them."""

    kind: Literal["folder"]
    images: str
    table: str


Source = Annotated[
    PhantomSource | CovidXray5kSource | CohenChexpertSource | CohenSource | FolderSource, Field(discriminator="kind")
]


class FilterSettings(_Strict):
    """Which rows of the catalogue go on; `all` keeps every value of that column."""

    views: Literal["all"] | list[str]
    modality: Literal["all"] | list[str]


class Counts(_Strict):
    """Images on each side of the split."""

    train: PositiveInt
    test: PositiveInt


class SplitSettings(_Strict):
    """How images are divided; `scale` takes fewer where there are too few; results/<data set>/split.json says so.

    With `test-only` every image is a test image, and the counts do not matter.
    """

    strategy: Literal["published", "image", "patient", "test-only"]
    seed: Seed
    covid: Counts
    non: Counts
    too_few: Literal["error", "scale"]


class AugmentSettings(_Strict):
    """Copies of COVID training images: the source's own, or generated."""

    source: Literal["published", "generated"]
    copies: NonNegativeInt
    seed: Seed
    flip_probability: Share
    rotation_degrees: Annotated[float, Field(ge=0, le=45)]
    elastic_alpha: NonNegativeFloat
    elastic_sigma: PositiveFloat


class WeightSettings(_Strict):
    """Where a net's weights come from.

    `source` is `imagenet`, `random`, or a folder with a state dict for each net: <model>.pth or <model>.safetensors.
    `imagenet` stands for the weights that a net's authors published; those of xrv_densenet121 are of chest X-rays.
    """

    source: Annotated[str, Field(min_length=1)]
    seed: Seed
    calibration_images: Annotated[int, Field(ge=2, le=256)]


class ReplaySettings(_Strict):
    """How whole nets are trained: `runs` are seeds of the order and the crops, `epochs` caps the recipe's."""

    runs: Annotated[list[Seed], Field(min_length=1), AfterValidator(distinct)]
    epochs: Annotated[int, Field(ge=1, le=10000)]


class HidingSettings(_Strict):
    """Squares in the middle of the image, as shares of its side: blackened, or all that is left; pixels shuffled."""

    hidden: Annotated[list[OpenShare], AfterValidator(distinct)]
    visible: Annotated[list[OpenShare], AfterValidator(distinct)]
    shuffled: bool


class HeatmapImages(_Strict):
    """Which test images get heat maps; each gets them once.

    Attributes:
        true_positives: Of the COVID images that the head detects, all or a seeded sample of so many.
        sample: A seeded sample of so many without COVID-19; and as many of each test set.
        worst: So many false positives with the highest scores, and as many false negatives with the lowest.
        checked: Of the COVID images that the head detects, on so many, each of another patient, it is tested what the
            maps depend on.
        seed: Seed of the samples.
    """

    true_positives: Literal["all"] | NonNegativeInt
    sample: NonNegativeInt
    worst: NonNegativeInt
    checked: NonNegativeInt
    seed: Seed


class HeatmapSettings(_Strict):
    """The grey window that slides over an image (paper, section 4.7), and over which images.

    Attributes:
        window: Side of the window, N in the paper, pixels; at most the data set's image_size.
        stride: From one place of the window to the next, S in the paper, pixels.
        fill: Grey level of the window.
        images: Which images.
    """

    window: Annotated[int, Field(ge=1, le=LARGEST)]
    stride: Annotated[int, Field(ge=1, le=LARGEST)]
    fill: Annotated[int, Field(ge=0, le=255)]
    images: HeatmapImages

    @model_validator(mode="after")
    def _the_window_misses_no_pixel(self) -> Self:
        if self.stride > self.window:
            raise ValueError(
                f"stride is {self.stride}, more than the window's side of {self.window}, so that pixels in between "
                "would never be covered; lower stride or raise window"
            )
        return self


class DatasetSettings(_Strict):
    """One data set, from its source to the seeds of its heads."""

    source: Source
    filter: FilterSettings
    split: SplitSettings
    max_quarantined_share: Share
    image_size: ImageSize
    augment: AugmentSettings
    weights: WeightSettings
    seeds: Seeds
    ladder_seeds: Seeds
    resplits: Seeds
    replay: ReplaySettings
    hiding: HidingSettings
    compared_pairs: PositiveInt
    heatmaps: HeatmapSettings

    @model_validator(mode="after")
    def _the_window_fits_into_the_image(self) -> Self:
        if self.heatmaps.window > self.image_size:
            raise ValueError(
                f"heatmaps.window is {self.heatmaps.window} pixels, more than the image_size of {self.image_size}; "
                "lower the window or raise image_size"
            )
        return self


class Net(_Strict):
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


class FeatureSettings(_Strict):
    """How the frozen nets run."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:(0|[1-9][0-9]?))?)$")]
    precision: Literal["fp32", "bf16"]
    batch_size: Annotated[int, Field(ge=1, le=4096)]


class Adam(_Strict):
    """torch.optim.Adam with its defaults."""

    kind: Literal["adam"]


class Sgd(_Strict):
    """torch.optim.SGD."""

    kind: Literal["sgd"]
    momentum: Annotated[float, Field(ge=0, lt=1)]


class Constant(_Strict):
    """The same learning rate throughout."""

    kind: Literal["constant"]


class Step(_Strict):
    """Multiply the learning rate by `gamma` every `size` epochs, stepping at the start or end of an epoch."""

    kind: Literal["step"]
    size: PositiveInt
    gamma: Annotated[float, Field(gt=0, le=1)]
    stepped: Literal["epoch-start", "epoch-end"]


def without_steps(values: object) -> object:
    """Return a constant schedule without the values of a stepped one, which `-S ...schedule.kind=constant` leaves."""
    if isinstance(values, dict) and values.get("kind") == "constant":
        return {key: value for key, value in values.items() if key == "kind" or key not in Step.model_fields}
    return values


class Recipe(_Strict):
    """Everything that turns images into a head and its decisions; each field is a switch of the ladder."""

    optimiser: Annotated[Adam | Sgd, Field(discriminator="kind")]
    learning_rate: PositiveFloat
    schedule: Annotated[Constant | Step, Field(discriminator="kind"), BeforeValidator(without_steps)]
    epochs: Annotated[int, Field(ge=1, le=10000)]
    batch_size: PositiveInt
    augmented: bool
    sampling: Literal["natural", "balanced"]
    random_crop: bool
    batch_norm: Literal["evaluation", "training"]
    selection: Literal["last-epoch", "best-accuracy"]
    selection_on: Literal["test", "validation"]
    cut_off: Share

    @property
    def whole_net(self) -> bool:
        """Whether the net must run in every epoch, since what it makes of an image changes from one to the next."""
        return self.random_crop or self.batch_norm == "training"

    def changed(self, changes: Mapping[str, Any]) -> "Recipe":
        """Return this recipe with some switches set as `changes` say; they are validated as params.yaml is."""
        return Recipe.model_validate(self.model_dump() | dict(changes))

    def without_cut_off(self) -> "Recipe":
        """Return this recipe with its cut-off set to 0.

        Two recipes that are then equal train the same heads and can share scores.
        """
        return self.model_copy(update={"cut_off": 0.0})


class EvaluateSettings(_Strict):
    """The bootstrap behind the interval of the AUC."""

    bootstrap_samples: Annotated[int, Field(ge=100, le=10000)]
    bootstrap_seed: Seed


class Detection(_Strict):
    """What a head must reach to count as one that detects: both rates, at its recipe's cut-off."""

    sensitivity: Share
    specificity: Share


class LadderSettings(_Strict):
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


class AuditSettings(_Strict):
    """What the audits share.

    Attributes:
        recipe: Recipe of the heads that the audits and the calibration are about.
        near_duplicate_sensitivity: Share of the augmented copies that is to be found by their originals; it sets from
            how many matched points on a pair is a near-duplicate.
        seed: Seed of the random weights of untrained nets.
        hidden_share: The hidden square whose AUC is the headline; each data set's `hiding.hidden` has it.
        calibration_bins: Bins of the reliability curve.
    """

    recipe: Name
    near_duplicate_sensitivity: OpenShare
    seed: Seed
    hidden_share: OpenShare
    calibration_bins: Annotated[int, Field(ge=2, le=100)]


class DialPoints(_Strict):
    """Settings of `source.shortcut` and of `source.lesion`; each of one is combined with each of the other."""

    shortcut: Annotated[list[Annotated[float, Field(ge=0, le=2)]], Field(min_length=1), AfterValidator(distinct)]
    lesion: Annotated[list[Share], Field(min_length=1), AfterValidator(distinct)]


class DialSettings(_Strict):
    """How the phantoms' dials are turned to read the audits: see deepcovid/audits/dials.py.

    Attributes:
        images: Test set of other patients, all from one collection.
        at: At which settings the audits are read.
        share: Share of the data sets' images that is drawn at each.
    """

    images: Name
    at: DialPoints
    share: Annotated[float, Field(gt=0, le=1)]


class OutlierSettings(_Strict):
    """When an image counts as unlike the training images: by its distance from them in feature space.

    Attributes:
        components: Principal axes of the training images' features; what lies off them counts as noise.
        share: Share of the training images that lie beyond the threshold, each measured without its patient's fold.
        folds: Of that cross-validation by patient.
        seed: Seed of the folds.
    """

    components: Annotated[int, Field(ge=1, le=512)]
    share: OpenShare
    folds: Annotated[int, Field(ge=2, le=20)]
    seed: Seed


class SharedHeatmapSettings(_Strict):
    """What the heat maps of all data sets share.

    Attributes:
        recipe: Recipe of the heads whose scores are explained.
    """

    recipe: Name

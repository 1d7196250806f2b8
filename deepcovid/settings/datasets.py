"""The data sets of params.yaml: where images come from, and every value from there to the seeds of heads."""

from typing import Annotated, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from deepcovid.schema import Strict
from deepcovid.settings.types import LARGEST, ImageSize, OpenShare, Seed, Seeds, SeedsOrNone, Share, distinct

Group = Literal["covid", "normal", "other"]
Collection = Literal["A", "B"]
MOST_PHANTOMS = 100_000


class GroupCounts(Strict):
    """How many images of each group there are."""

    covid: Annotated[int, Field(ge=0, le=MOST_PHANTOMS)]
    normal: Annotated[int, Field(ge=0, le=MOST_PHANTOMS)]
    other: Annotated[int, Field(ge=0, le=MOST_PHANTOMS)]


class PhantomImages(Strict):
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


class PhantomSource(Strict):
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


class CovidXray5kSource(Strict):
    """The authors' archive, checked against the published file list."""

    kind: Literal["covid-xray-5k"]


class CohenChexpertSource(Strict):
    """COVID-19 of covid-chestxray-dataset against a seeded sample of CheXpert's images, at most `chexpert_images`."""

    kind: Literal["cohen-chexpert"]
    chexpert_images: PositiveInt
    seed: Seed


class CohenSource(Strict):
    """COVID-19 against other findings, both from covid-chestxray-dataset."""

    kind: Literal["cohen"]


class FolderSource(Strict):
    """A user's own images, a folder or a zip, and a CSV that labels them."""

    kind: Literal["folder"]
    images: str
    table: str


Source = Annotated[
    PhantomSource | CovidXray5kSource | CohenChexpertSource | CohenSource | FolderSource, Field(discriminator="kind")
]


class FilterSettings(Strict):
    """Which rows of the catalogue go on; `all` keeps every value of that column."""

    views: Literal["all"] | list[str]
    modality: Literal["all"] | list[str]


class Counts(Strict):
    """Images on each side of the split."""

    train: PositiveInt
    test: PositiveInt


class SplitSettings(Strict):
    """How images are divided; `scale` takes fewer where there are too few; results/<data set>/split.json says so.

    With `test-only` every image is a test image, and the counts do not matter.
    """

    strategy: Literal["published", "image", "patient", "test-only"]
    seed: Seed
    covid: Counts
    non: Counts
    too_few: Literal["error", "scale"]


class AugmentSettings(Strict):
    """Copies of COVID training images: the source's own, or generated."""

    source: Literal["published", "generated"]
    copies: PositiveInt
    seed: Seed
    flip_probability: Share
    rotation_degrees: Annotated[float, Field(ge=0, le=45)]
    elastic_alpha: NonNegativeFloat
    elastic_sigma: PositiveFloat


class WeightSettings(Strict):
    """Where a net's weights come from.

    `source` is `imagenet`, `random`, or a folder with a state dict for each net: <model>.pth or <model>.safetensors.
    `imagenet` stands for the weights that a net's authors published; those of xrv_densenet121 are of chest X-rays.
    """

    source: Annotated[str, Field(min_length=1)]
    seed: Seed
    calibration_images: Annotated[int, Field(ge=2, le=256)]


class ReplaySettings(Strict):
    """How whole nets are trained: `runs` are seeds of the order and the crops, `epochs` caps the recipe's."""

    runs: Annotated[list[Seed], Field(min_length=1), AfterValidator(distinct)]
    epochs: Annotated[int, Field(ge=1, le=10000)]


class HidingSettings(Strict):
    """Squares in the middle of the image, as shares of its side: blackened, or all that is left; pixels shuffled."""

    hidden: Annotated[list[OpenShare], AfterValidator(distinct)]
    visible: Annotated[list[OpenShare], AfterValidator(distinct)]
    shuffled: bool


class HeatmapImages(Strict):
    """Which test images get heat maps; each gets them once.

    Attributes:
        true_positives: How many of the COVID images that the head detects: all, or a seeded sample of so many.
        sample: A seeded sample of so many without COVID-19; and as many of each test set.
        worst: So many false positives with the highest scores, and as many false negatives with the lowest.
        checked: Number of detected COVID images, each of another patient, on which it is tested what the
            maps depend on.
        seed: Seed of the samples.
    """

    true_positives: Literal["all"] | NonNegativeInt
    sample: NonNegativeInt
    worst: NonNegativeInt
    checked: NonNegativeInt
    seed: Seed


class HeatmapSettings(Strict):
    """The grey window that slides over an image (paper, section 4.7), and over which images.

    Attributes:
        window: Side of the window, N in the paper, pixels; at most the data set's image_size.
        stride: Distance from one place of the window to the next, S in the paper, pixels.
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


class DatasetSettings(Strict):
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
    resplits: SeedsOrNone
    replay: ReplaySettings
    hiding: HidingSettings
    compared_neighbours: PositiveInt
    heatmaps: HeatmapSettings

    @model_validator(mode="after")
    def _the_window_fits_into_the_image(self) -> Self:
        if self.heatmaps.window > self.image_size:
            raise ValueError(
                f"heatmaps.window is {self.heatmaps.window} pixels, more than the image_size of {self.image_size}; "
                "lower the window or raise image_size"
            )
        return self

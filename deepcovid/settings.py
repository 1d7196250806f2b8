"""The schema of params.yaml: every knob, its type and its range."""

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from deepcovid.backbones import BACKBONES
from deepcovid.schema import Strict as _Strict
from deepcovid.schema import checked

Item = TypeVar("Item")
Group = Literal["covid", "normal", "other"]


def _distinct(values: list[Item]) -> list[Item]:
    if len(set(values)) < len(values):
        raise ValueError(f"each value may be named once, got {values}")
    return values


Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Names = Annotated[list[Name], Field(min_length=1), AfterValidator(_distinct)]


class PhantomSource(_Strict):
    """Synthetic radiographs: see deepcovid/phantom."""

    kind: Literal["phantom"]
    seed: Seed
    height: Annotated[int, Field(ge=224, le=1024)]
    patients: dict[Group, NonNegativeInt]
    repeat_share: Share
    views: dict[Literal["AP", "PA", "L", "Axial"], Share]

    @model_validator(mode="after")
    def _there_are_patients(self) -> Self:
        if not sum(self.patients.values()):
            raise ValueError("patients must be more than none")
        return self

    @model_validator(mode="after")
    def _views_sum_to_one(self) -> Self:
        if abs(sum(self.views.values()) - 1) > 1e-6:
            raise ValueError(f"the shares of the views must sum to 1, they sum to {sum(self.views.values()):g}")
        return self


class CovidXray5kSource(_Strict):
    """The authors' archive, checked against the published file list."""

    kind: Literal["covid-xray-5k"]


Source = Annotated[PhantomSource | CovidXray5kSource, Field(discriminator="kind")]


class FilterSettings(_Strict):
    """Which rows of the catalogue go on; `all` keeps every value of that column."""

    views: Literal["all"] | list[str]
    modality: Literal["all"] | list[str]


class Counts(_Strict):
    """Images on each side of the split."""

    train: PositiveInt
    test: PositiveInt


class SplitSettings(_Strict):
    """How images are divided; `scale` takes fewer where there are too few, and says so in the metrics."""

    strategy: Literal["published", "image", "patient"]
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
    """Where a backbone's weights come from.

    `source` is `imagenet`, `random`, or a folder with a state dict for each net: <model>.pth or <model>.safetensors.
    """

    source: Annotated[str, Field(min_length=1)]
    seed: Seed
    calibration_images: Annotated[int, Field(ge=2, le=256)]


class ReplaySettings(_Strict):
    """How whole nets are trained: `runs` are seeds of the order and the crops, `epochs` caps the recipe's."""

    runs: Annotated[list[Seed], Field(min_length=1), AfterValidator(_distinct)]
    epochs: Annotated[int, Field(ge=1, le=10000)]
    precision: Literal["fp32", "bf16"]


class DatasetSettings(_Strict):
    """One data set, from its source to the seeds of its heads."""

    source: Source
    filter: FilterSettings
    split: SplitSettings
    max_quarantined_share: Share
    augment: AugmentSettings
    weights: WeightSettings
    seeds: Annotated[list[Seed], Field(min_length=2), AfterValidator(_distinct)]
    ladder_seeds: Annotated[list[Seed], Field(min_length=2), AfterValidator(_distinct)]
    replay: ReplaySettings


class FeatureSettings(_Strict):
    """How the frozen nets run."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]
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


class Recipe(_Strict):
    """Everything that turns images into a head and its decisions; each field is a switch of the ladder."""

    optimiser: Annotated[Adam | Sgd, Field(discriminator="kind")]
    learning_rate: PositiveFloat
    schedule: Annotated[Constant | Step, Field(discriminator="kind")]
    epochs: Annotated[int, Field(ge=1, le=10000)]
    batch_size: PositiveInt
    augmented: bool
    random_crop: bool
    batch_norm: Literal["evaluation", "training"]
    selection: Literal["last-epoch", "best-accuracy"]
    cut_off: Share

    @property
    def whole_net(self) -> bool:
        """Whether the net must run in every epoch, since what it makes of an image changes from one to the next."""
        return self.random_crop or self.batch_norm == "training"


class EvaluateSettings(_Strict):
    """The bootstrap behind the interval of the AUC."""

    bootstrap_samples: Annotated[int, Field(ge=100, le=10000)]
    bootstrap_seed: Seed


class Detection(_Strict):
    """What a head must reach to count as one that detects: both rates, at its recipe's cut-off."""

    sensitivity: Share
    specificity: Share


class LadderSettings(_Strict):
    """From the recipe `bottom` to the recipe `top`, a switch at a time: `up` in this order, `down` in that.

    Switches that are not named but differ come last; those that do not differ have no rung. `asides` are recipes beside
    the ladder, compared with its bottom.
    """

    bottom: Name
    top: Name
    up: Names
    down: Names
    asides: Annotated[list[Name], AfterValidator(_distinct)]
    detection: Detection


class Settings(_Strict):
    """The whole of params.yaml."""

    datasets: Names
    models: Names
    recipes: Names
    replayed_models: Annotated[list[Name], AfterValidator(_distinct)]
    replays: Annotated[list[Name], AfterValidator(_distinct)]
    dataset: dict[Name, DatasetSettings]
    features: FeatureSettings
    recipe: dict[Name, Recipe]
    ladder: LadderSettings
    evaluate: EvaluateSettings

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        for key, named, known in (
            ("datasets", self.datasets, list(self.dataset)),
            ("models", self.models, list(BACKBONES)),
            ("recipes", self.recipes, list(self.recipe)),
            ("replayed_models", self.replayed_models, list(BACKBONES)),
            ("replays", self.replays, list(self.recipe)),
            ("ladder.bottom", [self.ladder.bottom], list(self.recipe)),
            ("ladder.top", [self.ladder.top], list(self.recipe)),
            ("ladder.asides", self.ladder.asides, list(self.recipe)),
            ("ladder.up", self.ladder.up, list(Recipe.model_fields)),
            ("ladder.down", self.ladder.down, list(Recipe.model_fields)),
        ):
            unknown = [name for name in named if name not in known]
            if unknown:
                raise ValueError(f"{key} names {', '.join(unknown)}; known are {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def _recipes_are_run_where_they_can_be(self) -> Self:
        for name in self.recipes:
            if self.recipe[name].whole_net:
                raise ValueError(
                    f"recipes names {name}, which crops at random or trains BatchNorm and so needs the whole net; "
                    "name it in replays"
                )
        absent = [name for name in self.replayed_models if name not in self.models]
        if absent and self.replays:
            raise ValueError(
                f"replayed_models names {', '.join(absent)}, which models does not, so that nothing gets its weights; "
                "name it in both, or set replays to []"
            )
        for name in self.replays:
            if not self.recipe[name].whole_net:
                raise ValueError(f"replays names {name}, which needs no more than frozen features; name it in recipes")
        return self

    @model_validator(mode="after")
    def _the_ladder_ends_on_frozen_features(self) -> Self:
        if self.recipe[self.ladder.top].whole_net:
            raise ValueError(f"ladder.top names {self.ladder.top}, which needs the whole net; name one that does not")
        return self


def validate(values: Any, origin: str) -> Settings:
    """Check `values`, as read from the file `origin`, against the schema.

    Raises:
        UserError: The first wrong key, by its path, with what is allowed there.
    """
    return checked(Settings, values, origin)

"""The recipes of params.yaml: everything that turns features into a head and its decisions."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt

from deepcovid.schema import Strict
from deepcovid.settings.types import Share


class Adam(Strict):
    """torch.optim.Adam with its defaults."""

    kind: Literal["adam"]


class Sgd(Strict):
    """torch.optim.SGD."""

    kind: Literal["sgd"]
    momentum: Annotated[float, Field(ge=0, lt=1)]


class Constant(Strict):
    """The same learning rate throughout."""

    kind: Literal["constant"]


class Step(Strict):
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


class Recipe(Strict):
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

    @property
    def chooses_on_the_test(self) -> bool:
        """Whether the epoch is chosen on the test images."""
        return self.selection == "best-accuracy" and self.selection_on == "test"

    def changed(self, changes: Mapping[str, Any]) -> "Recipe":
        """Return this recipe with some switches set as `changes` say; they are validated as params.yaml is."""
        return Recipe.model_validate(self.model_dump() | dict(changes))

    def without_cut_off(self) -> "Recipe":
        """Return this recipe with its cut-off set to 0.

        Two recipes that are then equal train the same heads and can share scores.
        """
        return self.model_copy(update={"cut_off": 0.0})

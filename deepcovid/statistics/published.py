"""The schema of reference/published.yaml: what others report, each number with its source."""

from collections import Counter
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveInt, model_validator

from deepcovid.nets.zoo import NETS
from deepcovid.schema import Strict, checked
from deepcovid.settings.types import Name, Names
from deepcovid.statistics.counts import Confusion, Counts

Metric = Literal[
    "auc",
    "accuracy",
    "sensitivity",
    "specificity",
    "at_sensitivity_98.specificity",
    "confusion.tp",
    "confusion.fp",
    "confusion.fn",
    "confusion.tn",
]
# Metrics with bootstrap samples for every net, which give the interval of an average over nets.
AT_98 = "at_sensitivity_98.specificity"
BOOTSTRAPPED = ("auc", AT_98)


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is blank; say what is meant, in words")
    return text


def _known_net(name: str) -> str:
    known = (*NETS, "best", "average")
    if name not in known:
        raise ValueError(f"no such net; known are {', '.join(known)}")
    return name


Text = Annotated[str, AfterValidator(_not_blank)]


class PublishedNumber(Strict):
    """One published number, and what it is of ours.

    `metric` is a key path of a run's metrics; `model` is a net, or `best` or `average` over the nets that were run.
    """

    name: Text
    value: NonNegativeFloat
    metric: Metric
    model: Annotated[str, AfterValidator(_known_net)]
    note: Text | None = None

    @model_validator(mode="after")
    def _value_is_of_its_metric(self) -> Self:
        if self.metric.startswith("confusion."):
            if self.value % 1:
                raise ValueError(f"{self.metric} counts images; {self.value:g} is no whole number")
        elif self.value > 1:
            raise ValueError(f"{self.metric} lies in 0..1, got {self.value:g}; write 98 % as 0.98")
        if self.model in ("best", "average") and self.metric not in BOOTSTRAPPED:
            raise ValueError(f"`{self.model}` over nets is known for {' and '.join(BOOTSTRAPPED)}, not {self.metric}")
        return self


class ImageCounts(Strict):
    """Test images that a number was measured on; `non` is left out where the source does not say."""

    covid: PositiveInt
    non: PositiveInt | None = None

    def fit(self, n_test: Counts) -> bool:
        """Return whether the counts of this test set agree with the published ones."""
        return self.covid == n_test.covid and self.non in (None, n_test.non)


class Group(Strict):
    """Numbers of one source.

    They are set beside our runs on `dataset` under each of `recipes` that was run, and on no other data set.
    """

    source: Text
    dataset: Name
    recipes: Names
    test_images: ImageCounts
    note: Text | None = None
    numbers: Annotated[list[PublishedNumber], Field(min_length=1)]

    @model_validator(mode="after")
    def _numbers_are_told_apart_by_metric_and_net(self) -> Self:
        for (metric, model), times in Counter((number.metric, number.model) for number in self.numbers).items():
            if times > 1:
                raise ValueError(f"numbers holds {times} numbers of {metric} for {model}; one is enough")
        return self


class Published(Strict):
    """The whole of reference/published.yaml."""

    groups: dict[Name, Group]

    def of(self, dataset: str) -> dict[str, Group]:
        """Return the groups whose numbers are set beside runs on `dataset`."""
        return {name: group for name, group in self.groups.items() if group.dataset == dataset}

    def confusions(self, model: str, n_test: Counts) -> dict[str, Confusion]:
        """Return, by group, the confusion matrices that were published of a net on as many test images."""
        found = {}
        for name, group in self.groups.items():
            cells = {
                number.metric.removeprefix("confusion."): int(number.value)
                for number in group.numbers
                if number.model == model and number.metric.startswith("confusion.")
            }
            if len(cells) == 4 and group.test_images.fit(n_test):
                found[name] = Confusion(**cells)
        return found


def validate(values: Any, origin: str) -> Published:
    """Check `values`, as read from the file `origin`, against the schema.

    Raises:
        UserError: The first wrong key, by its path, with what is allowed there.
    """
    return checked(Published, values, origin)

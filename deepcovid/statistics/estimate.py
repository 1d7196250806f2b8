"""The shape of a result: a number with its interval, and the files that hold results.

A file of results is a pydantic model. Its fields are read by name, so that a misspelt one is an error of the program
and a file that does not fit is an error that names the file.
"""

from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import AfterValidator, ValidationError

from deepcovid.errors import UserError
from deepcovid.files import write_json
from deepcovid.schema import Strict
from deepcovid.statistics.intervals import Interval

DIGITS = 6  # after the point, so that files differ only where results do

# A float that is rounded as soon as it is in a result, so that a result equals what is read back from its file. A plain
# `float` keeps every bit.
Number = Annotated[float, AfterValidator(lambda value: round(value, DIGITS))]


class Bounds(Strict):
    """A 95 % interval. What it covers (patients, seeds, images) stands with the field."""

    low: Number
    high: Number

    @classmethod
    def of(cls, interval: Interval) -> Self:
        """Return an interval of deepcovid.statistics.intervals as a result."""
        return cls(low=interval[0], high=interval[1])


class Estimate(Strict):
    """A number and its 95 % interval. What the interval covers (patients, seeds, images) stands with the field."""

    value: Number
    low: Number
    high: Number

    @classmethod
    def of(cls, value: float, interval: Interval) -> Self:
        """Return a number with an interval of deepcovid.statistics.intervals."""
        return cls(value=value, low=interval[0], high=interval[1])


class PairedTest(Strict):
    """A difference of two numbers on the same images or seeds, and the two-sided p-value of its being 0."""

    difference: Estimate
    p_value: Number


class Headline(Strict):
    """What a person compares: the few numbers of one run or one audit, under the same flat keys in every file.

    Attributes:
        auc: Area under the ROC curve of the median head.
        auc_low: Lower end of its interval, a bootstrap over patients.
        auc_high: Upper end.
        sensitivity: Share of COVID images that are called covid, at the recipe's cut-off; of the audit `leakage`, share
            of the augmented copies that are found.
        specificity: Share of the other images that are called non, at the same cut-off.
        tp: COVID images that are called covid.
        fn: COVID images that are called non.
        fp: Other images that are called covid.
        tn: Other images that are called non.
    """

    auc: Number | None = None
    auc_low: Number | None = None
    auc_high: Number | None = None
    sensitivity: Number | None = None
    specificity: Number | None = None
    tp: int | None = None
    fn: int | None = None
    fp: int | None = None
    tn: int | None = None

    @classmethod
    def of(cls, auc: Estimate) -> Self:
        """Return the headline of what has an AUC alone."""
        return cls(auc=auc.value, auc_low=auc.low, auc_high=auc.high)


Model = TypeVar("Model", bound=Strict)


def write_result(path: Path, result: Strict) -> None:
    """Write a result as JSON; fields that are None are left out."""
    write_json(path, result.model_dump(mode="json", exclude_none=True))


def read_result(path: Path, kind: type[Model]) -> Model:
    """Return what `write_result` wrote to `path`, as the model `kind`.

    Raises:
        UserError: The file holds something else.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise UserError(
            f"{path}: not as its stage writes it ({where}: {problem['msg']}); delete it and run `dvc repro`"
        ) from None

"""What every audit offers, so that the page, the README and the metrics need not know which audits there are."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Self, TypeVar

import numpy as np
import pandas as pd

from deepcovid.audits.enough import Way
from deepcovid.audits.reliability import Curves
from deepcovid.drawing.blocks import Block
from deepcovid.drawing.steps import Step
from deepcovid.schema import Strict
from deepcovid.statistics.estimate import Estimate, Headline, Number


class Audit(Strict, ABC):
    """What one audit found, and how that is told. Each audit is a subclass, with its numbers as fields.

    Attributes:
        PER_TEST_SET: Whether the audit runs once for each set of other people's images.
        ABSENT: What to say where the audit has no result.
    """

    PER_TEST_SET: ClassVar[bool] = False
    ABSENT: ClassVar[str] = ""

    @abstractmethod
    def headline(self) -> Headline | dict[str, Headline]:
        """Return the few numbers that people compare, by net where the audit is of nets."""

    @abstractmethod
    def sentences(self) -> Iterable[str]:
        """Yield what the audit found, in sentences."""

    @abstractmethod
    def blocks(self, step: Step) -> Iterable[Block]:
        """Yield the audit's figures and tables; `step` made this result."""

    def meaning(self, step: Step) -> Iterable[Block]:
        """Yield blocks on what the score means, which stand near the top of the page; most audits have none."""
        return ()

    def ways(self) -> Iterable[Way]:
        """Yield what was tried here to tell the classes apart, for the figure that compares the audits."""
        return ()

    def calibrations(self) -> Curves:
        """Return how well nets are calibrated on other images than the data set's own."""
        return {}

    def plots(self) -> dict[str, pd.DataFrame]:
        """Return the tables of the audit's interactive plots, by the name of the plot."""
        return {}


class AucOverSeeds(Strict):
    """How the AUC varies over the heads, one a seed."""

    mean: Number
    min: Number
    max: Number

    @classmethod
    def of(cls, areas: Sequence[float]) -> Self:
        """Return the spread of the heads' AUCs."""
        return cls(mean=float(np.mean(areas)), min=min(areas), max=max(areas))


Kind = TypeVar("Kind", bound=Audit)


def of_kind(found: Mapping[str, Audit], kind: type[Kind]) -> list[Kind]:
    """Return the results of one audit, in order; `found` are results by name."""
    return [audit for audit in found.values() if isinstance(audit, kind)]


def area(auc: Estimate) -> dict[str, float]:
    """Return an AUC as columns of a plot's table."""
    return {"auc": auc.value, "low": auc.low, "high": auc.high}

"""How far each headline depends on which patients are tested, on the split, and on the seed and run of the training."""

from collections.abc import Iterable
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepcovid.schema import Strict
from deepcovid.statistics.comparison import Measured, varying
from deepcovid.statistics.estimate import Number
from deepcovid.statistics.intervals import percentile_interval
from deepcovid.statistics.published import AT_98

HEADLINES = {"auc": "auc", "at_sensitivity_98": AT_98, "sensitivity": "sensitivity", "specificity": "specificity"}


class Source(Strict):
    """How far a number moves while one thing changes and the others stay.

    Attributes:
        deviation: Its standard deviation.
        low: The 2.5 % quantile of its values.
        high: The 97.5 % quantile.
        values: How many values there are.
    """

    deviation: Number
    low: Number
    high: Number
    values: int

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Self:
        """Return the source of two values or more."""
        low, high = percentile_interval(values)
        return cls(deviation=float(np.std(values, ddof=1)), low=low, high=high, values=len(values))


class Sources(Strict):
    """One number of a run.

    Attributes:
        value: That of the head that is shown.
        patients: Other test images, drawn patient by patient (a bootstrap); the head stays.
        splits: Other patients to train on and to test on; the seed stays. None for whole nets, and for nets that are
            not trained on other splits.
        seeds: Other initial weights and, on frozen features, another order of the images. None where there is one.
        runs: Other runs of a whole net, with another order of the images and other crops; the mean over seeds. None
            where there is one.
    """

    value: Number
    patients: Source
    splits: Source | None = None
    seeds: Source | None = None
    runs: Source | None = None


class RunSources(Strict):
    """The headlines of one run; `at_sensitivity_98` is the specificity there."""

    auc: Sources
    at_sensitivity_98: Sources
    sensitivity: Sources
    specificity: Sources

    @property
    def varied(self) -> list[str]:
        """What was varied: names of fields of Sources."""
        return [name for name, part in self.auc if isinstance(part, Source)]


class ChosenOn(Strict):
    """The mean AUC over two halves of the test images, the epoch of the heads being chosen on the same or the other."""

    same: Number
    other: Number


class Uncertainty(Strict):
    """results/<data set>/uncertainty.json: how far the headlines of every run, `<net>-<recipe>`, move.

    Attributes:
        runs: What moves the headlines of each run, under its name.
        chosen_on: What choosing the epoch on the test images changes, for each run that does so.
    """

    runs: dict[str, RunSources]
    chosen_on: dict[str, ChosenOn] = {}

    def on_selection(self) -> str:
        """Return in sentences what it changes that epochs are chosen on the test images; blank if none are."""
        changes = [own.other - own.same for own in self.chosen_on.values()]
        if not changes:
            return ""
        return (
            "Some recipes choose the epoch with the best accuracy on the test images. Here they choose on one half of "
            "them (by patient) and are tested on the other. The AUC then changes by "
            f"{min(changes):+.4f} to {max(changes):+.4f} over {len(changes)} runs on a frozen net, by "
            f"{np.mean(changes):+.4f} on average; in {sum(change == 0 for change in changes)} of them not at all."
        )


def uncertainty(measured: Iterable[Measured], chosen_on: pd.DataFrame) -> Uncertainty:
    """Return what moves the headlines of each run, and how far.

    Args:
        measured: The runs.
        chosen_on: What deepcovid.heads.halves.by_halves returns, with a column model.
    """
    return Uncertainty(
        runs={f"{one.run.model}-{one.run.recipe}": _of_run(one) for one in measured},
        chosen_on={
            f"{row['model']}-{row['recipe']}": ChosenOn(same=row["same"], other=row["other"])
            for row in chosen_on.to_dict("records")
        },
    )


def _of_run(measured: Measured) -> RunSources:
    found = {}
    for name, metric in HEADLINES.items():
        sources = {what: Source.of(values) for what, values in varying(measured, metric).items()}
        found[name] = Sources(value=measured.value(metric), **sources)
    return RunSources(**found)

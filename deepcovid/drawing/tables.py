"""Numbers as text, and text in tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from deepcovid.statistics.estimate import Bounds, Estimate
from deepcovid.statistics.rates import Rate


class Spanning(Protocol):
    """The lowest and the highest of several values."""

    @property
    def min(self) -> float:
        """The lowest."""

    @property
    def max(self) -> float:
        """The highest."""


@dataclass(frozen=True)
class Table:
    """Rows of text under a header; the first `names` columns are names, the others numbers.

    A `breakable` one holds long words, such as hashes and addresses, that may be broken anywhere.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    names: int = 1
    breakable: bool = False


def spread(estimate: Estimate, digits: int = 3) -> str:
    """Return a value and its interval as text."""
    return f"{estimate.value:.{digits}f} ({bounds(estimate, digits)})"


def rate(measure: Rate, digits: int = 3) -> str:
    """Return a rate and its interval over patients as text."""
    return f"{measure.value:.{digits}f} ({bounds(measure.patients, digits)})"


def bounds(interval: Bounds | Estimate, digits: int = 3) -> str:
    """Return an interval as text."""
    return f"{interval.low:.{digits}f} to {interval.high:.{digits}f}"


def spanned(over: Spanning, digits: int = 3) -> str:
    """Return the lowest and the highest of several values as text, or one number if both read alike."""
    low, high = (f"{value:.{digits}f}" for value in (over.min, over.max))
    return low if low == high else f"{low} to {high}"


def signed(difference: Estimate, digits: int = 3) -> str:
    """Return a difference and its interval as text."""
    value, low, high = (f"{one:+.{digits}f}" for one in (difference.value, difference.low, difference.high))
    return f"{value} ({low} to {high})"


def share(value: float) -> str:
    """Return a share as per cent."""
    return f"{100 * value:.0f} %"

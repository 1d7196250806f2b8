"""Numbers as text, and text in tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from deepcovid.statistics.estimate import Bounds, Estimate, PairedTest
from deepcovid.statistics.rates import Rate


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
    """Return a rate and Wilson's interval as text."""
    return f"{measure.value:.{digits}f} ({bounds(measure.wilson, digits)})"


def bounds(interval: Bounds | Estimate, digits: int = 3) -> str:
    """Return an interval as text."""
    return f"{interval.low:.{digits}f} to {interval.high:.{digits}f}"


def difference(test: PairedTest) -> str:
    """Return a paired difference with its interval and its p as text."""
    own = test.difference
    return f"{own.value:+.3f} ({own.low:+.3f} to {own.high:+.3f},\n{p_value(test.p_value)})"


def p_value(p: float) -> str:
    """Return a p-value as text."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def share(value: float) -> str:
    """Return a share as per cent."""
    return f"{100 * value:.0f} %"

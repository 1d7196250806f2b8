"""What one switch does, whatever the order in which the switches are flipped: its Shapley value (Shapley 1953)."""

from collections.abc import Collection, Mapping
from math import factorial

from deepcovid.schema import Strict
from deepcovid.statistics.estimate import Number


class Effect(Strict):
    """What flipping one switch adds.

    Attributes:
        mean: The mean over all orders in which the switches can be flipped.
        min: The least that it adds, over what may have been flipped before it.
        max: The most.
    """

    mean: Number
    min: Number
    max: Number


def effects(values: Mapping[tuple[str, ...], float]) -> dict[str, Effect]:
    """Return the effect of each switch. The means add up to the difference between all flipped and none.

    Args:
        values: What is reached by each combination of the switches that are flipped; all combinations are there.
    """
    reached = {frozenset(combination): value for combination, value in values.items()}
    switches = max(values, key=len)
    return {switch: _effect(switch, switches, reached) for switch in switches}


def _effect(switch: str, switches: Collection[str], reached: Mapping[frozenset[str], float]) -> Effect:
    added = {before: reached[before | {switch}] - reached[before] for before in reached if switch not in before}
    orders = {before: factorial(len(before)) * factorial(len(switches) - len(before) - 1) for before in added}
    mean = sum(orders[before] * value for before, value in added.items()) / factorial(len(switches))
    return Effect(mean=mean, min=min(added.values()), max=max(added.values()))

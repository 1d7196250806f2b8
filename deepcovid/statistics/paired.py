"""Net against net on the same test images."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import combinations

from deepcovid.schema import Strict
from deepcovid.statistics.comparison import Measured
from deepcovid.statistics.estimate import Bounds, Estimate, Number, PairedTest
from deepcovid.statistics.intervals import (
    bootstrap_p_value,
    percentile_interval,
)
from deepcovid.statistics.rates import Mask

# Minaee et al. 2020: SqueezeNet has the highest AUC, ResNet18 close.
HIGHEST, CLOSE, CLAIMED_UNDER = "squeezenet1_0", "resnet18", "paper"


class AucPair(Strict):
    """The AUC of two nets: the median heads' values, and first - second with a paired bootstrap over patients."""

    first: Number
    second: Number
    difference: Estimate


class RatePair(Strict):
    """The share of images of one class that two nets have right.

    Attributes:
        first: The share of the first net.
        second: The share of the second.
        difference: first - second.
        patients: Its interval, a paired bootstrap over patients.
        only_first: Images that the first net alone has right.
        only_second: Images that the second net alone has right.
    """

    first: Number
    second: Number
    difference: Number
    patients: Bounds
    only_first: int
    only_second: int


class SeedPairs(Strict):
    """The difference of AUC, first - second, over the seeds that both nets have."""

    seeds: int
    mean: Number
    min: Number
    max: Number


class Pair(Strict):
    """Two nets under one recipe on the same test images, at the recipe's cut-off."""

    recipe: str
    first: str
    second: str
    auc: AucPair
    sensitivity: RatePair
    specificity: RatePair
    auc_over_seeds: SeedPairs

    @property
    def key(self) -> str:
        """What tells this pair from the others of a data set."""
        return f"{self.recipe}/{self.first}-{self.second}"


class NetsCompared(Strict):
    """results/<data set>/nets.json: the paired differences between all nets under each recipe.

    Attributes:
        compared: How many pairs there are. They are estimates, and none of them is tested.
        claim: The one comparison that is tested, the paper's claim: the AUC of SqueezeNet less that of ResNet18 under
            the paper's recipe; None where one of them was not run.
        pairs: The pairs, each under its `key`.
    """

    compared: int
    claim: PairedTest | None = None
    pairs: dict[str, Pair]


def between_nets(measured: Iterable[Measured]) -> NetsCompared:
    """Return the paired differences between all nets under each recipe.

    Args:
        measured: The runs of one data set.
    """
    by_recipe = defaultdict(list)
    for one in measured:
        by_recipe[one.run.recipe].append(one)
    pairs = [_pair(*two) for runs in by_recipe.values() for two in combinations(runs, 2)]
    return NetsCompared(
        compared=len(pairs),
        claim=_claim({one.run.model: one for one in by_recipe[CLAIMED_UNDER]}),
        pairs={pair.key: pair for pair in pairs},
    )


def _claim(measured: Mapping[str, Measured]) -> PairedTest | None:
    """Return the paper's claim, tested; `measured` has the runs under its recipe by net."""
    if HIGHEST not in measured or CLOSE not in measured:
        return None
    highest, close = measured[HIGHEST], measured[CLOSE]
    draws = highest.draws["auc"] - close.draws["auc"]
    value = highest.value("auc") - close.value("auc")
    return PairedTest(difference=Estimate.of(value, percentile_interval(draws)), p_value=bootstrap_p_value(draws))


def _pair(first: Measured, second: Measured) -> Pair:
    aucs = [one.value("auc") for one in (first, second)]
    draws = first.draws["auc"] - second.draws["auc"]
    over_seeds = (first.by_seed["auc"] - second.by_seed["auc"]).dropna()
    positive = first.run.positive
    right = [one.run.called() == positive for one in (first, second)]
    return Pair(
        recipe=first.run.recipe,
        first=first.run.model,
        second=second.run.model,
        auc=AucPair(
            first=aucs[0],
            second=aucs[1],
            difference=Estimate.of(aucs[0] - aucs[1], percentile_interval(draws)),
        ),
        sensitivity=_rates_apart(right[0][positive], right[1][positive], _apart(first, second, "sensitivity")),
        specificity=_rates_apart(right[0][~positive], right[1][~positive], _apart(first, second, "specificity")),
        auc_over_seeds=SeedPairs(
            seeds=len(over_seeds),
            mean=float(over_seeds.mean()),
            min=float(over_seeds.min()),
            max=float(over_seeds.max()),
        ),
    )


def _apart(first: Measured, second: Measured, metric: str) -> Bounds:
    return Bounds.of(percentile_interval(first.draws[metric] - second.draws[metric]))


def _rates_apart(first_right: Mask, second_right: Mask, patients: Bounds) -> RatePair:
    """Return the shares of images (images of one class) that each net has right."""
    return RatePair(
        first=float(first_right.mean()),
        second=float(second_right.mean()),
        difference=float(first_right.mean() - second_right.mean()),
        patients=patients,
        only_first=int((first_right & ~second_right).sum()),
        only_second=int((second_right & ~first_right).sum()),
    )


def difference_of_auc(pairs: Iterable[Pair], recipe: str, first: str, second: str) -> Estimate | None:
    """Return the AUC of net `first` less that of `second`; None if one was not run."""
    for pair in pairs:
        own = pair.auc.difference
        if (pair.recipe, pair.first, pair.second) == (recipe, first, second):
            return own
        if (pair.recipe, pair.first, pair.second) == (recipe, second, first):
            return Estimate(value=-own.value, low=-own.high, high=-own.low)
    return None

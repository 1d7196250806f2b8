"""Are the maps about what was learned, and about what counts?

Sanity (Adebayo et al. 2018): the head, and then the net's parts from its output to its input, are given random weights
one after another. A map that stays as it was does not depend on what they had learned.

Deletion and insertion (Petsiuk et al. 2018): pixels are taken away from an image, or put into a grey one, the hottest
first. Where a map finds what counts, the score falls fast and rises fast.
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from deepcovid.schema import Strict
from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.statistics.bootstrap import mean_by_patient
from deepcovid.statistics.estimate import Estimate, Number

if TYPE_CHECKING:
    from torch import nn

Maps = NDArray[np.float32]
Margin = NDArray[np.float32]
Measure = Estimate | Number  # a mean over images, with an interval from FEWEST_PATIENTS on

PARTS = 4  # in which a net's weights are made random, from its output to its input
STEPS = 20  # of deletion and insertion
HEAD = "the head"


class Curve(Strict):
    """Mean score while pixels are taken away, or put back, the hottest first: low and high are good, in this order."""

    deletion: Measure
    insertion: Measure


class Sanity(Strict):
    """What the maps depend on.

    Attributes:
        images: How many COVID images that the head detects were looked at.
        patients: Number of their patients.
        correlation: By what has random weights, each with all those before, and by method: the rank correlation with
            the map as it was. None where no map has any heat.
        curves: The curves of each method, under its name.
    """

    images: int
    patients: int
    correlation: dict[str, dict[str, Measure | None]]
    curves: dict[str, Curve]


class Part(NamedTuple):
    """Modules of a net that lie next to each other."""

    name: str
    modules: "list[nn.Module]"


def parts_of(net: "nn.Module") -> list[Part]:
    """Return the net's parts that have weights, PARTS at most, from its output to its input."""
    blocks = _blocks(net)
    while len(blocks) == 1 and _blocks(blocks[0][1]):  # a container of all others is opened
        ((outer, container),) = blocks
        blocks = [(f"{outer}.{name}", block) for name, block in _blocks(container)]
    found = []
    for group in np.array_split(np.arange(len(blocks)), min(PARTS, len(blocks)))[::-1]:
        own = [blocks[number] for number in group]
        name = own[0][0] if len(own) == 1 else f"{own[0][0]} to {own[-1][0]}"
        found.append(Part(name, [block for _, block in own]))
    return found


def _blocks(module: "nn.Module") -> "list[tuple[str, nn.Module]]":
    return [(name, child) for name, child in module.named_children() if next(child.parameters(), None) is not None]


def randomised(
    net: "nn.Module", other: "nn.Module", margin: Margin, seed: int
) -> "Iterator[tuple[str, nn.Module, Margin]]":
    """Yield the net and the head's margin with ever more random weights: the head, then the net's parts.

    Args:
        net: Stays as it is.
        other: The same net with random weights, under which its features are of order one: with weights as layers draw
            them, hardly anything of an image reaches the output of a net without BatchNorm.
        margin: (features), the head's weight of covid less that of non.
        seed: Seed of the random head.
    """
    drawn = np.random.default_rng(seed).normal(0, margin.std(), len(margin)).astype(np.float32)
    yield HEAD, net, drawn
    own = deepcopy(net)
    for part, source in zip(parts_of(own), parts_of(other), strict=True):
        for module, random in zip(part.modules, source.modules, strict=True):
            module.load_state_dict(random.state_dict())
        yield f"and {part.name}", own, drawn


def correlations(maps: Maps, others: Maps) -> NDArray[np.float64]:
    """Return Spearman's rank correlation of each map (images, height, width) with its other.

    It is not a number where one of them is flat.
    """
    return np.array([_rank_correlation(one, two) for one, two in zip(maps, others, strict=True)])


def _rank_correlation(one: Maps, two: Maps) -> float:
    if one.min() == one.max() or two.min() == two.max():
        return np.nan
    return float(spearmanr(one.ravel(), two.ravel()).statistic)


def changed_by_heat(image: NDArray[np.uint8], heat: Maps, fill: int) -> NDArray[np.uint8]:
    """Return an image with ever fewer pixels, the hottest gone first, then a grey one with ever more of them.

    Args:
        image: (height, width, channels).
        heat: (height, width).
        fill: Grey level of what is not there.

    Returns:
        (2, STEPS + 1, height, width, channels): of deletion, from the whole image to a grey one; and of insertion.
    """
    order = np.argsort(-heat.ravel(), kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    shares = np.arange(STEPS + 1) / STEPS
    gone = rank.reshape(heat.shape) < (shares * len(order)).round()[:, None, None]  # (steps, height, width)
    grey = np.uint8(fill)
    return np.stack([np.where(gone[..., None], grey, image), np.where(gone[..., None], image, grey)])


def areas(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean score, in 0..1: the area under scores (..., steps) by trapezoids, the steps being alike."""
    return np.asarray(np.trapezoid(scores, dx=1 / (scores.shape[-1] - 1), axis=-1))


def sanity(values: pd.DataFrame, settings: EvaluateSettings) -> Sanity | None:
    """Return means with intervals of what was measured image by image; None where no image was.

    Args:
        values: A row per image and measure: image_id, patient_id (none blank), measure (deletion, insertion, or
            correlation), what (has random weights, of a correlation), method and value.
        settings: Number and seed of the bootstrap samples.
    """
    if values.empty:
        return None

    def mean(rows: pd.DataFrame) -> Measure | None:
        return mean_by_patient(rows["value"].to_numpy(dtype=np.float64), rows["patient_id"], settings)

    compared = values[values["measure"] == "correlation"]
    found: dict[str, dict[str, Measure | None]] = {}
    for (what, method), rows in compared.groupby(["what", "method"], sort=False):
        found.setdefault(str(what), {})[str(method)] = mean(rows)
    curves = {}
    for method, rows in values[values["measure"] != "correlation"].groupby("method", sort=False):
        deletion, insertion = (mean(rows[rows["measure"] == measure]) for measure in ("deletion", "insertion"))
        if deletion is not None and insertion is not None:
            curves[str(method)] = Curve(deletion=deletion, insertion=insertion)
    return Sanity(
        images=values["image_id"].nunique(),
        patients=values["patient_id"].nunique(),
        correlation=found,
        curves=curves,
    )

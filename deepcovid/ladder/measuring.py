"""What each rung and each combination of switches reaches, and what flipping a switch adds."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd

from deepcovid.heads.scoring import Scores
from deepcovid.ladder.effects import Effect, effects
from deepcovid.ladder.rungs import rungs, subsets
from deepcovid.schema import Strict
from deepcovid.settings.analyses import Detection, LadderSettings
from deepcovid.settings.recipes import Recipe
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.estimate import Estimate, Number
from deepcovid.statistics.intervals import Draws, percentile_interval, wilson_interval
from deepcovid.statistics.rates import Mask, mean_over_units, rates, units_of

MEASURES = ("auc", "sensitivity", "specificity", "predicted_positive", "balanced_accuracy", "collapsed")


class Below(Strict):
    """A rung's mean over its heads less that of the rung below; an aside is compared with the lowest rung.

    The intervals are a bootstrap over patients, the same samples for all rungs.
    """

    auc: Estimate
    balanced_accuracy: Estimate


class RungResult(Strict):
    """What the heads of one rung reach: means with Student's intervals.

    The intervals are over seeds of the initial weights; where a whole net ran several times, over these runs.

    Attributes:
        direction: up, down or aside.
        step: Its number on the path, from 0.
        rung: Its label.
        flipped: Switches that differ from the rung below.
        net: `frozen` for heads on frozen features, `replayed` for the whole net.
        epochs: How long it was trained.
        heads: How many there are; one a seed and run.
        seeds: How many seeds.
        auc: Area under the ROC curve.
        sensitivity: At the recipe's cut-off.
        specificity: At the recipe's cut-off.
        predicted_positive: Test images that are called covid.
        balanced_accuracy: Mean of sensitivity and specificity.
        collapsed: Share of heads that call every test image alike; the interval is Wilson's, over heads.
        detecting_share: Share of heads that detect, as the ladder's `detection` says.
        below: None for the first rung of a path.
    """

    direction: str
    step: int
    rung: str
    flipped: list[str]
    net: str
    epochs: int
    heads: int
    seeds: int
    auc: Estimate
    sensitivity: Estimate
    specificity: Estimate
    predicted_positive: Estimate
    balanced_accuracy: Estimate
    collapsed: Estimate
    detecting_share: Number
    below: Below | None = None

    @property
    def collapsed_heads(self) -> int:
        """How many heads call every test image alike."""
        return round(self.collapsed.value * self.heads)

    @property
    def detecting_heads(self) -> int:
        """How many heads detect."""
        return round(self.detecting_share * self.heads)


class HeadCounts(Strict):
    """How many heads there are under one combination of switches, and how many call every image alike or detect."""

    heads: int
    collapsed: int
    detecting: int

    @classmethod
    def of(cls, heads: pd.DataFrame) -> Self:
        """Count what `of_heads` returned."""
        return cls(heads=len(heads), collapsed=int(heads["collapsed"].sum()), detecting=int(heads["detects"].sum()))


class Effects(Strict):
    """What flipping one switch adds to the heads' mean, over the orders of the switches between bottom and top."""

    auc: Effect
    balanced_accuracy: Effect


class NetLadder(Strict):
    """The ladder of one net.

    Attributes:
        rungs: The rungs, each under its direction and step, such as up-0, in the order of the paths.
        switches: Those whose combinations were tried on frozen features.
        combinations: How many there are.
        detecting: How many of them detect in every seed.
        smallest: The smallest of these, as the switches that they flip.
        frozen_failure: The combination that flips none.
        remedies: The combinations that flip one remedy alone, by the switch and its value.
        effects: What each switch between bottom and top does, under its name.
        detection: What a head must reach to detect.
    """

    rungs: dict[str, RungResult]
    switches: list[str]
    combinations: int
    detecting: int
    smallest: list[list[str]]
    frozen_failure: HeadCounts
    remedies: dict[str, HeadCounts] = {}
    effects: dict[str, Effects] = {}
    detection: Detection


class Ladders(Strict):
    """results/<data set>/ladder.json: the ladder of each net."""

    nets: dict[str, NetLadder]


class Measured(NamedTuple):
    """The ladder of one net, and its combinations as rows of a table: see `combination_rows`."""

    ladder: NetLadder
    combinations: list[dict[str, Any]]


def measured(
    settings: LadderSettings, recipes: dict[str, Recipe], scores: Scores, bootstrap: Bootstrap, replay_epochs: int
) -> Measured:
    """Return the ladder of one net.

    Args:
        settings: The ladder.
        recipes: Recipes under their names.
        scores: Scores under every frozen recipe of the ladder, and under those that were run on the whole net.
        bootstrap: The bootstrap of the test images.
        replay_epochs: Where runs on the whole net ended, at the latest.
    """
    table: dict[str, RungResult] = {}
    positive = bootstrap.positive
    lowest = below = None
    climbed, combined = rungs(settings, recipes, scores), subsets(settings, recipes)
    climbing = dict.fromkeys(rung.recipe for rung in climbed)
    used = dict.fromkeys(chain(climbing, combined.values()))
    # An area takes longer than the rest, and recipes that differ only in their cut-off share it.
    areas = {
        trained: [bootstrap.area(score) for score in scores[trained].to_numpy().T]
        for trained in dict.fromkeys(recipe.without_cut_off() for recipe in used)
    }
    heads = {}
    for recipe in used:
        trained = recipe.without_cut_off()
        heads[recipe] = of_heads(scores[trained], areas[trained], recipe.cut_off, positive, settings.detection)
    # A recipe stands on several rungs, and each is compared with two others: drawn once.
    draws = {
        recipe: drawn(scores[recipe.without_cut_off()], heads[recipe], recipe.cut_off, bootstrap) for recipe in climbing
    }
    for rung in climbed:
        own = heads[rung.recipe]
        lowest = rung.recipe if lowest is None else lowest
        below = lowest if rung.direction == "aside" else below if rung.flipped else None
        table[f"{rung.direction}-{rung.step}"] = RungResult(
            direction=rung.direction,
            step=rung.step,
            rung=rung.label(recipes),
            flipped=list(rung.flipped),
            net="replayed" if rung.recipe.whole_net else "frozen",
            epochs=min(rung.recipe.epochs, replay_epochs) if rung.recipe.whole_net else rung.recipe.epochs,
            heads=len(own),
            seeds=int(own["seed"].nunique()),
            **over_seeds(own, len(positive)),
            detecting_share=float(own["detects"].mean()),
            below=None if below is None else apart(draws[rung.recipe], draws[below]),
        )
        below = rung.recipe
    tried = {subset: heads[recipe] for subset, recipe in combined.items()}
    detecting = [subset for subset, found in tried.items() if found["detects"].all()]
    without_remedies = {subset: own for subset, own in tried.items() if settings.remedies.keys().isdisjoint(subset)}
    auc, balanced_accuracy = (
        effects({subset: float(own[name].mean()) for subset, own in without_remedies.items()})
        for name in ("auc", "balanced_accuracy")
    )
    ladder = NetLadder(
        rungs=table,
        switches=list(list(tried)[-1]),
        combinations=len(tried),
        detecting=len(detecting),
        smallest=[list(subset) for subset in detecting if len(subset) == len(detecting[0])],
        frozen_failure=HeadCounts.of(tried[()]),
        remedies={
            f"{switch}: {value}": HeadCounts.of(tried[switch,])
            for switch, value in settings.remedies.items()
            if (switch,) in tried
        },
        effects={switch: Effects(auc=auc[switch], balanced_accuracy=balanced_accuracy[switch]) for switch in auc},
        detection=settings.detection,
    )
    return Measured(ladder, [{"flipped": " ".join(subset), **combination_row(own)} for subset, own in tried.items()])


def combination_row(heads: pd.DataFrame) -> dict[str, float]:
    """Return the means over heads of one combination of switches, how many heads there are and how many detect."""
    means = {name: float(heads[name].mean()) for name in ("auc", "sensitivity", "specificity", "balanced_accuracy")}
    return {**means, **HeadCounts.of(heads).model_dump()}


def of_heads(
    scores: pd.DataFrame, areas: Sequence[float], cut_off: float, positive: Mask, detection: Detection
) -> pd.DataFrame:
    """Return a row per head of a recipe: its seed, its unit (see units_of), MEASURES and whether it detects.

    Args:
        scores: (images, heads), a column per head.
        areas: (heads), their AUC.
        cut_off: The recipe's.
        positive: (images).
        detection: What a head must reach to detect.
    """
    found = []
    for (name, column), area in zip(scores.items(), areas, strict=True):
        own = rates(positive, column.to_numpy(), cut_off, area)
        detects = int(own.sensitivity >= detection.sensitivity and own.specificity >= detection.specificity)
        measures = {measure: getattr(own, measure) for measure in MEASURES}
        found.append({"seed": int(str(name).split("_")[1])} | measures | {"detects": detects})
    return pd.DataFrame(found).assign(unit=units_of(scores))


def over_seeds(heads: pd.DataFrame, images: int) -> dict[str, Estimate]:
    """Return MEASURES over heads, as RungResult has them, of `images` test images."""
    found = {}
    for measure in MEASURES:
        largest = images if measure == "predicted_positive" else 1.0
        found[measure] = mean_over_units(heads[measure].tolist(), heads["unit"].tolist(), largest)
    collapsed = wilson_interval(int(heads["collapsed"].sum()), len(heads))
    return found | {"collapsed": Estimate.of(float(heads["collapsed"].mean()), collapsed)}


def apart(own: tuple[Draws, Draws], others: tuple[Draws, Draws]) -> Below:
    """Return by how much the heads of one recipe do better than the others, on average; both are of `drawn`."""
    auc, balanced_accuracy = (
        Estimate.of(float(one[0] - two[0]), percentile_interval(one[1:] - two[1:]))
        for one, two in zip(own, others, strict=True)
    )
    return Below(auc=auc, balanced_accuracy=balanced_accuracy)


def drawn(scores: pd.DataFrame, heads: pd.DataFrame, cut_off: float, bootstrap: Bootstrap) -> tuple[Draws, Draws]:
    """Return the mean over heads of AUC and of balanced accuracy: on all test images, then on each bootstrap sample.

    Args:
        scores: (images, heads), a column per head.
        heads: What `of_heads` returned for them.
        cut_off: The recipe's.
        bootstrap: The bootstrap of the images.
    """
    positive, values = bootstrap.positive, scores.to_numpy()
    right = (values >= cut_off) == positive[:, None]
    auc = np.mean([bootstrap.auc(column) for column in values.T], axis=0)
    balanced_accuracy = np.mean([bootstrap.mean(right, side).mean(axis=1) for side in (positive, ~positive)], axis=0)
    return (
        np.append(np.mean(heads["auc"].to_numpy()), auc),
        np.append(np.mean(heads["balanced_accuracy"].to_numpy()), balanced_accuracy),
    )


def rows(ladder: NetLadder, images: int) -> Iterator[dict[str, Any]]:
    """Yield the rungs of one net as rows for a plot: a row per rung and measure, every measure a share."""
    for rung in ladder.rungs.values():
        for name, own, scale in (
            ("AUC", rung.auc, 1),
            ("sensitivity", rung.sensitivity, 1),
            ("specificity", rung.specificity, 1),
            ("predicted positive", rung.predicted_positive, images),
            ("collapsed", rung.collapsed, 1),
        ):
            known = {"direction": rung.direction, "step": rung.step, "rung": rung.rung, "net": rung.net}
            values = {"mean": own.value / scale, "low": own.low / scale, "high": own.high / scale}
            yield known | {"measure": name} | values

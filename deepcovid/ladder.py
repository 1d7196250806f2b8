"""The ladder: from one recipe to another, a switch at a time, and every combination of the switches.

A switch is a key of a recipe. Rungs on frozen features are trained here, all of a net together; those that need the
whole net (`Recipe.whole_net`) are given, and left out where they were not run.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.stats import permutation_test

from deepcovid import heads
from deepcovid.evaluation import Mask, rates, rounded
from deepcovid.intervals import mean_interval, wilson_interval
from deepcovid.scoring import score
from deepcovid.settings import Detection, LadderSettings, Recipe

Scores = dict[Recipe, pd.DataFrame]  # test images by heads, columns seed_<seed> or seed_<seed>_run_<run>
MEASURES = ("auc", "sensitivity", "specificity", "predicted_positive", "balanced_accuracy", "collapsed")
FROZEN = {"random_crop": False, "batch_norm": "evaluation"}
RESAMPLES = 9999  # sign flips of the paired test; with 13 seeds or fewer, all of them


@dataclass(frozen=True)
class Rung:
    """A recipe on the ladder, and by which switches it differs from the rung below (an aside: from the bottom)."""

    direction: str  # up | down | aside
    step: int
    recipe: Recipe
    flipped: tuple[str, ...]

    def label(self, recipes: dict[str, Recipe]) -> str:
        """Return the recipe's name at the start of a path and beside it, else the flipped switches and their values."""
        if self.flipped and self.direction != "aside":
            return ", ".join(f"{switch}: {value_of(self.recipe, switch)}" for switch in self.flipped)
        return next((name for name, recipe in recipes.items() if recipe == self.recipe), f"step {self.step}")


def value_of(recipe: Recipe, switch: str) -> str:
    """Return what a switch is set to, in a word."""
    value = getattr(recipe, switch)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(getattr(value, "kind", value))


def flipped(recipe: Recipe, switches: Iterable[str], to: Recipe) -> Recipe:
    """Return `recipe` with `switches` set as in `to`."""
    return recipe.model_copy(update={switch: getattr(to, switch) for switch in switches})


def differences(one: Recipe, other: Recipe) -> tuple[str, ...]:
    """Return the switches in which two recipes differ."""
    return tuple(name for name in Recipe.model_fields if getattr(one, name) != getattr(other, name))


def rungs(settings: LadderSettings, recipes: dict[str, Recipe], replayed: Iterable[Recipe]) -> list[Rung]:
    """Return the rungs up, down and beside; those that need the whole net only where they were `replayed`."""
    bottom, top, there = recipes[settings.bottom], recipes[settings.top], set(replayed)
    found = []
    for direction, start, end in (("up", bottom, top), ("down", top, bottom)):
        switches, below = getattr(settings, direction), None
        for step in range(len(switches) + 1):
            recipe = flipped(start, switches[:step], end)
            if not recipe.whole_net or recipe in there:
                found.append(Rung(direction, step, recipe, differences(below, recipe) if below else ()))
                below = recipe
    asides = [recipes[name] for name in settings.asides]
    asides = [recipe for recipe in asides if not recipe.whole_net or recipe in there]
    return found + [Rung("aside", step, recipe, differences(bottom, recipe)) for step, recipe in enumerate(asides)]


def subsets(settings: LadderSettings, recipes: dict[str, Recipe]) -> dict[tuple[str, ...], Recipe]:
    """Return every combination of the switches that frozen features allow, flipped at the frozen bottom, small ones
    first."""
    bottom, top = (recipes[name].model_copy(update=FROZEN) for name in (settings.bottom, settings.top))
    switches = [switch for switch in settings.up if switch in differences(bottom, top)]
    chosen = chain.from_iterable(combinations(switches, size) for size in range(len(switches) + 1))
    return {subset: flipped(bottom, subset, top) for subset in chosen}


def train_and_score(
    features: NDArray[np.float32], table: pd.DataFrame, recipes: Iterable[Recipe], seeds: list[int]
) -> Scores:
    """Return the test images' scores under each recipe.

    Recipes of one optimiser and training set train together; such groups share out the processor's cores.

    Args:
        features: (images, features), frozen.
        table: The catalogue (images), with its split.
        recipes: None that needs the whole net.
        seeds: Of the heads.
    """
    groups: dict[Any, list[Recipe]] = {}
    for recipe in dict.fromkeys(recipes):
        groups.setdefault((recipe.augmented, recipe.optimiser, recipe.batch_size), []).append(recipe)
    work = [delayed(_train_group)(np.asarray(features), table, group, seeds) for group in groups.values()]
    return {recipe: scores for part in Parallel(n_jobs=-1)(work) for recipe, scores in part.items()}


def _train_group(features: NDArray[np.float32], table: pd.DataFrame, group: list[Recipe], seeds: list[int]) -> Scores:
    torch.set_num_threads(1)  # the steps are too small to share out; in a process of its own, so each must be told
    in_test = table["split"] == "test"
    in_train = ~in_test & (group[0].augmented | (table["augmentation_of"] == ""))
    train, test = (heads.Data.of(features[rows.to_numpy()], table["label"][rows]) for rows in (in_train, in_test))
    columns = [f"seed_{seed}" for seed in seeds]
    trained = heads.train(train, test, group, seeds)
    values = [score(test.features.numpy(), part.weight.numpy(), part.bias.numpy()) for part in trained]
    return {recipe: pd.DataFrame(part, columns=columns) for recipe, part in zip(group, values, strict=True)}


def measured(settings: LadderSettings, recipes: dict[str, Recipe], scores: Scores, positive: Mask) -> dict[str, Any]:
    """Return the ladder of one net as a table of rungs, and what its combinations of switches reach.

    Args:
        settings: The ladder.
        recipes: By name.
        scores: Of every frozen recipe of the ladder, and of those that were run on the whole net.
        positive: (images), true for covid.

    Returns:
        rungs: Per rung means over seeds with 95 % intervals (Student's t; Wilson's for the share of collapsed heads),
            the share of heads that detect, and `below`: differences from the rung below, over the seeds they share,
            with interval and p of a paired test (sign flips).
        switches, combinations, detecting, smallest: Which switches were combined, how many combinations, how many of
            them detect in every seed, and the smallest of these.
    """
    by_head = {
        recipe: of_heads(table, positive, recipe.cut_off, settings.detection) for recipe, table in scores.items()
    }
    table: list[dict[str, Any]] = []
    below: pd.DataFrame | None = None
    chosen = rungs(settings, recipes, scores)
    for rung in chosen:
        if rung.direction == "aside":
            below = by_head[chosen[0].recipe]
        elif not rung.flipped:
            below = None
        own = by_head[rung.recipe]
        table.append(
            {
                "direction": rung.direction,
                "step": rung.step,
                "rung": rung.label(recipes),
                "flipped": list(rung.flipped),
                "net": "replayed" if rung.recipe.whole_net else "frozen",
                "heads": len(own),
                "seeds": int(own["seed"].nunique()),
                **over_seeds(own),
                "below": None if below is None else paired(own, below),
            }
        )
        below = own
    tried = {subset: bool(by_head[recipe]["detects"].all()) for subset, recipe in subsets(settings, recipes).items()}
    detecting = [subset for subset, detects in tried.items() if detects]
    return rounded(
        {
            "rungs": table,
            "switches": list(list(tried)[-1]),
            "combinations": len(tried),
            "detecting": len(detecting),
            "smallest": [list(subset) for subset in detecting if len(subset) == len(detecting[0])],
        }
    )


def of_heads(scores: pd.DataFrame, positive: Mask, cut_off: float, detection: Detection) -> pd.DataFrame:
    """Return a row per head: its seed, MEASURES and whether it detects."""
    rows = []
    for name in scores:
        own = rates(positive, scores[name].to_numpy(), cut_off)
        both = own["sensitivity"], own["specificity"]
        detects = both[0] >= detection.sensitivity and both[1] >= detection.specificity
        found = own | {"balanced_accuracy": sum(both) / 2}
        rows.append(
            {"seed": int(str(name).split("_")[1]), "detects": int(detects)} | {key: found[key] for key in MEASURES}
        )
    return pd.DataFrame(rows)


def over_seeds(heads: pd.DataFrame) -> dict[str, Any]:
    """Return means over seeds with intervals; runs of one seed are averaged first."""
    by_seed = heads.groupby("seed").mean()
    spread = {}
    for measure in MEASURES:
        largest = np.inf if measure == "predicted_positive" else 1.0
        low, high = mean_interval(by_seed[measure].tolist(), largest=largest)
        spread[measure] = {"mean": float(by_seed[measure].mean()), "low": low, "high": high}
    low, high = wilson_interval(int(heads["collapsed"].sum()), len(heads))
    spread["collapsed"] |= {"low": low, "high": high}
    return spread | {"detecting": float(heads["detects"].mean())}


def paired(own: pd.DataFrame, below: pd.DataFrame) -> dict[str, Any]:
    """Return the mean difference of two rungs over the seeds they share, its interval, and p of a paired test."""
    difference = (own.groupby("seed").mean() - below.groupby("seed").mean()).dropna()
    return {measure: _test(difference[measure].to_numpy()) for measure in ("auc", "balanced_accuracy")}


def _test(difference: NDArray[np.float64]) -> dict[str, float]:
    low, high = mean_interval(difference.tolist(), smallest=-1.0)
    test = permutation_test(
        (difference,), np.mean, permutation_type="samples", vectorized=True, n_resamples=RESAMPLES, rng=0
    )
    return {"difference": float(difference.mean()), "low": low, "high": high, "p": float(test.pvalue)}


def rows(part: dict[str, Any], images: int) -> Iterator[dict[str, Any]]:
    """Yield the rungs of one net as rows for a plot: a row per rung and measure, every measure a share."""
    names = {"auc": "AUC", "predicted_positive": "predicted positive"}
    for rung in part["rungs"]:
        for measure in MEASURES:
            if measure != "balanced_accuracy":
                scale = images if measure == "predicted_positive" else 1
                values = {key: value / scale for key, value in rung[measure].items()}
                known = {key: rung[key] for key in ("direction", "step", "rung", "net")}
                yield known | {"measure": names.get(measure, measure)} | values


def finding(title: str, part: dict[str, Any]) -> str:
    """Return in words, for the net called `title`, what turns collapse into detection."""
    start = part["rungs"][0]
    text = (
        f"{title}: at the foot of the ladder ({start['rung']}, {_net(start)}) {start['collapsed']['mean']:.0%} of "
        f"{start['heads']} heads call every image alike, {start['detecting']:.0%} detect, and the mean AUC is "
        f"{start['auc']['mean']:.3f}. "
    )
    switches = ", ".join(part["switches"])
    tried = f"Of the {part['combinations']} combinations of {switches} on frozen features, "
    tried += f"{part['detecting']} detect in every seed"
    if not part["detecting"]:
        text += f"{tried}."
    elif not part["smallest"][0]:
        text += f"{tried}, and so do the settings of the failed reproduction, with nothing flipped."
    else:
        sets = " or ".join(" with ".join(subset) for subset in part["smallest"])
        kind = "the smallest set" if len(part["smallest"]) == 1 else "the smallest sets"
        text += f"{tried}; {kind} that turns collapse into detection: {sets}."
    for rung in part["rungs"]:
        if rung["direction"] == "aside" and rung["net"] == "replayed":
            text += (
                f" On the whole net, {rung['rung']} (other in {', '.join(rung['flipped'])}) detects in "
                f"{rung['detecting']:.0%} of {rung['heads']} heads, mean AUC {rung['auc']['mean']:.3f}."
            )
    return text


def _net(rung: dict[str, Any]) -> str:
    return "whole net" if rung["net"] == "replayed" else "frozen features"

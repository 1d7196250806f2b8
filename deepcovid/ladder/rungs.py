"""Which recipes make up the ladder: a switch flipped at a time, and every combination of the switches."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, combinations

from deepcovid.settings.analyses import LadderSettings
from deepcovid.settings.recipes import Recipe

FROZEN = {"random_crop": False, "batch_norm": "evaluation"}


@dataclass(frozen=True)
class Rung:
    """A recipe on the ladder, and by which switches it differs from the rung below (an aside: from the lowest rung)."""

    direction: str  # up | down | aside
    step: int
    recipe: Recipe
    flipped: tuple[str, ...]

    def label(self, recipes: dict[str, Recipe]) -> str:
        """Return the flipped switches and their values; at the start of a path and beside it, the recipe's name.

        `recipes` are those that the ladder names. Where the whole net was not run, a path starts on frozen features.
        """
        if self.flipped and self.direction != "aside":
            return ", ".join(f"{switch}: {value_of(self.recipe, switch)}" for switch in self.flipped)
        names = {recipe.model_copy(update=FROZEN): f"{name}, frozen" for name, recipe in recipes.items()}
        names |= {recipe: name for name, recipe in reversed(recipes.items())}
        return names.get(self.recipe, f"step {self.step}")


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
    """Return the rungs up, down and beside; those that need the whole net only where they were `replayed`, at whatever
    cut-off."""
    bottom, top = recipes[settings.bottom], recipes[settings.top]
    there = {recipe.without_cut_off() for recipe in replayed}
    found = []
    for direction, start, end in (("up", bottom, top), ("down", top, bottom)):
        switches, below = _order(settings.up, bottom, top), None
        if direction == "down":  # those that need the whole net last, in reverse
            whole = [switch for switch in switches if switch in FROZEN]
            switches = [switch for switch in switches if switch not in FROZEN] + whole[::-1]
        for step in range(len(switches) + 1):
            recipe = flipped(start, switches[:step], end)
            if not recipe.whole_net or recipe.without_cut_off() in there:
                found.append(Rung(direction, step, recipe, differences(below, recipe) if below else ()))
                below = recipe
    asides = [recipes[name] for name in settings.asides]
    asides = [recipe for recipe in asides if not recipe.whole_net or recipe.without_cut_off() in there]
    foot = found[0].recipe
    return found + [Rung("aside", step, recipe, differences(foot, recipe)) for step, recipe in enumerate(asides)]


def subsets(settings: LadderSettings, recipes: dict[str, Recipe]) -> dict[tuple[str, ...], Recipe]:
    """Return every subset of the switches, smallest first, with the recipe obtained by flipping it on the frozen
    `bottom` recipe. The remedies are switches too."""
    bottom, top = (recipes[name].model_copy(update=FROZEN) for name in (settings.bottom, settings.top))
    top = top.changed(settings.remedies)
    switches = _order(settings.up, bottom, top)
    chosen = chain.from_iterable(combinations(switches, size) for size in range(len(switches) + 1))
    return {subset: flipped(bottom, subset, top) for subset in chosen}


def _order(named: list[str], bottom: Recipe, top: Recipe) -> list[str]:
    """Return the switches in which two recipes differ: those `named` in that order, then any others."""
    differing = differences(bottom, top)
    return sorted(differing, key=lambda switch: named.index(switch) if switch in named else len(named))

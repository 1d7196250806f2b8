"""Which runs there are: a run is a net under a recipe."""

from typing import NamedTuple

from deepcovid.settings import Settings


class Run(NamedTuple):
    """A run, and the score from which on its recipe calls an image covid."""

    model: str
    recipe: str
    cut_off: float


def runs(settings: Settings) -> list[Run]:
    """Return every run of a data set, in the order of params.yaml."""
    return [
        Run(model, recipe, settings.recipe[recipe].cut_off) for model in settings.models for recipe in settings.recipes
    ]

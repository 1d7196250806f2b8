"""Which runs there are, a net under a recipe each, and their scores."""

from itertools import product
from typing import NamedTuple

import pandas as pd

from deepcovid.settings import Settings
from stages import paths


class Run(NamedTuple):
    """A run, and the score from which on its recipe calls an image covid."""

    model: str
    recipe: str
    cut_off: float

    def __str__(self) -> str:
        return f"{self.model}-{self.recipe}"


def runs(settings: Settings) -> list[Run]:
    """Return every run of a data set, in the order of params.yaml; those on the whole net last."""
    pairs = [*product(settings.models, settings.recipes), *product(settings.replayed_models, settings.replays)]
    return [Run(model, recipe, settings.recipe[recipe].cut_off) for model, recipe in pairs]


def read_scores(dataset: str, run: str) -> pd.DataFrame:
    """Return what the train and replay stages wrote: deepcovid.heads.scoring.score_table."""
    path = paths.data(dataset, f"scores/{run}.csv")
    return pd.read_csv(path, dtype={"patient_id": str}, keep_default_na=False)

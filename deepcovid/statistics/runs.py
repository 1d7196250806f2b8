"""One run: the scores of a net under a recipe."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepcovid import catalogue
from deepcovid.errors import UserError
from deepcovid.heads.scoring import heads_of, median_head


@dataclass(frozen=True)
class Run:
    """A net under a recipe, and the scores of its heads.

    Attributes:
        model: The net.
        recipe: The recipe's name; a recipe is of heads on frozen features or of a whole net.
        cut_off: An image is called covid from this score on.
        scores: The table that deepcovid.heads.scoring.score_table returns: a row per test image, a column per head.
    """

    model: str
    recipe: str
    cut_off: float
    scores: pd.DataFrame

    @property
    def heads(self) -> pd.DataFrame:
        """(images, heads), P(covid)."""
        return heads_of(self.scores)

    @cached_property
    def shown(self) -> str:
        """The name of the head whose numbers are shown, the median one: see deepcovid.heads.scoring.median_head."""
        return str(self.heads.columns[median_head(self.heads.to_numpy(), self.positive)])

    @property
    def score(self) -> NDArray[np.float64]:
        """(images), P(covid) of the head that is shown."""
        return self.heads[self.shown].to_numpy()

    @property
    def positive(self) -> NDArray[np.bool_]:
        """(images), true for covid."""
        return catalogue.covid(self.scores).to_numpy()

    def called(self) -> NDArray[np.bool_]:
        """Return (images), whether the head that is shown calls an image covid."""
        return self.score >= self.cut_off

    def in_the_order_of(self, images: pd.Series) -> Self:
        """Return the run with its scores in the order of `images`, names of test images.

        Raises:
            UserError: The run has no score for some image.
        """
        scores = self.scores.set_index("image_id").reindex(images)
        covered = int(heads_of(scores).notna().all(axis=1).sum())
        if covered != len(images):
            raise UserError(
                f"{self.model} under {self.recipe} has scores of {covered} images, there are {len(images)} test "
                "images; run `dvc repro`"
            )
        return replace(self, scores=scores.reset_index())

"""Counts of images, which other packages read without what rates are computed with."""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from deepcovid.schema import Strict


class Confusion(Strict):
    """The images in each cell of the confusion matrix."""

    tp: int
    fp: int
    fn: int
    tn: int


class Counts(Strict):
    """How many images there are of each class."""

    covid: int
    non: int

    @classmethod
    def of(cls, positive: NDArray[np.bool_]) -> Self:
        """Count `positive` (images)."""
        return cls(covid=int(positive.sum()), non=int((~positive).sum()))

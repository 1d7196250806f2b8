"""A Gaussian over features: a few principal axes with variances of their own, and equal noise in all other directions.

This is the model of probabilistic principal component analysis (Tipping and Bishop 1999).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


class Gaussian(NamedTuple):
    """A Gaussian over features.

    Attributes:
        mean: (features,).
        axes: (components, features), the principal axes, orthonormal.
        variances: (components,), along the axes.
        noise: Variance in each direction off the axes.
    """

    mean: Numbers
    axes: Numbers
    variances: Numbers
    noise: float

    def distances(self, features: NDArray[np.floating]) -> Numbers:
        """Return each image's Mahalanobis distance from the mean (images), given `features` (images, features)."""
        centred = features.astype(np.float64) - self.mean
        along = centred @ self.axes.T
        off = centred - along @ self.axes
        return np.sqrt((along**2 / self.variances).sum(axis=1) + (off**2).sum(axis=1) / self.noise)

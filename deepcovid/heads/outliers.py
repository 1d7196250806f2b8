"""Is an image unlike the training images? Its distance from them in feature space is compared with a threshold.

The training features are described by a Gaussian (gaussian.py); the distance is Mahalanobis's.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from deepcovid import catalogue
from deepcovid.errors import UserError
from deepcovid.heads.gaussian import Gaussian
from deepcovid.settings.analyses import OutlierSettings

FLOAT32 = np.finfo(np.float32)  # what features are rounded to


def fit(features: NDArray[np.floating], components: int, seed: int) -> Gaussian:
    """Return the Gaussian of `features` (images, features).

    There are fewer axes than `components` where there are fewer images or features, or where the rest does not vary.
    What does not vary is given the variance of its rounding, so that anything else there is far away.

    Args:
        features: Features of the training images.
        components: Axes.
        seed: Seed of the solver's first guess.
    """
    from sklearn.decomposition import PCA

    images, length = features.shape
    values = features.astype(np.float64)
    rounding = (float(FLOAT32.eps) * max(np.abs(values).max(), float(FLOAT32.tiny))) ** 2
    total = values.var(axis=0, ddof=1).sum() if images > 1 else 0.0
    axes, variances = np.empty((0, length)), np.empty(0)
    if total > length * rounding:
        kept = min(components, images - 1, length)
        found = PCA(kept, svd_solver="arpack" if kept < length else "full", random_state=seed).fit(values)
        varies = found.explained_variance_ > rounding
        axes, variances = found.components_[varies], found.explained_variance_[varies]
    left = (total - variances.sum()) / max(length - len(variances), 1)
    return Gaussian(values.mean(axis=0), axes, variances, float(max(left, rounding)))


def fit_with_threshold(
    features: NDArray[np.floating], table: pd.DataFrame, settings: OutlierSettings
) -> tuple[Gaussian, float]:
    """Return the Gaussian of the training features, and the distance from which on an image is unlike the training's.

    Beyond it lie a share `settings.share` of the training images, each measured by a Gaussian that was fitted without
    its patient: images are further from a Gaussian that has not seen them.

    Args:
        features: (images, features).
        table: Catalogue rows (images).
        settings: What to do.

    Raises:
        UserError: All images are of one patient.
    """
    from sklearn.model_selection import GroupKFold

    patient = catalogue.patients(table)
    if patient.nunique() < 2:
        raise UserError(
            f"the training images are all of the patient {patient.iloc[0]!r}, so that no other can be set beside them; "
            "train on more patients, or leave patients that are not known blank"
        )
    folds = GroupKFold(min(settings.folds, patient.nunique()), shuffle=True, random_state=settings.seed)
    distances = np.empty(len(table))
    with threadpool_limits(1):  # the same bytes on every run; beside other work, threads that wait for each other crawl
        for kept, left_out in folds.split(features, groups=patient):
            others = fit(features[kept], settings.components, settings.seed)
            distances[left_out] = others.distances(features[left_out])
        gaussian = fit(features, settings.components, settings.seed)
    return gaussian, float(np.quantile(distances, 1 - settings.share))

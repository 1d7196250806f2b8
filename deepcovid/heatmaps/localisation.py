"""Does the heat lie where the lesions, or the lungs, are: maps against masks, and against maps that know nothing."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import bootstrap
from sklearn.metrics import roc_auc_score

from deepcovid import catalogue
from deepcovid.errors import UserError
from deepcovid.settings import EvaluateSettings
from deepcovid.statistics.rates import rounded

Maps = NDArray[np.float32]
Masks = NDArray[np.bool_]
Values = NDArray[np.float64]

# Two standard deviations reach from the middle to the edge. The pointing game and the AUC ask only for the order of
# pixels, which is the same at any width; the share of the heat is not.
CENTRE_DEVIATION = 0.25  # of the side


def baselines(images: int, height: int, width: int, seed: int) -> dict[str, Maps]:
    """Return maps that know nothing of the image, (images, height, width) each.

    `centre` is a Gaussian blob in the middle, since that is where chests lie; `random` is uniform noise.
    """
    down, across = (
        np.exp(-0.5 * ((np.arange(side) - (side - 1) / 2) / (CENTRE_DEVIATION * side)) ** 2) for side in (height, width)
    )
    centre = np.broadcast_to(np.outer(down, across).astype(np.float32), (images, height, width))
    return {"centre": centre, "random": np.random.default_rng(seed).random((images, height, width), np.float32)}


def localised(
    maps: Mapping[str, Maps], masks: Masks, patient: pd.Series, seed: int, settings: EvaluateSettings
) -> dict[str, Any]:
    """Return how well maps, and the baselines of `baselines`, find what masks show.

    Args:
        maps: By the name of the method, (images, height, width) each.
        masks: (images, height, width); each has pixels inside and outside.
        patient: (images), for the bootstrap; blank stands for a patient of its own.
        seed: Of the random baseline.
        settings: Of the bootstrap.

    Returns:
        images, patients, mask_share (of the image, which is what chance reaches), and by method: pointing_game,
        heat_inside and auc (see the functions) as mean over images with low and high, a 95 % percentile interval of a
        bootstrap over patients; the same less the centre baseline's, paired, in minus_centre; and without_heat, images
        without positive heat, which heat_inside leaves out. With fewer than two patients there are no intervals, and
        `skipped` says so; without a value, there is no mean.

    Raises:
        UserError: Maps and masks are of different shapes, or a map is not finite.
    """
    for name, own in maps.items():
        if own.shape != masks.shape:
            raise UserError(f"{name}: maps of shape {own.shape} and masks of shape {masks.shape}; make the maps anew")
        if not np.isfinite(own).all():
            raise UserError(f"{name}: a map is not finite; make the maps anew, and look at the scores")
    images, height, width = masks.shape
    names = patient.reset_index(drop=True)
    names = catalogue.named_patients(names, names.index.to_series())
    counts = {"images": images, "patients": int(names.nunique())}
    if not images:
        return counts
    values = {
        name: {measure: np.array([of(*pair) for pair in zip(own, masks, strict=True)]) for measure, of in MEASURES}
        for name, own in {**maps, **baselines(images, height, width, seed)}.items()
    }
    methods: dict[str, Any] = {}
    for name, own_values in values.items():
        methods[name] = {measure: _mean(part, names, settings) for measure, part in own_values.items()}
        methods[name]["without_heat"] = int(np.isnan(own_values["heat_inside"]).sum())
        if name != "centre":
            less = {measure: part - values["centre"][measure] for measure, part in own_values.items()}
            methods[name]["minus_centre"] = {
                measure: _mean(part, names, settings, "difference") for measure, part in less.items()
            }
    found = counts | {"mask_share": float(masks.mean()), "methods": methods}
    if counts["patients"] < 2:
        found["skipped"] = "fewer than two patients, so there are no intervals"
    return rounded(found)


def pointing_game(heat: Maps, mask: Masks) -> float:
    """Return 1 if the map's maximum lies in the mask and 0 if not (Zhang et al. 2018, without their tolerance).

    Where several pixels share the maximum, the share of them in the mask: what one picked by chance would score. Maps
    of windows have such ties.
    """
    return float(mask[heat == heat.max()].mean())


def heat_inside(heat: Maps, mask: Masks) -> float:
    """Return the share of the positive heat that lies in the mask; not a number where there is no positive heat."""
    positive = np.maximum(heat, 0, dtype=np.float64)
    return float(positive[mask].sum() / positive.sum()) if positive.any() else np.nan


def auc(heat: Maps, mask: Masks) -> float:
    """Return the chance that a pixel in the mask is hotter than one outside, ties counting half."""
    return float(roc_auc_score(mask.ravel(), heat.ravel()))


MEASURES = (("pointing_game", pointing_game), ("heat_inside", heat_inside), ("auc", auc))


def _mean(values: Values, names: pd.Series, settings: EvaluateSettings, called: str = "mean") -> dict[str, float]:
    known = ~np.isnan(values)
    if not known.any():
        return {}
    found = {called: float(values[known].mean())}
    by_patient = pd.Series(values[known]).groupby(names[known].to_numpy(), sort=False).agg(["sum", "count"])
    if len(by_patient) > 1:
        interval = bootstrap(
            (by_patient["sum"].to_numpy(), by_patient["count"].to_numpy()),
            lambda total, images, axis: total.sum(axis=axis) / images.sum(axis=axis),
            paired=True,
            vectorized=True,
            n_resamples=settings.bootstrap_samples,
            method="percentile",
            rng=np.random.default_rng(settings.bootstrap_seed),
        ).confidence_interval
        found |= {"low": float(interval.low), "high": float(interval.high)}
    return found

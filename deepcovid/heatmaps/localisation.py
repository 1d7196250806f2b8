"""Does the heat lie where the lesions, or the lungs, are: maps against masks, and against maps that know nothing."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from deepcovid import catalogue
from deepcovid.errors import UserError
from deepcovid.heatmaps.sanity import Measure, Sanity
from deepcovid.schema import Strict
from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.statistics.bootstrap import mean_by_patient
from deepcovid.statistics.estimate import Number

Maps = NDArray[np.float32]
Masks = NDArray[np.bool_]
Values = NDArray[np.float64]

# Two standard deviations reach from the middle to the edge. The pointing game and the AUC ask only for the order of
# pixels, which is the same at any width; the share of the heat is not.
CENTRE_DEVIATION = 0.25  # of the side


OCCLUSION, GRAD_CAM, CENTRE, RANDOM = "occlusion", "grad_cam", "centre", "random"


class Measures(Strict):
    """The measures of one kind of map: see the functions of the same names.

    `heat_inside` is None where no image has any positive heat.
    """

    pointing_game: Measure
    heat_inside: Measure | None = None
    auc: Measure


class Method(Measures):
    """How well one kind of map finds what the masks show.

    Attributes:
        without_heat: Images whose map has no positive heat; `heat_inside` leaves them out.
        minus_centre: The measures less those of the blob in the centre, image by image; None for that blob itself.
    """

    without_heat: int
    minus_centre: Measures | None = None


class Located(Strict):
    """How well the maps of a net find one kind of place.

    Attributes:
        images: How many images were measured.
        patients: How many patients they are of.
        mask_share: The masks' mean share of the image, which is what chance reaches.
        methods: What each kind of map reaches, under its name.
    """

    images: int
    patients: int
    mask_share: Number
    methods: dict[str, Method]


class NotLocated(Strict):
    """Why nothing was measured."""

    skipped: str


class NetHeat(Strict):
    """results/<data set>/heatmaps/<net>.json: whether a net's heat lies where the lesions, or the lungs, are.

    Attributes:
        model: The net.
        recipe: The recipe of its head.
        window: Side of the occluding window, pixels.
        stride: Distance from one place of the window to the next, pixels.
        fill: Grey level of the window, 0..255.
        chosen: How many images were chosen, by why.
        lesions: Whether the heat lies in the lesions.
        lungs: Whether it lies in the lungs.
        sanity: What the maps depend on; None where no image was looked at.
    """

    model: str
    recipe: str
    window: int
    stride: int
    fill: int
    chosen: dict[str, int]
    lesions: Located | NotLocated
    lungs: Located | NotLocated
    sanity: Sanity | None = None


def baselines(images: int, height: int, width: int, seed: int) -> dict[str, Maps]:
    """Return maps that know nothing of the image, (images, height, width) each.

    `centre` is a Gaussian blob in the middle, since that is where chests lie; `random` is uniform noise.
    """
    down, across = (
        np.exp(-0.5 * ((np.arange(side) - (side - 1) / 2) / (CENTRE_DEVIATION * side)) ** 2) for side in (height, width)
    )
    centre = np.broadcast_to(np.outer(down, across).astype(np.float32), (images, height, width))
    return {CENTRE: centre, RANDOM: np.random.default_rng(seed).random((images, height, width), np.float32)}


def localised(
    maps: Mapping[str, Maps], masks: Masks, patient: pd.Series, seed: int, settings: EvaluateSettings
) -> Located:
    """Return how well maps, and the baselines of `baselines`, find what masks show.

    Args:
        maps: Maps of each method, (images, height, width), under its name.
        masks: (images, height, width), at least one; each has pixels inside and outside.
        patient: (images), for the bootstrap; blank stands for a patient of its own.
        seed: Seed of the random baseline.
        settings: Number and seed of the bootstrap samples.

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
    values = {
        name: {measure: np.array([of(*pair) for pair in zip(own, masks, strict=True)]) for measure, of in MEASURES}
        for name, own in {**maps, **baselines(images, height, width, seed)}.items()
    }
    methods = {}
    for name, own_values in values.items():
        less = {measure: part - values[CENTRE][measure] for measure, part in own_values.items()}
        methods[name] = Method(
            **_means(own_values, names, settings),
            without_heat=int(np.isnan(own_values["heat_inside"]).sum()),
            minus_centre=None if name == CENTRE else Measures(**_means(less, names, settings)),
        )
    patients = int(names.nunique())
    return Located(
        images=images,
        patients=patients,
        mask_share=float(masks.mean()),
        methods=methods,
    )


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


def _means(values: Mapping[str, Values], names: pd.Series, settings: EvaluateSettings) -> dict[str, Any]:
    return {measure: mean_by_patient(part, names, settings) for measure, part in values.items()}

"""From path lengths to a greyscale image: Beer-Lambert attenuation, scatter, quantum noise, display."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from deepcovid.sources.phantom.anatomy import FIELD_HEIGHT, Chest, Map
from deepcovid.sources.phantom.lesions import texture

# Linear attenuation in 1/cm at about 60 keV: water 0.206 (NIST XCOM); inflated lung at a quarter of its density;
# cortical bone 0.58.
SOFT_TISSUE, LUNG, BONE = 0.206, 0.053, 0.58
SCATTER_REACH = 2.5  # cm, spread of the scattered radiation
# Scatter over primary, and photons per pixel in the open beam: a bedside AP image has no grid and less dose.
SCATTER = {"AP": 0.9, "PA": 0.4, "L": 0.6, "Axial": 0.0}
PHOTONS = {"AP": 2.0e4, "PA": 6.0e4, "L": 6.0e4, "Axial": 5.0e5}


@dataclass(frozen=True)
class Exposure:
    """How one image was taken and shown.

    Attributes:
        dose: Photons relative to the view's usual number.
        window: Percentiles of the log image shown as black and as white.
        gamma: Exponent of the display curve.
        blur: Standard deviation of the detector's blur, pixels.
    """

    dose: float
    window: tuple[float, float]
    gamma: float
    blur: float


def image(rng: np.random.Generator, chest: Chest, view: str, exposure: Exposure) -> NDArray[np.uint8]:
    """Return the radiograph of `chest` as uint8 (height, width), bright where more is absorbed."""
    vessels = 1 + 0.05 * texture(rng, chest.lung.shape, 1.2) + 0.06 * texture(rng, chest.lung.shape, 5.0)
    lung = chest.lung * vessels.astype(np.float32)
    soft = np.maximum(chest.tissue - lung - chest.bone, 0)
    primary = np.exp(-(SOFT_TISSUE * soft + LUNG * lung + BONE * chest.bone))
    reach = SCATTER_REACH * chest.lung.shape[0] / FIELD_HEIGHT
    total = primary + SCATTER[view] * gaussian_filter(primary, reach, truncate=3.0)
    photons = gaussian_filter(total, exposure.blur) * PHOTONS[view] * exposure.dose
    counted = photons + np.sqrt(photons) * rng.standard_normal(photons.shape, dtype=np.float32)
    return _display(-np.log(np.maximum(counted, 1.0)), exposure)


def _display(logarithm: Map, exposure: Exposure) -> NDArray[np.uint8]:
    black, white = np.percentile(logarithm, exposure.window)
    shown = np.clip((logarithm - black) / (white - black), 0, 1) ** exposure.gamma
    return np.round(255 * shown).astype(np.uint8)

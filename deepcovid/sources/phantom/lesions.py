"""Findings with a known place, as centimetres of lung path that they fill.

COVID-19 as the radiology literature describes it (and the paper's introduction): bilateral, multifocal, peripheral
and basal ground-glass opacities. Other disease: what CheXpert's labels name most.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import expit

from deepcovid.sources.phantom.anatomy import Chest, Map, ellipsoid

OTHER_FINDINGS = ("Consolidation", "Pleural Effusion", "Cardiomegaly", "Lung Lesion")
VISIBLE = 0.3  # cm of filled lung from which a lesion counts as visible in the mask


def texture(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> Map:
    """Return smooth noise of mean 0 and standard deviation 1; `scale` is its grain in pixels."""
    noise = gaussian_filter(rng.standard_normal(shape, dtype=np.float32), scale)
    return (noise - noise.mean()) / noise.std()


def covid(rng: np.random.Generator, chest: Chest, severity: float) -> Map:
    """Return patchy opacities on both sides, more of them and denser with `severity` (0 to 1)."""
    weight = np.where(chest.lung > 2.0, 0.02 + chest.periphery**2 * (1 + 2 * (chest.y > 0)), 0)
    lesion = np.zeros_like(chest.lung)
    for side in (chest.x < 0, chest.x > 0):
        for row, column in _places(rng, weight * side, 4 + rng.poisson(1 + 4 * severity)):
            dx, dy = chest.x - chest.x[row, column], chest.y - chest.y[row, column]
            radius, stretch = rng.uniform(1.8, 3.8), rng.uniform(0.7, 1.5)
            spot = np.exp(-((((dx / stretch) ** 2 + (dy * stretch) ** 2) / (radius**2)) ** 1.5))
            lesion += spot * rng.uniform(2.0, 4.0) * (0.6 + severity)
    # Patchy at the scale of lobules, with the fine net of thickened septa in it ("crazy paving").
    grain = 0.35 * texture(rng, lesion.shape, 3.0) + 0.5 * texture(rng, lesion.shape, 1.3)
    return np.minimum(lesion * np.clip(1 + grain, 0.05, None), 0.85 * chest.lung).astype(np.float32)


def consolidation(rng: np.random.Generator, chest: Chest, severity: float) -> Map:
    """Return one dense lobe, bounded by a fissure."""
    side = rng.choice([-1, 1])
    slope, level = rng.uniform(-0.25, 0.25), rng.uniform(-3.0, 2.0)
    beyond = (chest.y - level - slope * chest.x) * rng.choice([-1, 1])
    lobe = (chest.x * side > 0) * expit(beyond / 0.25) * np.exp(-((beyond - 2.5) ** 2) / 14.0)
    patchy = np.clip(1 + 0.2 * texture(rng, chest.lung.shape, 4.0), 0.2, None)
    return np.minimum(lobe * patchy * (0.35 + 0.5 * severity), 0.9).astype(np.float32) * chest.lung


def effusion(rng: np.random.Generator, chest: Chest, severity: float) -> Map:
    """Return fluid that fills a lung from below and climbs its outer wall."""
    side = rng.choice([-1, 1])
    level = 5.5 - 5.0 * severity - 0.06 * np.clip(np.abs(chest.x) - 5, 0, None) ** 2
    fluid = (chest.x * side > 0) * expit((chest.y - level) / 0.3)
    return (0.95 * fluid * chest.lung).astype(np.float32)


def nodules(rng: np.random.Generator, chest: Chest, severity: float) -> Map:
    """Return a few round nodules anywhere in the lungs."""
    lesion = np.zeros_like(chest.lung)
    for row, column in _places(rng, (chest.lung > 3.0).astype(np.float32), 1 + rng.poisson(3 * severity)):
        radius = rng.uniform(0.5, 1.4)
        ball = ellipsoid(chest.x - chest.x[row, column], chest.y - chest.y[row, column], (radius, radius, radius))
        lesion = np.maximum(lesion, 1.6 * ball)
    return np.minimum(lesion, chest.lung)


def mask_of(lesion: Map) -> NDArray[np.bool_]:
    """Return where a lesion is visible."""
    return lesion > VISIBLE


def _places(rng: np.random.Generator, weight: Map, count: int) -> list[tuple[int, int]]:
    """Return `count` pixels drawn by weight; none where the weight is zero everywhere."""
    total = np.cumsum(weight.ravel(), dtype=np.float64)
    if total[-1] <= 0:
        return []
    chosen = np.searchsorted(total, rng.uniform(0, total[-1], count))
    return [divmod(int(place), weight.shape[1]) for place in chosen]

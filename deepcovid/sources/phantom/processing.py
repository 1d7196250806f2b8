"""How a collection treats its images after the exposure: sharpening, grey curve, border, marker, writing, size, JPEG.

Collection B is the archive of one hospital: a few machines, one way of processing. Collection A is harvested from many
places, so that each of its images was processed once more, each in its own way. The dial `shortcut` is how much: at 0
the images of A are treated as those of B, at 1 the two differ about as much as the paper's two collections do (see
docs/phantom.md), at 2 twice as much.
"""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

from deepcovid.settings.datasets import Collection

SHARPENING_RADIUS, CONTRAST_RADIUS = 1.0, 6.0  # pixels
QUALITY = 92  # of JPEG, where nothing made it worse


@dataclass(frozen=True)
class Machine:
    """What a machine does to all its images.

    Attributes:
        blur: Standard deviation of the detector's blur, pixels.
        dose: Photons relative to the view's usual number.
        gamma: Exponent of its grey curve.
        sharpening: Amount of its unsharp mask.
    """

    blur: float
    dose: float
    gamma: float
    sharpening: float


MACHINES = (
    Machine(blur=0.45, dose=1.0, gamma=1.0, sharpening=0.2),
    Machine(blur=0.60, dose=1.4, gamma=0.92, sharpening=0.35),
    Machine(blur=0.55, dose=0.8, gamma=1.08, sharpening=0.1),
    Machine(blur=0.40, dose=0.6, gamma=1.0, sharpening=0.0),
)


@dataclass(frozen=True)
class Processing:
    """What is done to one image.

    Attributes:
        sharpening: Amount of an unsharp mask with a small radius.
        contrast: Amount of one with a large radius, which raises local contrast.
        gamma: Exponent of the grey curve.
        border: Width of a black border, share of the side; it covers what the image showed there.
        marker: Whether a letter says which side is which.
        writing: Whether a line of text stands in a lower corner.
        size: Stored size relative to the drawn one.
        quality: Quality of the JPEG file, 1 to 95.
    """

    sharpening: float
    contrast: float
    gamma: float
    border: float
    marker: bool
    writing: bool
    size: float
    quality: int


def drawn(rng: np.random.Generator, machine: Machine, collection: Collection, shortcut: float) -> Processing:
    """Return how one image is processed; the same `rng` draws the same numbers whatever the dial says."""
    own = {
        "sharpening": machine.sharpening * rng.uniform(0.6, 1.4),
        "gamma": machine.gamma * np.exp(rng.normal(0, 0.05)),
        "size": 1.0,
        "quality": float(QUALITY),
    }
    again = {
        "sharpening": rng.uniform(1.4, 2.4),
        "contrast": rng.uniform(0.12, 0.42),
        "gamma": np.exp(rng.normal(-0.15, 0.1)),
        "size": rng.uniform(0.85, 1.3),
        "quality": rng.uniform(55.0, 90.0),
    }
    odds = {"border": 0.05, "marker": 0.5, "writing": 0.02}
    more = {"border": 0.10, "marker": 0.10, "writing": 0.06}
    strength = shortcut if collection == "A" else 0.0
    chance = {name: rng.random() < odds[name] + strength * more[name] for name in odds}
    return Processing(
        sharpening=own["sharpening"] + strength * again["sharpening"],
        contrast=strength * again["contrast"],
        gamma=own["gamma"] * again["gamma"] ** strength,
        border=rng.uniform(0.01, 0.05) * chance["border"],
        marker=chance["marker"],
        writing=chance["writing"],
        size=own["size"] * again["size"] ** strength,
        quality=int(np.clip(own["quality"] + strength * (again["quality"] - own["quality"]), 10, 95)),
    )


def processed(pixels: NDArray[np.uint8], processing: Processing) -> NDArray[np.uint8]:
    """Return an image, uint8 (height, width), as its collection stores it, in its stored size."""
    grey = pixels.astype(np.float32) / 255
    sharpened = grey + processing.sharpening * (grey - gaussian_filter(grey, SHARPENING_RADIUS))
    if processing.contrast:
        sharpened += processing.contrast * (grey - gaussian_filter(grey, CONTRAST_RADIUS))
    shown = np.clip(sharpened, 0, 1) ** processing.gamma
    image = Image.fromarray(np.round(255 * shown).astype(np.uint8))
    _write_on(image, processing)
    return np.asarray(image.resize(stored_size(image.size, processing), Image.Resampling.BICUBIC))


def stored_size(size: tuple[int, int], processing: Processing) -> tuple[int, int]:
    """Return width and height in which an image of `size` is stored."""
    width, height = (max(round(length * processing.size), 1) for length in size)
    return width, height


def jpeg(pixels: NDArray[np.uint8], processing: Processing) -> bytes:
    """Return the file of an image, uint8 (height, width)."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=processing.quality)
    return stream.getvalue()


def _write_on(image: Image.Image, processing: Processing) -> None:
    """Draw border, marker and writing: at the edge, outside the body."""
    draw, (width, height) = ImageDraw.Draw(image), image.size
    border = round(processing.border * height)
    if border:
        draw.rectangle((0, 0, width - 1, height - 1), outline=0, width=border)
    font = ImageFont.load_default(max(height // 14, 8))
    if processing.marker:
        draw.text((border + 0.03 * width, border + 0.02 * height), "R", fill=255, font=font)
    if processing.writing:
        draw.text((width - border, height - border), "AP 1", fill=230, font=font, anchor="rs")

"""Images with a centred square blackened, or with nothing but that square left (Maguolo and Nanni 2021).

And images with their pixels shuffled, which leaves the grey levels and nothing else (Ong Ly et al. 2024).
"""

import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepcovid.settings.datasets import HidingSettings

Pixels = NDArray[np.uint8]


class Square(NamedTuple):
    """A centred square of `share` of the image's side.

    `shows` is what is left of the image: what is outside or inside the square, or its pixels, shuffled.
    """

    share: float
    shows: str

    @property
    def key(self) -> str:
        """The square's name among results: whole (nothing is hidden), hidden-0.75, visible-0.5 or shuffled."""
        if self == WHOLE:
            return "whole"
        if self == SHUFFLED:
            return "shuffled"
        return f"{'hidden' if self.shows == 'outside' else 'visible'}-{self.share:g}"


WHOLE = Square(0.0, "outside")  # nothing is hidden
SHUFFLED = Square(1.0, "shuffled")


def squares(settings: HidingSettings) -> list[Square]:
    """Return the squares of a sweep, in the order in which their features are kept."""
    return [
        *(Square(share, "outside") for share in settings.hidden),
        *(Square(share, "inside") for share in settings.visible),
        *([SHUFFLED] if settings.shuffled else []),
    ]


def hide(images: Pixels, square: Square) -> Pixels:
    """Return a copy of images (batch, height, width, channels) with what `square` does not show set to black, 0.

    Pixels are shuffled by an order that is drawn for each image, from a seed that is made of its bytes.
    """
    if square == SHUFFLED:
        return np.stack([_shuffled(image) for image in images])
    height, width = images.shape[1:3]
    top, left = (round(side * (1 - square.share) / 2) for side in (height, width))
    inside = np.s_[:, top : height - top, left : width - left]
    if square.shows == "outside":
        hidden = images.copy()
        hidden[inside] = 0
    else:
        hidden = np.zeros_like(images)
        hidden[inside] = images[inside]
    return hidden


def _shuffled(image: Pixels) -> Pixels:
    pixels = image.reshape(-1, image.shape[-1])
    order = np.random.default_rng(zlib.crc32(image.tobytes())).permutation(len(pixels))
    return pixels[order].reshape(image.shape)

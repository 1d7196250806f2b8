"""Images at the size that nets see, with Pillow's bilinear, antialiased resampling, which is torchvision's too."""

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Framing = Callable[[Image.Image], Image.Image]


def resize(size: int) -> Framing:
    """Return the framing that resizes an image's short side to `size` pixels and keeps its proportions.

    It gives the same pixels as torchvision's `Resize`. torchvision is not used because it takes seconds to import.
    """

    def framing(picture: Image.Image) -> Image.Image:
        short, long = sorted(picture.size)
        scaled = int(size * long / short)
        target = (size, scaled) if picture.width <= picture.height else (scaled, size)
        return picture.resize(target, Image.Resampling.BILINEAR)

    return framing


def resize_and_crop(size: int) -> Framing:
    """Return the framing of images for nets: like `resize`, then a centred square of `size` x `size` pixels is cut out.

    It gives the same pixels as torchvision's `Resize` and `CenterCrop`.
    """

    def framing(picture: Image.Image) -> Image.Image:
        whole = resize(size)(picture)
        left, top = round((whole.width - size) / 2), round((whole.height - size) / 2)
        return whole.crop((left, top, left + size, top + size))

    return framing


def saved_alike(short_side: int, framing: Framing) -> Framing:
    """Return a framing that first removes differences in how images were stored, as far as possible.

    If an image's short side is longer than `short_side` pixels, it is reduced to that; smaller images keep their size.
    Each image is then saved as JPEG, in Pillow's standard quality, and read again. Then `framing` is applied.
    """

    def equalise(picture: Image.Image) -> Image.Image:
        small = resize(short_side)(picture) if min(picture.size) > short_side else picture
        stream = io.BytesIO()
        small.save(stream, "JPEG")
        return framing(Image.open(stream))

    return equalise


def resized(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Resize square images to uint8 (images, size, size, channels). Images of that size stay as they are.

    Args:
        images: uint8 (images, side, side, 1 or 3).
        size: Side of the images that are returned, pixels.
    """
    if images.shape[1:3] == (size, size):
        return images
    framing = resize(size)
    pictures = [framing(Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)) for image in images]
    return np.stack([np.atleast_3d(np.asarray(picture)) for picture in pictures])

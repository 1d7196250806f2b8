"""Images changed in one respect: what is in the middle, how sharp they are, how they were stored."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def blurred(images: Pixels, deviation: float) -> Pixels:
    """Return images (batch, height, width, channels) after a Gaussian filter with this standard deviation in pixels."""
    return np.rint(_in_two(images, deviation)[0]).astype(np.uint8)


def as_sharp_as(images: Pixels, others: Pixels, deviation: float) -> Pixels:
    """Return images (batch, height, width, channels) with fine detail of the same strength as in `others`.

    Fine detail is what a Gaussian filter with a standard deviation of `deviation` pixels takes away. Its strength is
    its standard deviation over the image. An image without fine detail stays as it is.
    """
    (soft, fine), (_, wanted) = (_in_two(part, deviation) for part in (images, others))
    axes = (1, 2, 3)
    own = fine.std(axis=axes, keepdims=True)
    scale = np.divide(wanted.std(axis=axes, keepdims=True), own, out=np.ones_like(own), where=own > 0)
    return np.rint(np.clip(soft + scale * fine, 0, 255)).astype(np.uint8)


def _in_two(images: Pixels, deviation: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the images without their fine detail, and the fine detail."""
    whole = images.astype(np.float32)
    soft = gaussian_filter(whole, (0, deviation, deviation, 0))
    return soft, whole - soft


def saved_again(images: Pixels, quality: int) -> Pixels:
    """Return images (batch, height, width, 1 or 3) after saving them as JPEG of this quality and reading them again."""
    return np.stack([_saved(image, quality) for image in images])


def _saved(image: Pixels, quality: int) -> Pixels:
    stream = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream)).reshape(image.shape)


def without_margins(images: Pixels, share: float) -> Pixels:
    """Cut `share` of the side off images (batch, side, side, 1 or 3) at each side; resize them to their old size."""
    side = images.shape[1]
    cut = round(side * share)
    inner = images[:, cut : side - cut, cut : side - cut]
    pictures = [Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image) for image in inner]
    whole = [np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR)) for picture in pictures]
    return np.stack(whole).reshape(images.shape)


def composed(inside: Pixels, outside: Pixels, masks: Mask) -> Pixels:
    """Return images (batch, height, width, channels): `inside` where `masks` is true, else `outside`.

    Masks are (batch, height, width), or (1, height, width) for one that is used for all images.
    """
    return np.where(masks[..., None], inside, outside)


def centre(side: int, share: float) -> Mask:
    """Return the mask (side, side) of a centred square, `share` of the side wide."""
    mask = np.zeros((side, side), dtype=bool)
    start = round(side * (1 - share) / 2)
    mask[start : side - start, start : side - start] = True
    return mask

"""Images before their centre is cut out, for recipes that draw their own crops."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepcovid import catalogue
from deepcovid.errors import UserError
from deepcovid.images.decoding import decoded_images
from deepcovid.images.resizing import resize

Pixels = NDArray[np.uint8]


def uncropped(table: pd.DataFrame, raw: Path, cropped: Pixels, generated: bool) -> list[Pixels]:
    """Return the images of a catalogue, resized so that the short side is as in `cropped`, with the long side whole.

    Args:
        table: The catalogue.
        raw: Folder of the archives that it names.
        cropped: (images, side, side, channels), the same images with their centre cut out.
        generated: Whether the pipeline itself made the copies in `table`. Such copies were made from cropped images, so
            they stay cropped.

    Returns:
        One array per image, uint8 (height, width, 1 or 3), all with the same number of channels.

    Raises:
        UserError: An image cannot be read any more, although it could when `cropped` was made.
    """
    here = catalogue.copies(table) & generated
    unreadable: dict[str, str] = {}
    framing = resize(cropped.shape[1])
    found = {row["image_id"]: pixels for row, pixels in decoded_images(table[~here], raw, unreadable, framing)}
    if unreadable:
        name, why = next(iter(unreadable.items()))
        raise UserError(f"{raw}: image {name!r} has changed since it was decoded ({why}); run `dvc repro` again")
    images = [
        np.asarray(pixels) if own else np.atleast_3d(found[name])
        for name, own, pixels in zip(table["image_id"], here, cropped, strict=True)
    ]
    # An image may be coloured at its margin only, so `cropped` does not show how many channels are needed.
    channels = max(image.shape[2] for image in images)
    return [np.broadcast_to(image, (*image.shape[:2], channels)) for image in images]

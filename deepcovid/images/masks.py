"""Masks of lesions and of lungs, framed in the same way as their images.

Lesion masks are in the data set's own archive, where the catalogue names them. Lung masks exist only for images of
covid-chestxray-dataset. If there is a mask that was drawn by hand, it is used (V7 Labs, in the package
torchxrayvision). Otherwise the mask is one by a net (lungVAE, Selvan et al. 2020), from the data set's own archive.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from deepcovid.archives import Archive
from deepcovid.errors import BadImageError, UserError
from deepcovid.images.decoding import decode, one_image, open_picture
from deepcovid.images.resizing import resize_and_crop
from deepcovid.progress import warn

ARCHIVE = "covid-chestxray-dataset-master.zip"
SOURCE = "covid-chestxray-dataset"
FOLDER, ENDING = "annotations/lungVAE-masks", "_mask.png"

SLACK = 1.02  # factor by which width over height of a mask may be off, since sizes are whole pixels

Mask = NDArray[np.bool_]
Places = dict[str, tuple[str, str]]


def lesion_masks(raw: Path, rows: pd.DataFrame, image_size: int) -> list[Mask | None]:
    """Return the lesion mask of each catalogue row, or None where the catalogue names none: see `_read`."""
    return _read(raw, rows, zip(rows["archive"], rows["mask"], strict=True), image_size)


def lung_masks(raw: Path, rows: pd.DataFrame, places: Places, image_size: int) -> list[Mask | None]:
    """Return the lung mask of each catalogue row, or None where there is none: see `_read`.

    An empty mask is left out too.

    Args:
        raw: Folder of the archives of the images.
        rows: Catalogue rows.
        places: What `lung_places` returns.
        image_size: Side of the images that nets are shown, pixels.
    """
    nowhere = ("", "")
    found = [
        places.get(image, places.get(PurePosixPath(image).stem, nowhere)) if source == SOURCE else nowhere
        for source, image in zip(rows["source"], rows["source_image"], strict=True)
    ]
    return _read(raw, rows, found, image_size, empty=False)


def lung_places(raw: Path, by_hand: Path) -> Places:
    """Return where each lung mask is, by the name of its image: the archive, and the mask's name in it.

    Args:
        raw: Folder with the archive of covid-chestxray-dataset. Its masks have the image's name without the ending.
            The archive may be missing, or be an edition without annotations.
        by_hand: The archive of masks that were drawn by hand. They have the image's name with its ending.
    """
    found: Places = {}
    if (raw / ARCHIVE).is_file():
        with Archive(raw / ARCHIVE) as archive:
            paths = [PurePosixPath(member) for member in archive.members()]
        inside = [path for path in paths if f"/{path.parent}".endswith(f"/{FOLDER}") and path.name.endswith(ENDING)]
        found |= {path.name.removesuffix(ENDING): (ARCHIVE, str(path)) for path in inside}
    with Archive(by_hand) as archive:
        return found | {PurePosixPath(member).name: (str(by_hand), member) for member in archive.members()}


def _read(
    raw: Path, rows: pd.DataFrame, places: Iterable[tuple[str, str]], image_size: int, *, empty: bool = True
) -> list[Mask | None]:
    """Return one mask per row, (image_size, image_size), true where it is white, or None if its name is blank.

    If a mask cannot be read, is in colour or has another shape than its image, a warning is printed and it is None.

    Args:
        raw: Folder of the archives.
        rows: Catalogue rows.
        places: Archive (in `raw`, or a whole path) and name of each row's mask.
        image_size: Side of the images that nets are shown, pixels.
        empty: Whether a mask with nothing marked is allowed. If not, it is None too, with a warning.

    Raises:
        UserError: An image cannot be read, or is not the file that the catalogue knows.
    """
    masks: list[Mask | None] = []
    with ExitStack() as stack:
        archives: dict[str, Archive] = {}

        def opened(archive: str) -> Archive:
            if archive not in archives:
                archives[archive] = stack.enter_context(Archive(raw / archive))
            return archives[archive]

        images = zip(rows["archive"], rows["member"], rows["sha256"], strict=True)
        for (of_image, image, sha256), (of_mask, mask) in zip(images, places, strict=True):
            if not mask:
                masks.append(None)
                continue
            content, masks_of = opened(of_image).read(image, sha256), opened(of_mask)
            try:
                framed = framed_mask(masks_of.read(mask), _size(content), image_size)
                if not empty and not framed.any():
                    raise BadImageError("nothing is marked")
                masks.append(framed)
            except UserError as error:
                warn(f"{mask}: {error}; it is left out")
                masks.append(None)
    return masks


def _size(content: bytes) -> tuple[int, int]:
    """Return width and height of an image file."""
    with one_image():
        return open_picture(content).size


def framed_mask(content: bytes, size: tuple[int, int], image_size: int) -> Mask:
    """Return a mask as (image_size, image_size), framed as the pipeline frames an image of `size` (width, height).

    The mask may be larger or smaller than the image, because some editions hold reduced images. White may be stored as
    1 or as 255, so every pixel brighter than half of the brightest one counts as white.

    Raises:
        BadImageError: The bytes are no image, or one in colour, or the mask is of another shape than the image.
    """
    pixels = decode(content, framing=lambda picture: picture)
    if pixels.ndim != 2:
        raise BadImageError("a mask in colour; save it as greyscale")
    height, width = pixels.shape
    if not 1 / SLACK < (width / height) / (size[0] / size[1]) < SLACK:
        raise BadImageError(f"the mask has {width} x {height} pixels, its image {size[0]} x {size[1]}: another shape")
    white = Image.fromarray(np.where(pixels > pixels.max() / 2, np.uint8(255), np.uint8(0)))
    framed = resize_and_crop(image_size)(white.resize(size, Image.Resampling.NEAREST))
    return np.asarray(framed) > 127

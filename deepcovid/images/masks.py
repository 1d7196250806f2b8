"""Masks of what an image shows, framed as the pipeline frames the image: lesions and lungs.

Lesions come from the data set's own archive, where the catalogue names a mask. Lungs come from covid-chestxray-dataset,
which publishes them for 210 of its images: a net (lungVAE, Selvan et al. 2020) drew them on the images in full size.
"""

import io
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from deepcovid.archives import Archive
from deepcovid.errors import BadImageError, UserError
from deepcovid.images.decoding import decode
from deepcovid.images.resizing import resize_and_crop

ARCHIVE = "covid-chestxray-dataset-master.zip"
SOURCE = "covid-chestxray-dataset"
FOLDER, ENDING = "annotations/lungVAE-masks", "_mask.png"

Mask = NDArray[np.bool_]


def lesion_masks(raw: Path, rows: pd.DataFrame, image_size: int) -> list[Mask | None]:
    """Return the lesion mask of each catalogue row, or None where the catalogue names none: see `_read`."""
    return _read(raw, rows, zip(rows["archive"], rows["mask"], strict=True), image_size)


def lung_masks(raw: Path, rows: pd.DataFrame, members: dict[str, str], image_size: int) -> list[Mask | None]:
    """Return the lung mask of each catalogue row, or None where there is none: see `_read`.

    `members` is what `lung_members` returns.
    """
    images = zip(rows["source"], rows["source_image"], strict=True)
    names = [members.get(PurePosixPath(image).stem, "") if source == SOURCE else "" for source, image in images]
    return _read(raw, rows, ((ARCHIVE, name) for name in names), image_size)


def lung_members(raw: Path) -> dict[str, str]:
    """Return the lung masks in the archive in the folder `raw`, by their image's name without its ending.

    None where there is no such archive, or it is an edition without annotations.
    """
    if not (raw / ARCHIVE).is_file():
        return {}
    with Archive(raw / ARCHIVE) as archive:
        paths = [PurePosixPath(member) for member in archive.members()]
    return {
        path.name.removesuffix(ENDING): str(path)
        for path in paths
        if f"/{path.parent}".endswith(f"/{FOLDER}") and path.name.endswith(ENDING)
    }


def _read(raw: Path, rows: pd.DataFrame, places: Iterable[tuple[str, str]], image_size: int) -> list[Mask | None]:
    """Return one mask a row, (image_size, image_size), true where it is white, or None where its name is blank.

    Args:
        raw: Folder of the archives.
        rows: Catalogue rows.
        places: Archive and name of each row's mask.
        image_size: Side of the images that nets are shown, pixels.

    Raises:
        UserError: A mask cannot be read, or is in colour.
    """
    masks: list[Mask | None] = []
    with ExitStack() as stack:
        archives: dict[str, Archive] = {}

        def content(archive: str, member: str) -> bytes:
            if archive not in archives:
                archives[archive] = stack.enter_context(Archive(raw / archive))
            return archives[archive].read(member)

        images = zip(rows["archive"], rows["member"], strict=True)
        for image, (archive, mask) in zip(images, places, strict=True):
            if not mask:
                masks.append(None)
                continue
            size = Image.open(io.BytesIO(content(*image))).size
            try:
                masks.append(framed_mask(content(archive, mask), size, image_size))
            except BadImageError as error:
                raise UserError(f"{raw / archive}: {mask}: {error}") from None
    return masks


def framed_mask(content: bytes, size: tuple[int, int], image_size: int) -> Mask:
    """Return a mask as (image_size, image_size), framed as the pipeline frames an image of `size` (width, height).

    The mask may be of another size than the image, whose edition may be a reduced one. White may be 1 or 255: all that
    is brighter than half of the brightest pixel is white.

    Raises:
        BadImageError: The bytes are no image, or one in colour.
    """
    pixels = decode(content, framing=lambda picture: picture)
    if pixels.ndim != 2:
        raise BadImageError("a mask in colour; save it as greyscale")
    white = Image.fromarray(np.where(pixels > pixels.max() / 2, np.uint8(255), np.uint8(0)))
    framed = resize_and_crop(image_size)(white.resize(size, Image.Resampling.NEAREST))
    return np.asarray(framed) > 127

"""Where the lungs are: the masks that covid-chestxray-dataset publishes for 210 of its images.

They were drawn by a net (lungVAE, Selvan et al. 2020), of the images in full size.
"""

import io
from contextlib import ExitStack
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from deepcovid.archives import Archive
from deepcovid.errors import BadImageError, UserError
from deepcovid.images.decoding import decode, resize_and_crop

# As in deepcovid/sources/cohen.py, which brings along what fetches it.
ARCHIVE = "covid-chestxray-dataset-master.zip"
SOURCE = "covid-chestxray-dataset"
FOLDER, ENDING = "annotations/lungVAE-masks", "_mask.png"


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


def lung_masks(raw: Path, rows: pd.DataFrame, members: dict[str, str]) -> list[NDArray[np.bool_] | None]:
    """Return the lung mask of each catalogue row, (224, 224) framed as its image is, or None where there is none.

    Args:
        raw: Folder of the archives.
        rows: Of the catalogue.
        members: What `lung_members` returns.

    Raises:
        UserError: A mask cannot be read.
    """
    found: list[NDArray[np.bool_] | None] = []
    with ExitStack() as stack:
        names = {ARCHIVE, *rows["archive"]} if members else set()
        archives = {name: stack.enter_context(Archive(raw / name)) for name in sorted(names)}
        for source, image, archive, member in rows[["source", "source_image", "archive", "member"]].itertuples(
            index=False
        ):
            mask = members.get(PurePosixPath(image).stem) if source == SOURCE else None
            if not mask:
                found.append(None)
                continue
            size = Image.open(io.BytesIO(archives[archive].read(member))).size
            try:
                found.append(framed_mask(archives[ARCHIVE].read(mask), size))
            except BadImageError as error:
                raise UserError(f"{raw / ARCHIVE}: {mask}: {error}") from None
    return found


def framed_mask(content: bytes, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return a mask as (224, 224), framed as the pipeline frames an image of `size` (width, height).

    The mask may be of another size than the image, whose edition may be a reduced one, and white may be 1 or 255.
    """

    def framing(mask: Image.Image) -> Image.Image:
        return resize_and_crop(mask.resize(size, Image.Resampling.NEAREST))

    pixels = decode(content, framing)
    grey = pixels if pixels.ndim == 2 else pixels.max(axis=-1)
    return grey > grey.max() / 2

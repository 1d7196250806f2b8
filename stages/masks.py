"""The lesions of images, where the source knows them."""

from contextlib import ExitStack

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepcovid.archives import Archive
from deepcovid.errors import BadImageError, UserError
from deepcovid.images.decoding import decode
from stages import paths


def lesion_masks(dataset: str, rows: pd.DataFrame) -> list[NDArray[np.bool_] | None]:
    """Return the lesion mask of each catalogue row, (224, 224), or None where none is known.

    Raises:
        UserError: A mask cannot be read, or is not grey.
    """
    raw = paths.data(dataset, "raw")
    with ExitStack() as stack:
        archives = {
            name: stack.enter_context(Archive(raw / name)) for name in rows["archive"][rows["mask"] != ""].unique()
        }
        return [
            _lesion_mask(archives[archive], mask) if mask else None
            for archive, mask in zip(rows["archive"], rows["mask"], strict=True)
        ]


def _lesion_mask(archive: Archive, member: str) -> NDArray[np.bool_]:
    try:
        mask = decode(archive.read(member))
        if mask.ndim != 2:
            raise BadImageError("a mask in colour; save it as greyscale")
    except BadImageError as error:
        raise UserError(f"{archive.path}: {member}: {error}") from None
    return mask > 127

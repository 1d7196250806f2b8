"""The heat maps of a net with the images that they are of."""

from contextlib import ExitStack
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepcovid import catalogue
from deepcovid.archives import Archive
from deepcovid.arrays import load_array
from deepcovid.errors import BadImageError, UserError, reason_of
from deepcovid.images import decode
from deepcovid.transform import SIZE
from stages import paths

METHODS = {"occlusion": "occlusion", "grad_cam": "Grad-CAM"}  # by file and in pictures


def read_maps(dataset: str, model: str) -> tuple[pd.DataFrame, "dict[str, np.memmap[Any, Any]]"]:
    """Return what the heatmaps stage wrote, in its order: a row per image, and maps (images, 224, 224) by method.

    A row is the catalogue's, with `place`, its row there; why it was chosen; its score, and the cut-off.

    Raises:
        UserError: They are damaged, or not of the images in the catalogue.
    """
    folder = paths.data(dataset, f"heatmaps/{model}")
    kinds = {"image_id": str, "why": str, "score": float, "cut_off": float}
    table = catalogue.read(paths.data(dataset, "images.csv")).reset_index(names="place")
    try:
        chosen = pd.read_csv(
            folder / "images.csv", dtype=kinds, keep_default_na=False, float_precision="round_trip", usecols=[*kinds]
        )
        rows = chosen[[*kinds]].merge(table, on="image_id", validate="one_to_one")
        maps = {name: load_array(folder / f"{name}.npy") for name in METHODS}
    except (ValueError, EOFError) as error:
        raise UserError(f"{folder}: damaged ({reason_of(error)}); run `dvc repro`, or the stage heatmaps") from None
    shape = (len(rows), SIZE, SIZE)
    if any(part.shape != shape or part.dtype != np.float32 for part in maps.values()) or len(rows) != len(chosen):
        raise UserError(f"{folder}: not maps of the images in images.csv; run `dvc repro`, or the stage heatmaps")
    for name, part in maps.items():
        if not np.isfinite(part).all():
            raise UserError(f"{folder / name}.npy: a map is not finite; make the maps anew, and look at the scores")
    return rows, maps


def detected(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows of `read_maps` are COVID images that the head calls so."""
    return ((rows["label"] == "covid") & (rows["score"] >= rows["cut_off"])).to_numpy()


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

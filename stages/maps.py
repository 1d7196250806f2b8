"""The heat maps of a net with the images that they are of."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepcovid import catalogue
from deepcovid.arrays import load_array
from deepcovid.errors import UserError, reason_of
from stages import paths

Maps = Mapping[str, NDArray[Any]]  # (images, side, side) by method
METHODS = {"occlusion": "occlusion", "grad_cam": "Grad-CAM"}  # by file and in pictures


def read_maps(dataset: str, model: str, image_size: int) -> tuple[pd.DataFrame, Maps]:
    """Return what the heatmaps stage wrote, in its order: a row per image, and maps (images, side, side) by method.

    A row is the catalogue's, with `place`, its row there; why it was chosen; its score, and the cut-off.

    Raises:
        UserError: They are damaged, not of the images in the catalogue, or their side is not `image_size` pixels.
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
    shape = (len(rows), image_size, image_size)
    if any(part.shape != shape or part.dtype != np.float32 for part in maps.values()) or len(rows) != len(chosen):
        raise UserError(f"{folder}: not maps of the images in images.csv; run `dvc repro`, or the stage heatmaps")
    for name, part in maps.items():
        if not np.isfinite(part).all():
            raise UserError(f"{folder / name}.npy: a map is not finite; make the maps anew, and look at the scores")
    return rows, maps


def read_sanity(dataset: str, model: str) -> pd.DataFrame:
    """Return what the heatmaps stage measured of what the maps depend on, as deepcovid.heatmaps.sanity.sanity takes it.

    Raises:
        UserError: The file is damaged.
    """
    path = paths.data(dataset, f"heatmaps/{model}") / "sanity.csv"
    names = ["image_id", "patient_id", "measure", "what", "method", "value"]
    try:
        kinds = dict.fromkeys(names[:-1], str) | {"value": float}
        table = pd.read_csv(path, dtype=kinds, keep_default_na=False, na_values={"value": [""]}, usecols=names)
    except (ValueError, EOFError) as error:
        raise UserError(f"{path}: damaged ({reason_of(error)}); run `dvc repro`, or the stage heatmaps") from None
    return table[names]


def detected(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows of `read_maps` are COVID images that the head calls so."""
    return (catalogue.covid(rows) & (rows["score"] >= rows["cut_off"])).to_numpy()

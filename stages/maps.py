"""Reads the heat maps of a net, with the rows of their images."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepcovid import catalogue
from deepcovid.arrays import load_array
from deepcovid.errors import REMAKE, UserError, reason_of
from deepcovid.files import read_csv
from deepcovid.heatmaps.localisation import CENTRE, GRAD_CAM, OCCLUSION, RANDOM
from stages import paths

Maps = Mapping[str, NDArray[Any]]  # (images, side, side) by method
METHODS = {"occlusion": "occlusion", "grad_cam": "Grad-CAM"}  # names of files, and names in pictures
# The measurements that come last in sanity.csv: a table that was cut off lacks some of them.
LAST = list(product(("deletion", "insertion"), [""], (OCCLUSION, GRAD_CAM, CENTRE, RANDOM)))


def read_maps(dataset: str, model: str, image_size: int) -> tuple[pd.DataFrame, Maps]:
    """Return what the heatmaps stage wrote, in its order: a row per image, and maps (images, side, side) by method.

    A row has the catalogue's columns, place (its row there), why (the reason it was chosen), score and cut_off.

    Raises:
        UserError: The files are damaged or not of images in the catalogue, or a map's side is not `image_size` pixels.
    """
    folder = paths.data(dataset, f"heatmaps/{model}")
    path, numbers = folder / "images.csv", ("score", "cut_off")
    kinds = {"image_id": str, "why": str, "score": float, "cut_off": float}
    table = catalogue.read(paths.data(dataset, "images.csv")).reset_index(names="place")
    chosen = read_csv(
        path, ("image_id", "why"), numbers, dtype=kinds, keep_default_na=False, float_precision="round_trip"
    )
    try:
        rows = chosen[[*kinds]].merge(table, on="image_id", validate="one_to_one")
    except ValueError as error:
        raise UserError(f"{path}: damaged ({reason_of(error)}); {REMAKE}") from None
    if len(rows) != len(chosen):
        raise UserError(f"{path}: not images of {paths.data(dataset, 'images.csv')}; {REMAKE}")
    maps = {}
    for name in METHODS:
        file = folder / f"{name}.npy"
        maps[name] = load_array(file, (len(rows), image_size, image_size), np.float32, path)
        if not np.isfinite(maps[name]).all():
            raise UserError(f"{file}: a map is not finite; {REMAKE}; if it is so again, look at the scores")
    return rows, maps


def read_sanity(dataset: str, model: str, images: Sequence[str]) -> pd.DataFrame:
    """Return the heatmaps stage's tests of what the maps depend on, as deepcovid.heatmaps.sanity.sanity takes them.

    `images` are the images that were tested: see `checked`.

    Raises:
        UserError: The file is damaged, or something was tested on other images.
    """
    path = paths.data(dataset, f"heatmaps/{model}") / "sanity.csv"
    names = ["image_id", "patient_id", "measure", "what", "method", "value"]
    kinds = dict.fromkeys(names[:-1], str) | {"value": float}
    how: dict[str, Any] = {"dtype": kinds, "keep_default_na": False, "na_values": {"value": [""]}}
    table = read_csv(path, names[:-1], names[-1:], **how)[names]
    found = {key: part.tolist() for key, part in table.groupby(["measure", "what", "method"])["image_id"]}
    whole = all(key in found for key in LAST) and all(part == list(images) for part in found.values())
    if not (whole if len(images) else table.empty):
        raise UserError(f"{path}: damaged (not every measure of the {len(images)} images looked at); {REMAKE}")
    return table


def checked(chosen: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return the first `count` chosen COVID images that the head detects, each of another patient."""
    found = chosen[detected(chosen)]
    return found[~catalogue.named_patients(found["patient_id"], found["image_id"]).duplicated()][:count]


def detected(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows of `read_maps` are COVID images that the head calls covid."""
    return (catalogue.covid(rows) & (rows["score"] >= rows["cut_off"])).to_numpy()

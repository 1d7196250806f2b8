"""Sizes of the originals, where the edition of COVID-Xray-5k in use is a reduced one that lists them."""

from pathlib import Path

import pandas as pd

from deepcovid.catalogue import read_text_table, require_columns
from deepcovid.errors import UserError

TABLE = "edition.csv"
COLUMNS = ("class", "file", "original_width", "original_height")


def with_original_sizes(table: pd.DataFrame, names: pd.Series, folder: Path) -> pd.DataFrame:
    """Return a catalogue with the width and height of originals that edition.csv in `folder` lists, blank elsewhere.

    Args:
        table: The catalogue (images).
        names: (images), their file names in COVID-Xray-5k; no two files of a label have the same there.
        folder: Folder of the raw files; without edition.csv in it nothing is known.

    Raises:
        UserError: edition.csv lacks a column, or names a file twice.
    """
    path = folder / TABLE
    if not path.is_file():
        return table
    listed = read_text_table(path)
    require_columns(listed, COLUMNS, str(path))
    listed = listed.set_axis(listed["class"] + "/" + listed["file"])
    repeated = listed.index[listed.index.duplicated()]
    if len(repeated):
        raise UserError(f"{path}: file {repeated[0]!r} is named twice; name each file once")
    keys = table["label"] + "/" + names
    return table.assign(**{side: keys.map(listed[f"original_{side}"]).fillna("") for side in ("width", "height")})

"""A page of thumbnails that shows what a data set holds."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepcovid import catalogue

SHOWN = 6  # images in a row of the page


def chosen(table: pd.DataFrame) -> pd.DataFrame:
    """Return the catalogue rows that the page shows. A new column `row` names the row of the page.

    A row of the page shows one of the paper's groups, from one collection if collections are known. Copies are left
    out.
    """
    group = catalogue.group_of(table)
    if "collection" in table:
        group = group + ", collection " + table["collection"]
    originals = table.assign(row=group)[catalogue.originals(table)]
    return originals.sort_values("row", kind="stable").groupby("row").head(SHOWN)


def contact_sheet(
    rows: pd.DataFrame,
    images: Mapping[int, NDArray[np.uint8]],
    masks: Sequence[NDArray[np.bool_] | None],
    title: str,
) -> Figure:
    """Draw one row of images per group, each with its view and finding. Lesions with a mask are outlined.

    Args:
        rows: What `chosen` returned.
        images: Pixels by the index of each row, (height, width) or (height, width, 3).
        masks: A mask (height, width) for each row, or None if no lesion is known.
        title: Title of the page.
    """
    names = list(rows["row"].unique())
    figure = Figure(figsize=(SHOWN * 1.9, len(names) * 2.25 + 0.3), layout="constrained")
    figure.suptitle(title, fontsize=9)
    axes = figure.subplots(len(names), SHOWN, squeeze=False)
    for axis in axes.ravel():
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
    for name, row in zip(names, axes, strict=True):
        row[0].set_ylabel(name, fontsize=9)
    places = rows.groupby("row").cumcount()
    for (index, row), place, mask in zip(rows.iterrows(), places, masks, strict=True):
        axis = axes[names.index(row["row"]), place]
        axis.imshow(images[index], cmap="gray", vmin=0, vmax=255)  # type: ignore[index]
        if mask is not None and mask.any():
            axis.contour(mask, levels=[0.5], colors="tab:orange", linewidths=0.6)
        axis.set_title(f"{row['view']}, {row['finding']}", fontsize=7, pad=2)
    return figure

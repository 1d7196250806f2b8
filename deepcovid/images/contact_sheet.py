"""A page of thumbnails, so that people can look at what a data set holds."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepcovid import catalogue

SHOWN = 6  # images of a group


def chosen(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a catalogue that its page shows, with a column `row` that says which row of the page.

    A row of the page is one of the paper's groups in one collection, where collections are known. Copies are left out.
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
    """Draw a row of images for each group with view and finding, lesions outlined where masks are known.

    Args:
        rows: What `chosen` returned.
        images: Pixels under the index of each row, (height, width) or (height, width, 3).
        masks: A mask (height, width) for each row, or None where no lesion is known.
        title: Above the page.
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

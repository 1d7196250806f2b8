"""A page of thumbnails, so that people can look at what a data set holds."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

ROWS, COLUMNS = 3, 6
Read = Callable[[dict[str, str]], tuple[NDArray[np.uint8], NDArray[np.bool_] | None]]


def contact_sheet(table: pd.DataFrame, read: Read, title: str) -> Figure:
    """Draw the first 18 images of a catalogue with view and finding, lesions outlined where masks are known.

    Args:
        table: The catalogue.
        read: From a row to its image, uint8 (height, width) or (height, width, 3), and its mask or None.
        title: Above the page.
    """
    figure = Figure(figsize=(COLUMNS * 1.9, ROWS * 2.15), layout="constrained")
    figure.suptitle(title, fontsize=9)
    axes = figure.subplots(ROWS, COLUMNS).ravel()
    for axis in axes:
        axis.axis("off")
    rows = table.head(len(axes)).to_dict("records")
    for axis, row in zip(axes, rows, strict=False):
        named = {str(column): str(value) for column, value in row.items()}
        pixels, mask = read(named)
        axis.imshow(pixels, cmap="gray", vmin=0, vmax=255)
        if mask is not None and mask.any():
            axis.contour(mask, levels=[0.5], colors="tab:orange", linewidths=0.6)
        axis.set_title(f"{named['view']}, {named['finding']}", fontsize=7, pad=2)
    return figure

"""A page of thumbnails, so that people can look at what a data set holds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

ROWS, COLUMNS = 3, 6
SHOWN = ROWS * COLUMNS  # images on a page


def contact_sheet(
    table: pd.DataFrame,
    images: Sequence[NDArray[np.uint8]],
    masks: Sequence[NDArray[np.bool_] | None],
    title: str,
) -> Figure:
    """Draw up to 18 images with view and finding, lesions outlined where masks are known.

    Args:
        table: The catalogue (images).
        images: (height, width) or (height, width, 3) each.
        masks: (height, width) each, or None where no lesion is known.
        title: Above the page.
    """
    figure = Figure(figsize=(COLUMNS * 1.9, ROWS * 2.15), layout="constrained")
    figure.suptitle(title, fontsize=9)
    axes = figure.subplots(ROWS, COLUMNS).ravel()
    for axis in axes:
        axis.axis("off")
    shown = zip(axes, table["view"], table["finding"], images, masks, strict=False)
    for axis, view, finding, pixels, mask in shown:
        axis.imshow(pixels, cmap="gray", vmin=0, vmax=255)
        if mask is not None and mask.any():
            axis.contour(mask, levels=[0.5], colors="tab:orange", linewidths=0.6)
        axis.set_title(f"{view}, {finding}", fontsize=7, pad=2)
    return figure

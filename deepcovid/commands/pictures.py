"""`deepcovid predict --heatmap`: pictures of where scores come from."""

import time
from pathlib import Path

import numpy as np
import pandas as pd

from deepcovid.commands.inputs import Input
from deepcovid.errors import cause
from deepcovid.files import replacing
from deepcovid.heads.prediction import Head
from deepcovid.heads.scoring import score
from deepcovid.heatmaps.grad_cam import grad_cam
from deepcovid.heatmaps.occlusion import Window, occlusion, places
from deepcovid.heatmaps.overlays import overlay
from deepcovid.images.decoding import Pixels, stacked
from deepcovid.nets.features import extract
from deepcovid.nets.zoo import title_of


def announcement(head: Head, window: Window, images: int) -> str:
    """Return how long heat maps of so many images will take. Nearly all of it goes into occlusion, so the net is timed
    on one batch of grey images."""
    batch = np.full((head.batch_size, head.image_size, head.image_size, 1), window.fill, np.uint8)
    times = []
    for _ in extract(head.net, [batch, batch], head.settings):  # the first pass warms up
        times.append(time.perf_counter())
    windows = len(places(window, head.image_size)) ** 2
    each = (times[1] - times[0]) / head.batch_size * windows
    return (
        f"heat maps: {windows:,} windows an image, about {_duration(each)} an image, {_duration(each * images)} in "
        "all; a larger --stride is quicker"
    )


def _duration(seconds: float) -> str:
    """Return a time in the unit in which it is read at a glance."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def write_heatmaps(
    folder: Path, head: Head, usable: list[tuple[Input, Pixels]], rows: pd.DataFrame, window: Window
) -> dict[str, str]:
    """Write a picture of each image with its heat maps, of the head that is shown; return why some could not be."""
    failures = {}
    images = stacked([pixels for _, pixels in usable])
    weight, bias = head.file.shown_head()
    # One after the other, so that there is one progress bar at a time.
    dropped = [
        *occlusion(head.net, images, lambda features: score(features, weight, bias)[:, 0], window, head.settings)
    ]
    cams = [*grad_cam(head.model, head.net, images, weight[0, :, 0] - weight[0, :, 1], head.settings)]
    for (given, pixels), row, *maps in zip(usable, rows.to_dict("records"), dropped, cams, strict=True):
        net = f"{title_of(head.model)}, {head.recipe}, trained on {head.dataset}"
        unlike = ", unlike the training images" if row["unlike"] else ""
        title = f"{given.name[-100:]}\nscore {row['score']:.3f}, called {row['called']}{unlike} ({net})"
        figure = overlay(pixels, dict(zip(("occlusion", "Grad-CAM"), maps, strict=True)), title)
        try:
            with replacing(folder / given.picture) as unfinished:
                figure.savefig(unfinished, format="png", dpi=120, metadata={"Software": None})
        except OSError as error:
            failures[f"heat map of {given.name}"] = f"not written: {cause(error)}"
    return failures

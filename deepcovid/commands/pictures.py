"""`deepcovid predict --heatmap`: pictures of where scores come from."""

from pathlib import Path

import pandas as pd

from deepcovid.commands.inputs import Input
from deepcovid.errors import cause
from deepcovid.files import replacing
from deepcovid.heads.prediction import Head
from deepcovid.heads.scoring import score
from deepcovid.heatmaps.grad_cam import grad_cam
from deepcovid.heatmaps.occlusion import Window, occlusion
from deepcovid.heatmaps.overlays import overlay
from deepcovid.images.decoding import Pixels, stacked
from deepcovid.nets.zoo import title_of


def write_heatmaps(
    folder: Path, head: Head, usable: list[tuple[Input, Pixels]], rows: pd.DataFrame, window: Window
) -> dict[str, str]:
    """Write a picture of each image with its heat maps, of the head that is shown; return why some could not be."""
    failures = {}
    images = stacked([pixels for _, pixels in usable])
    weight, bias = head.file.shown_head()
    dropped = occlusion(head.net, images, lambda features: score(features, weight, bias)[:, 0], window, head.settings)
    cams = grad_cam(head.model, head.net, images, weight[0, :, 0] - weight[0, :, 1], head.settings)
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

"""Draw the heat maps over their images, and for git a picture in which no patient is."""

import re
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepcovid.arrays import load_array
from deepcovid.errors import UserError
from deepcovid.files import replacing
from deepcovid.heatmaps.overlays import Panel, map_sheet, montage, note, overlay
from deepcovid.nets.zoo import BACKBONES
from deepcovid.progress import track
from deepcovid.settings import Settings
from stages import _run, paths
from stages.maps import METHODS, detected, read_maps
from stages.masks import lesion_masks

PER_PAGE = 12  # of a montage
PER_REASON = 2  # in the montage for git, which is to stay small


def overlays(settings: Settings, dataset: str, model: str) -> None:
    options, source = settings.dataset[dataset].heatmaps, settings.dataset[dataset].source
    synthetic = source.kind == "phantom"
    name = f"{dataset} (synthetic images)" if synthetic else dataset
    window = f"window N = {options.window}, stride S = {options.stride}, fill {options.fill}"
    facts = f"{name}: {BACKBONES[model]}, recipe {settings.heatmaps.recipe}, {window}"
    rows, maps = read_maps(dataset, model)
    pixels, masks = load_array(paths.data(dataset, "pixels.npy")), lesion_masks(dataset, rows)
    if rows["place"].max() >= len(pixels):
        raise UserError(
            f"{paths.data(dataset, 'pixels.npy')}: not the images of images.csv; run `dvc repro`, which makes them anew"
        )
    panels = [
        Panel(
            image,
            {name: maps[file][number] for file, name in METHODS.items()},
            f"{row.label}, {row.score:.2f}, {row.why}",
            masks[number],
        )
        for number, (image, row) in enumerate(zip(pixels[rows["place"]], rows.itertuples(), strict=True))
    ]
    with replacing(paths.data(dataset, f"overlays/{model}")) as folder:
        folder.mkdir()
        pairs = zip(panels, rows.itertuples(), strict=True)
        for number, (panel, row) in enumerate(track(pairs, "overlays", total=len(rows))):
            score = f"score {row.score:.3f}, called covid from {row.cut_off:g}"
            title = f"{row.image_id}: {row.label}, {score}; {row.why}\n{facts}"
            save(overlay(panel.image, panel.maps, title, panel.mask), folder / file_name(number, str(row.image_id)))
        for page, start in enumerate(range(0, len(panels), PER_PAGE), 1):
            save(montage(panels[start : start + PER_PAGE], facts), folder / f"montage-{page:02d}.png")

    if synthetic:
        few = rows.groupby("why", sort=False).head(PER_REASON).index
        figure = montage([panels[number] for number in few], facts)
    else:  # no pixel of a patient may get here
        figure = mean_of({name: maps[file][detected(rows)] for file, name in METHODS.items()}, facts)
    with replacing(paths.plots(dataset, f"heatmaps/{model}.png")) as partial:
        save(figure, partial)


def mean_of(maps: dict[str, NDArray[np.float32]], facts: str) -> Figure:
    """Draw the mean map of each method over true positives."""
    count = len(next(iter(maps.values())))
    if not count:
        return note(f"{facts}\nno true positive among the chosen images")
    return map_sheet(
        {name: own.mean(axis=0) for name, own in maps.items()}, f"Mean over {count} true positives\n{facts}"
    )


def file_name(number: int, image_id: str) -> str:
    """Return a file name that any system takes; the number keeps names apart."""
    return f"{number:03d}-{re.sub(r'[^A-Za-z0-9._-]+', '_', image_id)[:100]}.png"


def save(figure: Figure, target: Path) -> None:
    figure.savefig(target, format="png", dpi=100, metadata={"Software": None})


if __name__ == "__main__":
    _run.run(overlays)

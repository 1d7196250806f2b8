"""Measure whether a net's heat lies where the lesions are, and where the lungs are; draw the maps over their images.

Git keeps one picture, which shows no patient: synthetic images with their maps, or mean maps without an image.
"""

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import cpu_count
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepcovid import catalogue
from deepcovid.fetching import packaged
from deepcovid.files import replacing
from deepcovid.heatmaps.localisation import Located, NetHeat, NotLocated, localised
from deepcovid.heatmaps.overlays import Panel, map_sheet, montage, note, overlay, save
from deepcovid.heatmaps.sanity import sanity
from deepcovid.images.masks import lesion_masks, lung_masks, lung_places
from deepcovid.nets.zoo import title_of
from deepcovid.parameters import Parameters
from deepcovid.passes.forked import one_after_another
from deepcovid.progress import track
from deepcovid.statistics.estimate import write_result
from stages import _run, paths
from stages._pixels import read_pixels
from stages.maps import METHODS, Maps, checked, detected, read_maps, read_sanity

PER_PAGE = 12  # images on a page of a montage
PER_REASON = 2  # images for each reason in the montage for git, which must stay small
Masks = Sequence[NDArray[np.bool_] | None]


def localisation(parameters: Parameters, dataset: str, model: str) -> None:
    target, drawn = paths.results(dataset, f"heatmaps/{model}"), paths.data(dataset, f"overlays/{model}")
    if not parameters.nets[model].runs:
        _run.leave_nothing([target, drawn, paths.picture(dataset, model)], f"{model} is not named in models")
        return
    size = parameters.image_size
    rows, maps = read_maps(dataset, model, size)
    pixels = read_pixels(dataset, size, len(catalogue.read(paths.data(dataset, "images.csv"))))
    lesions = lesion_masks(paths.data(dataset, "raw"), rows, size)
    write_result(target, measured(parameters, dataset, model, rows, maps, lesions))
    draw(parameters, dataset, model, rows, maps, lesions, pixels)


def measured(
    parameters: Parameters, dataset: str, model: str, rows: pd.DataFrame, maps: Maps, lesions: Masks
) -> NetHeat:
    """Return how well the maps of detected COVID images find the lesions and the lungs."""
    raw, options, found = paths.data(dataset, "raw"), parameters.heatmaps, rows[detected(rows)]
    places = lung_places(raw, packaged(paths.SOURCES, "lung-masks").path)
    no_lungs = (
        "the masks of phantoms are of lesions"
        if parameters.source.kind == "phantom"
        else f"no chosen COVID image that is detected is among the {len(places)} with a lung mask"
    )

    def compared(masks: Masks, none: str) -> Located | NotLocated:
        shown = [place for place in found.index if (mask := masks[place]) is not None and 0 < mask.mean() < 1]
        if not shown:
            return NotLocated(skipped=none)
        own = {name: part[shown] for name, part in maps.items()}
        known = np.array([masks[place] for place in shown])
        return localised(own, known, found["patient_id"][shown], options.images.seed, parameters.evaluate)

    return NetHeat(
        model=model,
        recipe=parameters.heatmap_recipe,
        window=options.window,
        stride=options.stride,
        fill=options.fill,
        chosen=Counter(rows["why"].str.replace(" ", "_")),
        lesions=compared(lesions, "no chosen COVID image that is detected has a lesion mask"),
        lungs=compared(lung_masks(raw, rows, places, parameters.image_size), no_lungs),
        sanity=sanity(
            read_sanity(dataset, model, checked(rows, options.images.checked)["image_id"].tolist()), parameters.evaluate
        ),
    )


def draw(
    parameters: Parameters,
    dataset: str,
    model: str,
    rows: pd.DataFrame,
    maps: Maps,
    lesions: Masks,
    pixels: NDArray[np.uint8],
) -> None:
    """Draw every map over its image, montages of these, and the picture for git; `pixels` are the data set's."""
    options, synthetic = parameters.heatmaps, parameters.source.kind == "phantom"
    name = f"{dataset} (synthetic images)" if synthetic else dataset
    window = f"window N = {options.window}, stride S = {options.stride}, fill {options.fill}"
    facts = f"{name}: {title_of(model)}, recipe {parameters.heatmap_recipe}, {window}"
    panels = [
        Panel(
            image,
            {name: maps[file][number] for file, name in METHODS.items()},
            f"{row.label}, {row.score:.2f}, {row.why}",
            lesions[number],
        )
        for number, (image, row) in enumerate(zip(pixels[rows["place"]], rows.itertuples(), strict=True))
    ]

    def draw_overlay(number: int, folder: Path) -> None:
        panel, row = panels[number], rows.iloc[number]
        score = f"score {row['score']:.3f}, called covid from {row['cut_off']:g}"
        title = f"{row['image_id']}: {row['label']}, {score}; {row['why']}\n{facts}"
        save(overlay(panel.image, panel.maps, title, panel.mask), folder / file_name(number, row["image_id"]))

    def draw_montage(page: int, folder: Path) -> None:
        save(montage(panels[page * PER_PAGE :][:PER_PAGE], facts), folder / f"montage-{page + 1:02d}.png")

    with replacing(paths.data(dataset, f"overlays/{model}")) as folder:
        folder.mkdir()
        pages = -(-len(panels) // PER_PAGE)
        drawings = [partial(draw_montage, page, folder) for page in range(pages)]
        drawings += [partial(draw_overlay, number, folder) for number in range(len(panels))]
        with closing(one_after_another(drawings, cpu_count())) as drawn:
            for _ in track(drawn, "overlays", total=len(drawings)):
                pass

    if synthetic:
        few = rows.groupby("why", sort=False).head(PER_REASON).index
        figure = montage([panels[number] for number in few], facts)
    else:  # no pixel of a patient may be in this picture
        figure = mean_of({name: maps[file][detected(rows)] for file, name in METHODS.items()}, facts)
    with replacing(paths.picture(dataset, model)) as picture:
        save(figure, picture)


def mean_of(maps: dict[str, NDArray[np.float32]], facts: str) -> Figure:
    """Draw the mean map of each method over true positives."""
    count = len(next(iter(maps.values())))
    if not count:
        return note(f"{facts}\nno true positive among the chosen images")
    return map_sheet(
        {name: own.mean(axis=0) for name, own in maps.items()}, f"Mean over {count} true positives\n{facts}"
    )


def file_name(number: int, image_id: str) -> str:
    """Return a file name that every system accepts; the number makes it unique."""
    return f"{number:03d}-{re.sub(r'[^A-Za-z0-9._-]+', '_', image_id)[:100]}.png"


if __name__ == "__main__":
    _run.run(localisation)

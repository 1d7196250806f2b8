"""Compare heat maps of a test set's images without COVID-19 with heat maps of a data set's own images.

The test set should be from the collection that the COVID-19 images come from. The picture shows only mean maps, so no
patient is in it.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepcovid import catalogue
from deepcovid.audits.unseen import candidates, trained_on
from deepcovid.drawing.titles import title_of_recipe
from deepcovid.errors import UserError
from deepcovid.files import replacing
from deepcovid.heatmaps.beside import OTHER, OWN, WITH, Mapped, MapsBeside, groups
from deepcovid.heatmaps.overlays import map_grid, note, save
from deepcovid.images.resizing import resized
from deepcovid.nets.trunks import read_state, trunk
from deepcovid.nets.zoo import title_of
from deepcovid.parameters import Parameters
from deepcovid.settings.datasets import HeatmapImages
from deepcovid.statistics.estimate import write_result
from stages import _run, paths
from stages._explained import explained_by
from stages._pixels import read_pixels_of_any_size
from stages.maps import METHODS, detected, read_maps


def heatmaps_beside(parameters: Parameters, dataset: str, model: str, images: str) -> None:
    target, drawn = paths.results(dataset, f"heatmaps/{model}-beside-{images}"), paths.beside(dataset, model, images)
    if not parameters.nets[model].runs:
        _run.leave_nothing([target, drawn], f"{model} is not named in models")
        return
    shown = shown_of(parameters, dataset, model, images) if parameters.heatmaps.images.sample else {}
    found = MapsBeside(
        heads=dataset,
        images=images,
        model=model,
        recipe=parameters.heatmap_recipe,
        groups=groups(shown, parameters.evaluate) if shown else {},
    )
    write_result(target, found)
    with replacing(drawn) as partial:
        save(mean_maps(found, shown) if shown else note("heatmaps.images.sample is 0"), partial)


def shown_of(parameters: Parameters, dataset: str, model: str, images: str) -> dict[str, Mapped]:
    """Return the maps of three groups: COVID-19 images, and images without it from each of the two data sets."""
    rows, maps = read_maps(dataset, model, parameters.image_size)
    table = catalogue.read(paths.data(images, "images.csv"))
    whole = read_pixels_of_any_size(images, len(table))  # raises an error if the table is another
    other = without_covid(dataset, images, table, parameters.heatmaps.images)
    pixels = resized(np.asarray(whole[other.index]), parameters.image_size)
    explained, net = explained_by(parameters, dataset, model), trunk(*read_state(paths.weights(dataset, model)))
    scores = explained.scores_of(net, pixels)

    def own(which: NDArray[np.bool_]) -> Mapped:
        called = rows["score"] >= rows["cut_off"]
        shown = {name: np.asarray(part[which]) for name, part in maps.items()}
        return Mapped(shown, catalogue.patients(rows)[which].to_numpy(), called[which].to_numpy())

    return {
        WITH: own(detected(rows)),
        OTHER: Mapped(
            {name: np.stack(list(found)) for name, found in explained.maps(net, pixels).items()},
            catalogue.patients(other).to_numpy(),
            scores >= parameters.trained[parameters.heatmap_recipe].cut_off,
        ),
        OWN: own((rows["why"] == "sample").to_numpy()),
    }


def without_covid(dataset: str, images: str, table: pd.DataFrame, options: HeatmapImages) -> pd.DataFrame:
    """Return a sample of a test set's images without COVID-19 that the data set's heads were not trained on.

    `table` is the catalogue of the test set `images`.

    Raises:
        UserError: There is no such image.
    """
    own = catalogue.read(paths.data(dataset, "images.csv"))
    rows = candidates(table)
    rows = rows[~catalogue.covid(rows)]
    rows = rows[~trained_on(rows, own[catalogue.in_training(own, augmented=True)]).any(axis=1)]
    if rows.empty:
        raise UserError(f"--images {images}: no image without COVID-19; name a test set with images of other findings")
    return rows.iloc[np.sort(np.random.default_rng(options.seed).permutation(len(rows))[: options.sample])]


def mean_maps(found: MapsBeside, shown: Mapping[str, Mapped]) -> Figure:
    """Draw the mean map of each group by each method."""
    facts = f"{title_of(found.model)}, {title_of_recipe(found.recipe)}: mean maps"
    titles, rows = found.titles(), {}
    for group, own in shown.items():
        if count := len(own.patients):
            maps = {METHODS[name]: part.mean(axis=0) for name, part in own.maps.items()}
            rows[f"{titles[group]} ({count} images)"] = maps
    return map_grid(rows, facts)


if __name__ == "__main__":
    _run.run(heatmaps_beside)

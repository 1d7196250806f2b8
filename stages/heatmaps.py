"""Find where in an image the median head's score comes from, with a window that slides over it and with Grad-CAM."""

from functools import partial

import numpy as np

from deepcovid import catalogue
from deepcovid.arrays import ArrayWriter, load_array
from deepcovid.files import Known, replacing, write_csv
from deepcovid.heads.scoring import heads_of
from deepcovid.heatmaps.selection import choose
from deepcovid.nets.features import on_cuda
from deepcovid.nets.trunks import read_state, trunk
from deepcovid.parameters import Parameters
from deepcovid.passes.shards import passing
from stages import _run, paths
from stages._explained import explained_by
from stages._fingerprints import versions_of
from stages._pixels import read_pixels
from stages.maps import METHODS, checked
from stages.runs import read_score_table


def heatmaps(parameters: Parameters, dataset: str, model: str) -> None:
    target = paths.data(dataset, f"heatmaps/{model}")
    if not parameters.nets[model].runs:
        _run.leave_nothing([target], f"{model} is not named in models, so it gets no heat maps")
        return
    options, recipe = parameters.heatmaps.images, parameters.heatmap_recipe
    explained = explained_by(parameters, dataset, model)
    table = catalogue.read(paths.data(dataset, "images.csv"))
    pixels = read_pixels(dataset, parameters.image_size, len(table))
    scores = read_score_table(paths.handed_on(dataset, "explained") / model / "scores.csv", dataset, table)
    test = scores[["image_id", "label", "patient_id"]].assign(score=heads_of(scores).iloc[:, explained.shown])
    chosen = choose(test, parameters.trained[recipe].cut_off, options)
    places = table.reset_index().set_index("image_id")["index"][chosen["image_id"]].tolist()
    images, weights = pixels[places], paths.weights(dataset, model)
    net, unfinished = trunk(*read_state(weights)), paths.unfinished("heatmaps", dataset, model)
    known = Known.of(weights), Known.of(paths.data(dataset, "pixels.npy"))
    versions, alone = partial(versions_of, "heatmaps"), on_cuda(parameters.features)
    with passing(unfinished, versions, alone=alone) as run, replacing(target) as folder:
        folder.mkdir()
        write_csv(folder / "images.csv", chosen, digits=17)
        for name, found in explained.maps_in_shards(run, *known, places, images.shape[1:3]).items():
            with ArrayWriter(folder / f"{name}.npy", images.shape[1:3], np.float32) as writer:
                for heat in found:
                    writer.append(heat[None])
        rows = checked(chosen, options.checked)
        maps = {name: np.asarray(load_array(folder / f"{name}.npy")[rows.index]) for name in METHODS}
        sanity = explained.sanity(net, rows, images[rows.index], maps, options.seed)
        write_csv(folder / "sanity.csv", sanity, digits=9)


if __name__ == "__main__":
    _run.run(heatmaps)

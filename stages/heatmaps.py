"""Find where in the image the score of the shown head comes from, with a window that slides over it and by Grad-CAM."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from deepcovid import catalogue
from deepcovid.arrays import ArrayWriter, load_array
from deepcovid.errors import UserError
from deepcovid.files import replacing, write_csv
from deepcovid.heads.head_files import HeadFile, read_head
from deepcovid.heads.scoring import heads_of, score
from deepcovid.heatmaps.grad_cam import grad_cam
from deepcovid.heatmaps.localisation import baselines
from deepcovid.heatmaps.occlusion import Window, occlusion
from deepcovid.heatmaps.sanity import STEPS, areas, changed_by_heat, correlations, randomised
from deepcovid.heatmaps.selection import choose
from deepcovid.nets.features import extract, normalised
from deepcovid.nets.trunks import read_state, trunk
from deepcovid.nets.weights import random_state
from deepcovid.parameters import Parameters
from stages import _run, paths
from stages._pixels import read_pixels
from stages.maps import METHODS
from stages.runs import read_score_table


def heatmaps(parameters: Parameters, dataset: str, model: str) -> None:
    target = paths.data(dataset, f"heatmaps/{model}")
    if not parameters.nets[model].runs:
        _run.leave_nothing([target], f"{model} is not named in models, so that its scores are not traced")
        return
    options, recipe = parameters.heatmaps, parameters.heatmap_recipe
    explained, cut_off = paths.handed_on(dataset, "explained") / model, parameters.trained[recipe].cut_off
    scores = read_score_table(explained / "scores.csv")
    head = read_head(explained / "head.safetensors")
    test = scores[["image_id", "label", "patient_id"]].assign(score=heads_of(scores).iloc[:, head.shown])
    chosen = choose(test, cut_off, options.images)

    table, pixels = catalogue.read(paths.data(dataset, "images.csv")), read_pixels(dataset, parameters.image_size)
    known = chosen["image_id"].isin(table["image_id"]).all()
    if not known or len(pixels) != len(table):
        raise UserError(
            f"{paths.data(dataset, 'images.csv')}: not the table of the images in pixels.npy, or not of the scores of "
            f"{model}-{recipe}; run `dvc repro`, which makes them anew"
        )
    images = pixels[table.reset_index().set_index("image_id")["index"][chosen["image_id"]]]
    net = trunk(*read_state(paths.weights(dataset, model)))
    explained_by = Explained(parameters, model, head)
    with replacing(target) as folder:
        folder.mkdir()
        write_csv(folder / "images.csv", chosen, digits=17)
        for name, found in explained_by.maps(net, explained_by.margin, images).items():
            with ArrayWriter(folder / f"{name}.npy", images.shape[1:3], np.float32) as writer:
                for heat in found:
                    writer.append(heat[None])
        rows = checked(chosen, options.images.checked)
        maps = {name: np.asarray(load_array(folder / f"{name}.npy")[rows.index]) for name in METHODS}
        write_csv(folder / "sanity.csv", explained_by.sanity(net, rows, images[rows.index], maps), digits=9)


def checked(chosen: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return the first so many chosen COVID images that the head detects, each of another patient."""
    found = chosen[catalogue.covid(chosen) & (chosen["score"] >= chosen["cut_off"])]
    return found[~catalogue.named_patients(found["patient_id"], found["image_id"]).duplicated()][:count]


class Explained:
    """A head's maps, and what they depend on."""

    def __init__(self, parameters: Parameters, model: str, head: HeadFile) -> None:
        self.model, self.settings = model, parameters.features
        self.window = Window(parameters.heatmaps.window, parameters.heatmaps.stride, parameters.heatmaps.fill)
        self.seed = parameters.heatmaps.images.seed
        weight, bias = head.shown_head()
        self.margin, self.bias = weight[0, :, 0] - weight[0, :, 1], bias[0, 0] - bias[0, 1]

    def score(self, features: NDArray[np.float32], margin: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return P(covid) (batch) of features (batch, features)."""
        weight = np.stack([margin, np.zeros_like(margin)], axis=1)[None]
        return score(features, weight, np.array([[self.bias, 0]], dtype=np.float32))[:, 0]

    def maps(
        self, net: nn.Module, margin: NDArray[np.float32], images: NDArray[np.uint8]
    ) -> dict[str, Iterator[NDArray[np.float32]]]:
        """Return the maps by method, one after another."""
        own = partial(self.score, margin=margin)
        return {
            "occlusion": occlusion(net, images, own, self.window, self.settings),
            "grad_cam": grad_cam(self.model, net, images, margin, self.settings),
        }

    def sanity(
        self, net: nn.Module, rows: pd.DataFrame, images: NDArray[np.uint8], maps: dict[str, NDArray[np.float32]]
    ) -> pd.DataFrame:
        """Return the table that deepcovid.heatmaps.sanity.sanity takes, of these images and their maps."""
        known = pd.DataFrame(
            {
                "image_id": rows["image_id"].to_numpy(),
                "patient_id": catalogue.named_patients(rows["patient_id"], rows["image_id"]).to_numpy(),
            }
        )
        found = [known[:0].assign(measure="", what="", method="", value=0.0)]
        if len(rows):
            sample = normalised(torch.from_numpy(images))
            random = trunk(self.model, random_state(self.model, self.seed, sample))
            for what, other, margin in randomised(net, random, self.margin, self.seed):
                for method, part in self.maps(other, margin, images).items():
                    values = correlations(maps[method], np.stack(list(part)))
                    found.append(known.assign(measure="correlation", what=what, method=method, value=values))
            images_of, height, width = maps["occlusion"].shape
            for method, heat in (maps | baselines(images_of, height, width, self.seed)).items():
                series = np.concatenate(
                    [changed_by_heat(*pair, self.window.fill) for pair in zip(images, heat, strict=True)]
                )
                batches = (batch for batch in series.reshape(-1, STEPS + 1, *images.shape[1:]))
                scores = self.score(np.concatenate(list(extract(net, batches, self.settings))), self.margin)
                measured = areas(scores.reshape(len(images), 2, -1))
                for place, measure in enumerate(("deletion", "insertion")):
                    found.append(known.assign(measure=measure, what="", method=method, value=measured[:, place]))
        return pd.concat(found)


if __name__ == "__main__":
    _run.run(heatmaps)

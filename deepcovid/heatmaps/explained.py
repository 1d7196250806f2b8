"""The maps of one head: of images, of ever more random weights, and what the score does where they are hot."""

from collections.abc import Iterator
from functools import partial
from itertools import chain

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from deepcovid import catalogue
from deepcovid.files import Known
from deepcovid.heads.head_files import HeadFile
from deepcovid.heads.scoring import score
from deepcovid.heatmaps.grad_cam import GradCamPass, grad_cam
from deepcovid.heatmaps.localisation import GRAD_CAM, OCCLUSION, baselines
from deepcovid.heatmaps.occlusion import OcclusionPass, Window, occlusion, occlusion_maps
from deepcovid.heatmaps.sanity import STEPS, areas, changed_by_heat, correlations, randomised
from deepcovid.nets.features import extract, normalised
from deepcovid.nets.trunks import trunk
from deepcovid.nets.weights import random_state
from deepcovid.passes.shards import Run
from deepcovid.settings.analyses import FeatureSettings

Margin = NDArray[np.float32]  # (features), the head's weight of covid less that of non


class Explained:
    """The median head of a net, with its maps."""

    def __init__(self, model: str, head: HeadFile, window: Window, settings: FeatureSettings) -> None:
        """Take a net's name, its heads, the window that slides over images, and how nets run."""
        self.model, self.window, self.settings, self.shown = model, window, settings, head.shown
        weight, bias = head.shown_head()
        self.margin, self.bias = weight[0, :, 0] - weight[0, :, 1], bias[0, 0] - bias[0, 1]

    def score(self, features: NDArray[np.float32], margin: Margin) -> NDArray[np.float64]:
        """Return P(covid) (batch) of features (batch, features)."""
        weight = np.stack([margin, np.zeros_like(margin)], axis=1)[None]
        return score(features, weight, np.array([[self.bias, 0]], dtype=np.float32))[:, 0]

    def scores_of(self, net: nn.Module, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return P(covid) (images) of images (images, height, width, channels)."""
        return self.score(np.concatenate(list(extract(net, [images], self.settings))), self.margin)

    def maps(
        self, net: nn.Module, images: NDArray[np.uint8], margin: Margin | None = None
    ) -> dict[str, Iterator[NDArray[np.float32]]]:
        """Return the maps (height, width) by method, one after another; of another head if `margin` is given."""
        own = self.margin if margin is None else margin
        return {
            OCCLUSION: occlusion(net, images, partial(self.score, margin=own), self.window, self.settings),
            GRAD_CAM: grad_cam(self.model, net, images, own, self.settings),
        }

    def maps_in_shards(
        self, run: Run, weights: Known, pixels: Known, places: list[int], shape: tuple[int, int]
    ) -> dict[str, Iterator[NDArray[np.float32]]]:
        """Return the maps that `maps` returns, made by passes; the arguments after `run` are as for `OcclusionPass`."""
        shared = weights, pixels, places
        score = partial(self.score, margin=self.margin)
        views = OcclusionPass(*shared, shape, score, self.window, self.settings)
        cams = GradCamPass(self.model, *shared, self.margin, self.settings)
        return {
            OCCLUSION: occlusion_maps(run(OCCLUSION, [views], f"{self.model}, occlusion"), self.window, *shape),
            GRAD_CAM: chain.from_iterable(run(GRAD_CAM, [cams], f"{self.model}, Grad-CAM")),
        }

    def sanity(
        self,
        net: nn.Module,
        rows: pd.DataFrame,
        images: NDArray[np.uint8],
        maps: dict[str, NDArray[np.float32]],
        seed: int,
    ) -> pd.DataFrame:
        """Return the table that deepcovid.heatmaps.sanity.sanity takes.

        Args:
            net: As it is.
            rows: The images that are looked at, as rows of the catalogue.
            images: Their pixels (images, height, width, channels).
            maps: Their maps by method, (images, height, width) each.
            seed: Seed of what is random.
        """
        patients = catalogue.named_patients(rows["patient_id"], rows["image_id"])
        known = pd.DataFrame({"image_id": rows["image_id"].to_numpy(), "patient_id": patients.to_numpy()})
        found = [known[:0].assign(measure="", what="", method="", value=0.0)]
        if rows.empty:
            return found[0]
        random = trunk(self.model, random_state(self.model, seed, normalised(torch.from_numpy(images))))
        for what, other, margin in randomised(net, random, self.margin, seed):
            for method, part in self.maps(other, images, margin).items():
                values = correlations(maps[method], np.stack(list(part)))
                found.append(known.assign(measure="correlation", what=what, method=method, value=values))
        count, height, width = maps[OCCLUSION].shape
        for method, heat in (maps | baselines(count, height, width, seed)).items():
            series = np.stack([changed_by_heat(*pair, self.window.fill) for pair in zip(images, heat, strict=True)])
            batches = iter(series.reshape(-1, STEPS + 1, *images.shape[1:]))
            scores = self.score(np.concatenate(list(extract(net, batches, self.settings))), self.margin)
            measured = areas(scores.reshape(len(images), 2, -1))
            for place, measure in enumerate(("deletion", "insertion")):
                found.append(known.assign(measure=measure, what="", method=method, value=measured[:, place]))
        return pd.concat(found)

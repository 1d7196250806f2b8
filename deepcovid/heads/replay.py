"""Whole nets, trained as the released script trains ResNet18: weights are frozen, crops and BatchNorm may still vary.

The script (shervinmin/DeepCovid, ResNet18_train.py) draws a new random crop of each training image in every epoch, and
leaves BatchNorm in training mode. Each batch is then normalised by its own statistics. The running statistics, which
evaluation uses, drift although no weight of the net is trained. Only the head learns, and no net depends on its head.
So the heads of several seeds share one run of the net, and each is the same as if it were trained alone.
"""

from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.transforms import v2

from deepcovid.errors import UserError
from deepcovid.heads.scoring import score
from deepcovid.heads.training import Data, Heads, drawn
from deepcovid.nets.features import ahead, normalised, same_bytes
from deepcovid.progress import bar
from deepcovid.settings.recipes import Recipe

Box = dict[str, Any]  # of an image, in torchvision's terms
EVALUATION_BATCH = 64  # images; for memory only


@dataclass(frozen=True)
class Images:
    """Images and their classes.

    Attributes:
        pixels: One uint8 tensor (height, width, 1 or 3) per image. Both sides are `size`; if crops are drawn, only the
            short side is.
        classes: (images), indices into LABELS.
        size: Side of the images that the net is shown, pixels.
    """

    pixels: list[Tensor]
    classes: Tensor
    size: int


@dataclass(frozen=True)
class Replayed:
    """One run of a net, and the heads trained on it.

    Attributes:
        scores: (images, seeds), P(covid) of the test images by each seed's kept head and the net of its epoch.
        epochs: (seeds), the epoch that each head was kept from.
        log: A table with the columns of the log of `deepcovid.heads.training.Trained`.
    """

    scores: NDArray[np.float64]
    epochs: list[int]
    log: pd.DataFrame


def replay(
    net: "Net",
    train: Images,
    test: Images,
    recipe: Recipe,
    seeds: list[int],
    run: int,
    selected_on: Images | None = None,
) -> Replayed:
    """Train a head per seed on a net that runs again in every epoch.

    Args:
        net: The net. It is changed in place where BatchNorm is in training mode.
        train: Training images, uncropped (see `Images`) if the recipe draws crops.
        test: Test images, cropped.
        recipe: How the heads are trained.
        seeds: One head is trained per seed, which fixes its initial weights.
        run: Seed for the order of the images and for the crops, which all heads share.
        selected_on: Cropped images whose accuracy selects the epoch; by default the test images.

    Raises:
        UserError: The device has too little memory.
    """
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(run)
            return _replay(net, train, test, selected_on, recipe, seeds)
    except torch.OutOfMemoryError:
        raise UserError(f"{net.device}: too little memory to run the net; set features.device to cpu") from None


class Net:
    """A frozen net on a device, run in fp32 or with its convolutions in bf16."""

    def __init__(self, trunk: nn.Module, device: torch.device, precision: str) -> None:
        self.trunk = trunk.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.device, self._bf16 = device, precision == "bf16"
        same_bytes()

    def features(self, views: Tensor) -> Tensor:
        """Return float32 (batch, features) of uint8 (batch, side, side, 1 or 3), which need not be on the device."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
            features: Tensor = self.trunk(normalised(views.to(self.device)))
        return features.float()


def _replay(
    net: Net, train: Images, test: Images, selected_on: Images | None, recipe: Recipe, seeds: list[int]
) -> Replayed:
    drifts = recipe.batch_norm == "training"
    at_rest = _evaluated(net, test if not drifts else replace(test, pixels=test.pixels[:1], classes=test.classes[:1]))
    heads = Heads(at_rest.features.shape[1], [recipe], seeds, [recipe.sampling], net.device)
    scores = np.full((len(test.pixels), len(seeds)), np.nan)
    kept_from = np.zeros(len(seeds), dtype=int)
    for epoch in range(1, recipe.epochs + 1):
        net.trunk.train(drifts)
        order = drawn(train.classes, recipe.sampling)
        heads.begin(epoch, train.classes[order].to(net.device).expand(len(seeds), -1))
        batches = order.split(recipe.batch_size)
        boxes = [_boxes(train, batch) if recipe.random_crop else None for batch in batches]
        shown = ahead(_views(train, *part) for part in zip(batches, boxes, strict=True))
        with bar(f"epoch {epoch} of {recipe.epochs}", total=len(train.pixels)) as progress, closing(shown):
            for batch, views in zip(batches, shown, strict=True):
                heads.step(net.features(views).expand(len(seeds), -1, -1))
                progress.update(len(batch))
        test_data = _evaluated(net, test) if drifts else at_rest
        selection = _evaluated(net, selected_on) if selected_on else test_data
        kept = heads.select(test_data, selection)[:, 0].cpu().numpy()
        if kept.any():
            (now,) = heads.trained()
            weight, bias = now.weight[kept], now.bias[kept]
            scores[:, kept] = score(test_data.features.cpu().numpy(), weight, bias)
            kept_from[kept] = epoch
    (trained,) = heads.trained()
    return Replayed(scores, kept_from.tolist(), trained.log)


def _evaluated(net: Net, images: Images) -> Data:
    """Return the features and classes of images, with the net in evaluation mode."""
    net.trunk.eval()
    parts = torch.arange(len(images.pixels)).split(EVALUATION_BATCH)
    features = [net.features(_views(images, part)) for part in parts]
    return Data(torch.cat(features), images.classes.to(net.device))


def _boxes(images: Images, chosen: Tensor) -> list[Box]:
    """Draw what part of each of the chosen images is shown, with torchvision's defaults, as the script does.

    It is drawn here and cut out in `_views`, so that the thread which does that draws no random number.
    """
    return [_crop(images).make_params([_channels_first(images.pixels[index])]) for index in chosen.tolist()]


def _views(images: Images, chosen: Tensor, boxes: list[Box] | None = None) -> Tensor:
    """Return the chosen images, or the parts of them in `boxes`, as the net is shown them.

    Returns:
        uint8 (batch, size, size, 1 or 3).
    """
    views = [images.pixels[index] for index in chosen.tolist()]
    if boxes is not None:
        parts = zip(views, boxes, strict=True)
        views = [_crop(images).transform(_channels_first(view), box).permute(1, 2, 0) for view, box in parts]
    return torch.stack(views)


def _crop(images: Images) -> v2.RandomResizedCrop:
    return v2.RandomResizedCrop(images.size, antialias=True)


def _channels_first(image: Tensor) -> Tensor:
    return image.permute(2, 0, 1)

"""Heads: the new last layer, trained on frozen features; one per seed, all seeds at once.

A head is torchvision's replacement layer, a linear map from features to the two classes, under softmax. For ResNet and
DenseNet that is exactly the net's own last layer. SqueezeNet's own is dropout, a 1 x 1 convolution, ReLU and the mean
over the image; the head leaves out the dropout and the ReLU. Convolution and mean are linear and change places, so the
head sees the channels' means; with the ReLU between them they could not, and two non-negative outputs could not
favour a class beyond zero. Number and meaning of the trained weights stay the same.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from deepcovid.catalogue import LABELS
from deepcovid.progress import track
from deepcovid.schedules import factor
from deepcovid.settings import Recipe


@dataclass(frozen=True)
class Trained:
    """Heads of one net under one recipe.

    Attributes:
        weight: (seeds, features, classes).
        bias: (seeds, classes).
        log: One row per seed and epoch: loss and accuracy on the training images, accuracy on the test images.
    """

    weight: Tensor
    bias: Tensor
    log: pd.DataFrame


@dataclass(frozen=True)
class Data:
    """Features (images, features) and class indices (images) into LABELS."""

    features: Tensor
    classes: Tensor

    @classmethod
    def of(cls, features: NDArray[np.float32], labels: pd.Series) -> "Data":
        """Return features with the classes that `labels` name."""
        return cls(torch.tensor(features), torch.tensor(labels.map(LABELS.index).to_numpy(dtype=np.int64)))


def train(train: Data, test: Data, recipe: Recipe, seeds: list[int]) -> Trained:
    """Train one head per seed with cross-entropy, as `recipe` says.

    The seeds share each step but nothing else: their weights are separate slices of one array, so each head is what it
    would be alone. A seed fixes the initial weights (PyTorch's own for a linear layer) and the order of the images.
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    weight, bias = (nn.Parameter(part) for part in _initial(train.features.shape[1], seeds))
    options = recipe.optimiser.model_dump(exclude={"kind", "learning_rate"})
    kinds = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    optimiser = kinds[recipe.optimiser.kind]([weight, bias], lr=recipe.optimiser.learning_rate, **options)
    best_accuracy = torch.zeros(len(seeds))
    kept_weight, kept_bias = weight.detach().clone(), bias.detach().clone()
    rows = []
    for epoch in track(range(1, recipe.epochs + 1), "training heads", unit="epochs"):
        optimiser.param_groups[0]["lr"] = recipe.optimiser.learning_rate * factor(recipe.schedule, epoch)
        order = torch.stack([torch.randperm(len(train.classes), generator=generator) for generator in generators])
        for batch in order.split(recipe.batch_size, dim=1):
            optimiser.zero_grad()
            _loss(weight, bias, train.features[batch], train.classes[batch]).sum().backward()
            optimiser.step()
        with torch.no_grad():
            loss, accuracy = _evaluate(weight, bias, train)
            test_accuracy = _evaluate(weight, bias, test)[1]
            keep = (test_accuracy > best_accuracy) | (recipe.selection == "last-epoch")
            best_accuracy = torch.maximum(test_accuracy, best_accuracy)
            kept_weight[keep], kept_bias[keep] = weight[keep], bias[keep]
        for index, seed in enumerate(seeds):
            measured = (float(part[index]) for part in (loss, accuracy, test_accuracy))
            rows.append((seed, epoch, *measured))
    log = pd.DataFrame(rows, columns=["seed", "epoch", "loss", "train_accuracy", "test_accuracy"])
    return Trained(kept_weight, kept_bias, log.sort_values(["seed", "epoch"], kind="stable"))


def _initial(features: int, seeds: list[int]) -> tuple[Tensor, Tensor]:
    layers = []
    with torch.random.fork_rng(devices=[]):
        for seed in seeds:
            torch.manual_seed(seed)
            layers.append(nn.Linear(features, len(LABELS)))
    weight = torch.stack([layer.weight.detach().T for layer in layers]).contiguous()
    return weight, torch.stack([layer.bias.detach() for layer in layers])


def _loss(weight: Tensor, bias: Tensor, features: Tensor, classes: Tensor) -> Tensor:
    """Return each seed's mean cross-entropy over its own batch: features (seeds, batch, features)."""
    logits = torch.baddbmm(bias[:, None], features, weight)
    return cross_entropy(logits.transpose(1, 2), classes, reduction="none").mean(dim=1)


def _evaluate(weight: Tensor, bias: Tensor, data: Data) -> tuple[Tensor, Tensor]:
    """Return each seed's mean cross-entropy and accuracy over all of `data`."""
    logits = data.features @ weight + bias[:, None]
    classes = data.classes.expand(len(bias), -1)
    loss = cross_entropy(logits.transpose(1, 2), classes, reduction="none").mean(dim=1)
    return loss, (logits.argmax(dim=2) == classes).float().mean(dim=1)


def write(path: Path, trained: Trained, facts: dict[str, Any]) -> None:
    """Write heads as safetensors with `facts` about them: net, weights, recipe, seeds.

    The facts are one JSON text, since safetensors writes several metadata entries in no fixed order.
    """
    tensors = {"weight": trained.weight.contiguous(), "bias": trained.bias.contiguous()}
    # Not save_file: its error on a full disk is no OSError.
    path.write_bytes(save(tensors, metadata={"facts": json.dumps(facts | {"classes": LABELS})}))

"""Heads: the new last layer, trained on frozen features; one per seed, all seeds at once.

A head is torchvision's replacement layer, a linear map from features to the two classes, under softmax. For ResNet and
DenseNet that is exactly the net's own last layer. SqueezeNet's own is dropout, a 1 x 1 convolution, ReLU and the mean
over the image; the head leaves out the dropout and the ReLU. Convolution and mean are linear and change places, so the
head sees the channels' means; with the ReLU between them they could not, and two non-negative outputs could not
favour a class beyond zero. Number and meaning of the trained weights stay the same.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import one_hot

from deepcovid.catalogue import LABELS
from deepcovid.heads.schedules import factor
from deepcovid.progress import track
from deepcovid.settings import Recipe


@dataclass(frozen=True)
class Trained:
    """Heads of one net under one recipe.

    Attributes:
        weight: (seeds, features, classes).
        bias: (seeds, classes).
        log: One row per seed and epoch: mean loss and accuracy over the epoch's batches, accuracy and AUC on the test
            images.
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
        return cls(torch.tensor(features), classes_of(labels))


def classes_of(labels: pd.Series) -> Tensor:
    """Return indices into LABELS."""
    return torch.tensor(labels.map(LABELS.index).to_numpy(dtype=np.int64))


def train(train: Data, test: Data, recipes: list[Recipe], seeds: list[int]) -> list[Trained]:
    """Train one head per recipe and seed with cross-entropy; return the heads of each recipe.

    A seed fixes the initial weights (PyTorch's own for a linear layer) and the order of the images. Heads share the
    work of a step but nothing else, so each is what it would be alone.

    Args:
        train: What to train on.
        test: What best-accuracy selection looks at, as the released code's does.
        recipes: Alike in optimiser and batch size.
        seeds: A head each.
    """
    heads = Heads(train.features.shape[1], recipes, seeds)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    for epoch in track(range(1, heads.epochs + 1), "training heads", unit="epochs"):
        heads.begin(epoch)
        order = torch.stack([torch.randperm(len(train.classes), generator=generator) for generator in generators])
        for batch in order.split(recipes[0].batch_size, dim=1):
            heads.step(train.features[batch], train.classes[batch])
        heads.select(test)
    return heads.trained()


class Heads:
    """Heads of several recipes and seeds on one net, trained in step.

    Recipes that differ only in what is kept at the end (epochs, selection) or how it is used (cut-off) share one
    trajectory. torch.optim knows one learning rate a tensor, so it runs at rate 1 on a tensor that starts each step at
    zero; what it leaves there is the step, which each trajectory takes at its own rate.
    """

    def __init__(
        self, features: int, recipes: list[Recipe], seeds: list[int], device: torch.device | None = None
    ) -> None:
        if len({(recipe.optimiser, recipe.batch_size) for recipe in recipes}) > 1:
            raise ValueError("heads are trained together under one optimiser and batch size only")
        self.recipes, self.seeds, self.epochs = recipes, seeds, max(recipe.epochs for recipe in recipes)
        rates = [(recipe.learning_rate, recipe.schedule) for recipe in recipes]
        self._trajectories = list(dict.fromkeys(rates))
        self._of_recipe = torch.tensor([self._trajectories.index(rate) for rate in rates], device=device)
        # Weights (seeds, trajectories, classes, features) and biases (seeds, trajectories, classes, 1): products over
        # the last dimension are several times faster than over another.
        self._parts = [
            part.to(device)[:, None].repeat(1, len(self._trajectories), 1, 1) for part in _initial(features, seeds)
        ]
        self._steps = [torch.zeros_like(part) for part in self._parts]
        kinds = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
        options = recipes[0].optimiser.model_dump(exclude={"kind"})
        self._optimiser = kinds[recipes[0].optimiser.kind](self._steps, lr=1.0, fused=True, **options)
        self._kept = [part[:, self._of_recipe] for part in self._parts]
        # Below any accuracy, so that the first epoch is kept even if it gets every image wrong.
        self._best = torch.full((len(seeds), len(recipes)), -1.0, device=device)
        self._logs: list[pd.DataFrame] = []

    def begin(self, epoch: int) -> None:
        """Set the learning rates of `epoch`, counted from 1."""
        self.epoch = epoch
        rates = [rate * factor(schedule, epoch) for rate, schedule in self._trajectories]
        device = self._parts[0].device
        self._rate = torch.tensor(rates, device=device)[:, None, None]
        self._loss = torch.zeros(self._parts[0].shape[:2], device=device)
        self._right, self._seen = torch.zeros_like(self._loss), 0

    def step(self, features: Tensor, classes: Tensor) -> None:
        """Take one step on a batch for each seed: features (seeds, batch, features), classes (seeds, batch)."""
        with torch.no_grad():
            log_p = self._logits(features).log_softmax(-1)
            wanted = one_hot(classes, len(LABELS))[:, :, None]
            gradient = ((log_p.exp() - wanted) / classes.shape[1]).flatten(2)
            by_part = torch.bmm(gradient.transpose(1, 2), features), gradient.sum(1)
            for step, of_part in zip(self._steps, by_part, strict=True):
                step.grad = of_part.view_as(step)
            self._optimiser.step()
            for part, step in zip(self._parts, self._steps, strict=True):
                part.addcmul_(step, self._rate)
                step.zero_()
            self._loss -= (log_p * wanted).sum((1, 3))
            self._right += (log_p.argmax(-1) == classes[:, :, None]).sum(1)
            self._seen += classes.shape[1]

    def select(self, test: Data) -> Tensor:
        """End the epoch: log it and keep what each recipe's selection keeps.

        Returns:
            (seeds, recipes), true where this epoch's head was kept.
        """
        with torch.no_grad():
            logits = self._logits(test.features.expand(len(self.seeds), -1, -1))
            accuracy = (logits.argmax(-1) == test.classes[:, None]).float().mean(1)[:, self._of_recipe]
        areas = auc(logits[..., 0] - logits[..., 1], test.classes == 0)[:, self._of_recipe]
        live = torch.tensor([self.epoch <= recipe.epochs for recipe in self.recipes], device=accuracy.device)
        last = torch.tensor([recipe.selection == "last-epoch" for recipe in self.recipes], device=accuracy.device)
        keep = live & (last | (accuracy > self._best))
        self._best = torch.where(live, torch.maximum(accuracy, self._best), self._best)
        now = [part[:, self._of_recipe] for part in self._parts]
        self._kept = [torch.where(keep[..., None, None], *pair) for pair in zip(now, self._kept, strict=True)]
        self._log(accuracy, areas)
        return keep

    def trained(self) -> list[Trained]:
        """Return the kept heads of each recipe."""
        log = pd.concat(self._logs).sort_values(["recipe", "seed", "epoch"], kind="stable")
        results = []
        for index, recipe in enumerate(self.recipes):
            rows = log[(log["recipe"] == index) & (log["epoch"] <= recipe.epochs)].drop(columns="recipe")
            weight, bias = (part[:, index].cpu() for part in self._kept)
            results.append(Trained(weight.transpose(1, 2), bias[..., 0], rows.reset_index(drop=True)))
        return results

    def _logits(self, features: Tensor) -> Tensor:
        """Return (seeds, images, trajectories, classes) for features (seeds, images, features)."""
        weight, bias = (part.flatten(1, 2).transpose(1, 2) for part in self._parts)
        return torch.baddbmm(bias, features, weight).unflatten(2, self._parts[0].shape[1:3])

    def _log(self, accuracy: Tensor, areas: Tensor) -> None:
        recipe, seed = np.meshgrid(np.arange(len(self.recipes)), self.seeds)
        measured = {
            "loss": (self._loss / self._seen)[:, self._of_recipe],
            "train_accuracy": (self._right / self._seen)[:, self._of_recipe],
            "test_accuracy": accuracy,
            "test_auc": areas,
        }
        columns = {"recipe": recipe, "seed": seed, "epoch": np.full_like(recipe, self.epoch)}
        columns |= {name: values.cpu().numpy() for name, values in measured.items()}
        self._logs.append(pd.DataFrame({name: values.ravel() for name, values in columns.items()}))


def auc(margin: Tensor, positive: Tensor) -> Tensor:
    """Return the AUC of each column, (seeds, columns): the chance that a positive image outscores a negative one, ties
    counting half (Mann-Whitney).

    Args:
        margin: (seeds, images, columns), larger for positive.
        positive: (images).
    """
    by_column = margin.transpose(1, 2)
    wanted = by_column[..., positive].contiguous()
    others = by_column[..., ~positive].sort(-1).values
    below = torch.searchsorted(others, wanted) + torch.searchsorted(others, wanted, right=True)
    return below.float().mean(-1) / (2 * others.shape[-1])


def _initial(features: int, seeds: list[int]) -> tuple[Tensor, Tensor]:
    """Return weight (seeds, classes, features) and bias (seeds, classes, 1) of PyTorch's linear layers."""
    layers = []
    with torch.random.fork_rng(devices=[]):
        for seed in seeds:
            torch.manual_seed(seed)
            layers.append(nn.Linear(features, len(LABELS)))
    weight = torch.stack([layer.weight.detach() for layer in layers])
    return weight, torch.stack([layer.bias.detach()[:, None] for layer in layers])

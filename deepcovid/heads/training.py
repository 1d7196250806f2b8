"""Heads: the new last layer, trained on frozen features; one per seed, all seeds at once.

A head replaces the net's last layer. It is a linear map from features to the two classes, followed by softmax. For
ResNet and DenseNet this is exactly the kind of layer that the net has itself.

SqueezeNet ends with dropout, a 1 x 1 convolution, ReLU and the mean over the image. The head leaves out the dropout and
the ReLU. Convolution and mean are linear, so their order can be swapped: the head works on the mean of each channel.
This would be impossible with the ReLU between them. The ReLU would also keep both outputs from falling below zero. The
number and the meaning of the trained weights stay the same.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from deepcovid.catalogue import LABELS
from deepcovid.heads.schedules import factor
from deepcovid.progress import track
from deepcovid.settings.recipes import Adam, Recipe, Sgd


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch work on one thread in a block or function: the steps are too small to share out.

    Each process has a number of its own. It is set back at the end, for other work in the same process.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


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
    """Features and classes of images that heads are trained or tested on.

    Attributes:
        features: (images, features).
        classes: (images), indices into LABELS.
        rows: (heads, rows), indices of the images that each head uses; None if every head uses all of them.
    """

    features: Tensor
    classes: Tensor
    rows: Tensor | None = None

    @classmethod
    def of(cls, features: NDArray[np.float32], labels: pd.Series) -> "Data":
        """Return features with the classes that `labels` name."""
        return cls(torch.tensor(features), classes_of(labels))


def classes_of(labels: pd.Series) -> Tensor:
    """Return indices into LABELS."""
    return torch.tensor(labels.map(LABELS.index).to_numpy(dtype=np.int64))


def train(
    train: Data,
    test: Data,
    recipes: list[Recipe],
    seeds: list[int],
    *,
    selected_on: Data | None = None,
    logged: bool = True,
) -> list[Trained]:
    """Train one head per recipe and seed with cross-entropy; return the heads of each recipe.

    A seed fixes the initial weights (PyTorch's own for a linear layer) and the order of the images. Heads share
    only the work of a step, so each is the same as if it were trained alone.

    Args:
        train: The images to train on.
        test: The images whose accuracy and AUC go into the log.
        recipes: Recipes with the same optimiser and batch size.
        seeds: One head per recipe is trained for each seed. A seed may be named several times where every head has rows
            of its own.
        selected_on: Images whose accuracy selects the epoch; by default the test images, as in the released code.
        logged: Whether to keep the log, which takes a good part of the time. If not, the log is empty.
    """
    heads = Heads(train.features.shape[1], recipes, seeds, logged=logged)
    rows = torch.arange(len(train.classes)).expand(len(seeds), -1) if train.rows is None else train.rows
    draws = [
        (torch.Generator().manual_seed(seed), weights_of(train.classes[own], sampling))
        for sampling in heads.samplings
        for seed, own in zip(seeds, rows, strict=True)
    ]
    rows = rows.repeat(len(heads.samplings), 1)
    largest = train.features.abs().amax(0)
    for epoch in track(range(1, heads.epochs + 1), "training heads", unit="epochs"):
        heads.begin(epoch)
        if epoch > 1 and heads.settled(largest):
            heads.leave_out()
            break
        order = torch.stack([drawn(weights, generator) for generator, weights in draws])
        for batch in rows.gather(1, order).split(recipes[0].batch_size, dim=1):
            features = train.features.index_select(0, batch.flatten())  # three times faster than [batch]
            heads.step(features.unflatten(0, batch.shape), train.classes[batch])
        heads.select(test, selected_on or test)
    return heads.trained()


def weights_of(classes: Tensor, sampling: str) -> Tensor:
    """Return the weight with which each image is drawn, (images).

    All weights are 1, or for `balanced` sampling, such that the weights of both classes have the same sum.
    """
    if sampling == "natural":
        return torch.ones(len(classes))
    return 1 / torch.bincount(classes, minlength=len(LABELS)).double()[classes]


def drawn(weights: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return the indices of the images of an epoch in the order in which they are used, as many as there are weights.

    If all weights are equal, each image is drawn once. If not, images are drawn with replacement, as PyTorch's
    WeightedRandomSampler does, so images of the rare class are drawn again and again.
    """
    if (weights == weights[0]).all():
        return torch.randperm(len(weights), generator=generator)
    return torch.multinomial(weights, len(weights), replacement=True, generator=generator)


class Heads:
    """Heads of several recipes and seeds on one net, trained in step.

    A trajectory is one course of training, with its learning rate and schedule. Recipes that differ only in what is
    kept at the end (epochs, selection) or in how it is used (cut-off) share one trajectory. The optimiser computes
    steps for learning rate 1, and each trajectory multiplies them by its own rate.

    A stream is a sequence of batches. Each seed has one stream for each way of sampling, and all trajectories run on
    all streams.

    A step is so small that starting its operations takes most of the time. So weights and biases share one tensor, and
    values that only the log needs are computed once an epoch.

    Attributes:
        samplings: The recipes' ways of sampling.
        seeds: (streams), the seed of each stream: all seeds under the first sampling, then under the next.
    """

    def __init__(
        self,
        features: int,
        recipes: list[Recipe],
        seeds: list[int],
        device: torch.device | None = None,
        *,
        logged: bool = True,
    ) -> None:
        if len({(recipe.optimiser, recipe.batch_size) for recipe in recipes}) > 1:
            raise ValueError("heads are trained together under one optimiser and batch size only")
        self.samplings = list(dict.fromkeys(recipe.sampling for recipe in recipes))
        self.recipes, self.seeds = recipes, seeds * len(self.samplings)
        self.epochs = max(recipe.epochs for recipe in recipes)
        rates = [(recipe.learning_rate, recipe.schedule) for recipe in recipes]
        self._trajectories = list(dict.fromkeys(rates))
        self._of_recipe = torch.tensor([self._trajectories.index(rate) for rate in rates], device=device)
        # Weights (streams, trajectories, classes, features) and biases (streams, trajectories, classes, 1): products
        # over the last dimension are several times faster than over another.
        initial = [
            part.to(device)[:, None].repeat(1, len(self._trajectories), 1, 1) for part in _initial(features, self.seeds)
        ]
        self._shapes = [part.shape for part in initial]
        self._values = torch.cat([part.flatten() for part in initial])
        self._gradient = torch.zeros_like(self._values)
        self._direction = _direction(recipes[0].optimiser, self._gradient)
        sizes = [shape.numel() for shape in self._shapes]
        self._parts = [part.view(shape) for part, shape in zip(self._values.split(sizes), self._shapes, strict=True)]
        of_weights, of_biases = self._gradient.split(sizes)
        columns = self._shapes[0][1] * len(LABELS)
        self._gradients = of_weights.view(len(self.seeds), columns, features), of_biases.view(len(self.seeds), columns)
        # (streams, features, columns) and (streams, 1, columns), a column per trajectory and class
        self._weight, self._bias = (part.flatten(1, 2).transpose(1, 2) for part in self._parts)
        self._wanted = torch.eye(len(LABELS), device=device)
        self._kept = [part[:, self._of_recipe] for part in self._parts]
        # Below any accuracy, so that the first epoch is kept even if it gets every image wrong.
        self._best = torch.full((len(self.seeds), len(recipes)), -1.0, device=device)
        self._logged = logged
        self._logs: list[pd.DataFrame] = [] if logged else [pd.DataFrame(columns=["recipe", "stream", "seed", "epoch"])]

    def begin(self, epoch: int) -> None:
        """Set the learning rates of `epoch`, counted from 1."""
        self.epoch = epoch
        rates = [rate * factor(schedule, epoch) for rate, schedule in self._trajectories]
        rate = torch.tensor(rates, device=self._values.device)[:, None, None]
        self._rate = torch.cat([rate.expand(shape).flatten() for shape in self._shapes])
        self._seen: list[tuple[Tensor, Tensor]] = []

    def settled(self, largest: Tensor) -> bool:
        """Return whether no step from this epoch on can change a head, so that the rest of the epochs can be left out.

        This happens under SGD once the learning rate, which only falls, is tiny. A gradient is a mean of products of a
        feature and an error of at most 1, and a step with momentum m is at most 1 / (1 - m) times as large. If adding
        even twice that bound changes no weight, because of rounding, then no step does.

        Args:
            largest: (features), the largest absolute value of each feature.
        """
        optimiser = self.recipes[0].optimiser
        if not isinstance(optimiser, Sgd):
            return False
        reaches = (part.expand(shape) for part, shape in zip((largest, largest.new_ones(1)), self._shapes, strict=True))
        reach = torch.cat([part.flatten() for part in reaches]) * self._rate * (2 / (1 - optimiser.momentum))
        return bool(((self._values + reach == self._values) & (self._values - reach == self._values)).all())

    def leave_out(self) -> None:
        """Leave out this epoch and all later ones. The log repeats the epoch before for them."""
        if self._logged:
            self._logs += [self._logs[-1].assign(epoch=epoch) for epoch in range(self.epoch, self.epochs + 1)]

    @torch.inference_mode()
    def step(self, features: Tensor, classes: Tensor) -> None:
        """Take one step on a batch for each stream: features (streams, batch, features), classes (streams, batch)."""
        log_p = self._logits(features).log_softmax(-1)
        error = (log_p.exp() - self._wanted[classes][:, :, None]).div_(classes.shape[1]).flatten(2)
        of_weights, of_biases = self._gradients
        torch.bmm(error.transpose(1, 2), features, out=of_weights)
        torch.sum(error, 1, out=of_biases)
        self._values.addcmul_(self._direction(), self._rate)
        if self._logged:
            self._seen.append((log_p, classes))

    @torch.no_grad()
    def select(self, test: Data, selected_on: Data) -> Tensor:
        """End the epoch: keep the heads that each recipe's selection chooses, and write the log.

        Returns:
            (streams, recipes), true where this epoch's head was kept.
        """
        last = torch.tensor([recipe.selection == "last-epoch" for recipe in self.recipes], device=self._best.device)
        accuracy = self._best
        if self._logged or not last.all():
            accuracy, logits = self._right(selected_on)
        live = torch.tensor([self.epoch <= recipe.epochs for recipe in self.recipes], device=self._best.device)
        keep = live & (last | (accuracy > self._best))
        self._best = torch.where(live, torch.maximum(accuracy, self._best), self._best)
        now = [part[:, self._of_recipe] for part in self._parts]
        self._kept = [torch.where(keep[..., None, None], *pair) for pair in zip(now, self._kept, strict=True)]
        if self._logged:
            if selected_on is not test:
                accuracy, logits = self._right(test)
            areas = auc(logits[..., 0] - logits[..., 1], test.classes == 0)[:, self._of_recipe]
            self._log(accuracy, areas)
        return keep

    def _right(self, data: Data) -> tuple[Tensor, Tensor]:
        """Return each recipe's accuracy, (streams, recipes), and logits (streams, images, trajectories, classes)."""
        if data.rows is None:
            logits, classes = self._logits(data.features.expand(len(self.seeds), -1, -1)), data.classes[:, None]
        else:  # logits of all images first: a copy of the features for every head would take too much memory
            rows = data.rows.repeat(len(self.samplings), 1)
            products = data.features @ self._weight.transpose(0, 1).flatten(1)
            logits = products.unflatten(1, (len(self.seeds), -1)).transpose(0, 1) + self._bias
            logits = logits.take_along_dim(rows[:, :, None], 1).unflatten(2, self._shapes[0][1:3])
            classes = data.classes[rows][..., None]
        return (logits.argmax(-1) == classes).float().mean(1)[:, self._of_recipe], logits

    def trained(self) -> list[Trained]:
        """Return the kept heads of each recipe."""
        log = pd.concat(self._logs).sort_values(["recipe", "stream", "epoch"], kind="stable")
        results, seeds = [], len(self.seeds) // len(self.samplings)
        for index, recipe in enumerate(self.recipes):
            first = self.samplings.index(recipe.sampling) * seeds
            streams = log["stream"].between(first, first + seeds - 1)
            rows = log[(log["recipe"] == index) & streams & (log["epoch"] <= recipe.epochs)]
            rows = rows.drop(columns=["recipe", "stream"])
            weight, bias = (part[first : first + seeds, index].cpu() for part in self._kept)
            results.append(Trained(weight.transpose(1, 2), bias[..., 0], rows.reset_index(drop=True)))
        return results

    def _logits(self, features: Tensor) -> Tensor:
        """Return (streams, images, trajectories, classes) for features (streams, images, features)."""
        # Weights come first, which is several times faster than features first.
        products = torch.bmm(self._weight.transpose(1, 2), features.transpose(1, 2))
        return (products.transpose(1, 2) + self._bias).unflatten(2, self._shapes[0][1:3])

    def _log(self, accuracy: Tensor, areas: Tensor) -> None:
        recipe, seed = np.meshgrid(np.arange(len(self.recipes)), self.seeds)
        log_p, classes = (torch.cat(parts, 1) for parts in zip(*self._seen, strict=True))
        wanted = classes[:, :, None, None].expand(*log_p.shape[:3], 1)
        measured = {
            "loss": -log_p.gather(3, wanted).mean((1, 3))[:, self._of_recipe],
            "train_accuracy": (log_p.argmax(-1) == classes[:, :, None]).float().mean(1)[:, self._of_recipe],
            "test_accuracy": accuracy,
            "test_auc": areas,
        }
        columns = {"recipe": recipe, "seed": seed, "epoch": np.full_like(recipe, self.epoch)}
        columns["stream"] = np.broadcast_to(np.arange(len(self.seeds))[:, None], recipe.shape)
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


def _direction(optimiser: Adam | Sgd, gradient: Tensor) -> Callable[[], Tensor]:
    """Return a function that computes the next step, at learning rate 1, from the present values of `gradient`.

    It uses the functional form of torch.optim, which takes half the time per step and does not load torch's compiler.
    Options that a recipe does not name have the defaults of torch.optim's classes.
    """
    step = torch.zeros_like(gradient)
    common: dict[str, Any] = {"lr": 1.0, "weight_decay": 0.0, "maximize": False, "fused": True}
    if isinstance(optimiser, Sgd):
        buffers: list[Tensor | None] = [None]
        options = common | {"momentum": optimiser.momentum, "dampening": 0.0, "nesterov": False}
        update = partial(sgd, [step], [gradient], buffers, **options)
    else:
        first, second, count = torch.zeros_like(gradient), torch.zeros_like(gradient), torch.zeros_like(gradient[0])
        options = common | {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "amsgrad": False}
        update = partial(adam, [step], [gradient], [first], [second], [], [count], **options)

    def direction() -> Tensor:
        step.zero_()
        update()
        return step

    return direction


def _initial(features: int, seeds: list[int]) -> tuple[Tensor, Tensor]:
    """Return weight (seeds, classes, features) and bias (seeds, classes, 1) of PyTorch's linear layers."""
    layers = []
    with torch.random.fork_rng(devices=[]):
        for seed in seeds:
            torch.manual_seed(seed)
            layers.append(nn.Linear(features, len(LABELS)))
    weight = torch.stack([layer.weight.detach() for layer in layers])
    return weight, torch.stack([layer.bias.detach()[:, None] for layer in layers])

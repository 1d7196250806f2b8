"""Heads: the new last layer, trained on frozen features; one per seed, all seeds at once.

A head replaces the net's last layer. It is a linear map from features to the two classes, followed by softmax. For
ResNet and DenseNet this is exactly the kind of layer that the net has itself.

SqueezeNet ends with dropout, a 1 x 1 convolution, ReLU and the mean over the image. The head leaves out the dropout and
the ReLU. Convolution and mean are linear, so their order can be swapped: the head works on the mean of each channel.
This would be impossible with the ReLU between them. The ReLU would also keep both outputs from falling below zero. The
number and the meaning of the trained weights stay the same.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepcovid.catalogue import LABELS
from deepcovid.heads.optimisers import direction
from deepcovid.heads.schedules import factor
from deepcovid.progress import track
from deepcovid.settings.recipes import Recipe, Sgd


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch work on one thread in a block or function, as steps are too small to share out. Then undo this."""
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
        by_part: The same heads with the epoch chosen on a part of the test images, one for each part that was asked
            for: weight and bias as above. It is empty if the recipe does not choose on the test images.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    log: pd.DataFrame
    by_part: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...] = ()


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


@torch.inference_mode()
def train(
    train: Data,
    test: Data,
    recipes: list[Recipe],
    seeds: list[int],
    *,
    selected_on: Data | None = None,
    parts: Sequence[Tensor] = (),
    logged: bool = True,
) -> list[Trained]:
    """Train one head per recipe and seed with cross-entropy; return the heads of each recipe.

    A seed fixes the initial weights (PyTorch's own for a linear layer) and the order of the images. Heads share
    only the work of a step, so each is the same as if it were trained alone. Those of two optimisers share only the
    batches.

    Args:
        train: The images to train on.
        test: The images whose accuracy and AUC go into the log.
        recipes: Recipes with the same batch size.
        seeds: One head per recipe is trained for each seed. A seed may be named several times where every head has rows
            of its own.
        selected_on: Images whose accuracy selects the epoch; by default the test images, as in the released code.
        parts: Indices of some test images each, for `Trained.by_part`.
        logged: Whether to keep the log, which takes a good part of the time. If not, the log is empty.
    """
    if len({recipe.batch_size for recipe in recipes}) > 1:
        raise ValueError("heads share batches of one size only")
    samplings = list(dict.fromkeys(recipe.sampling for recipe in recipes))
    alike = {recipe.optimiser: [own for own in recipes if own.optimiser == recipe.optimiser] for recipe in recipes}
    of_optimisers = [
        Heads(train.features.shape[1], own, seeds, samplings, parts=parts, logged=logged) for own in alike.values()
    ]
    rows = torch.arange(len(train.classes)).expand(len(seeds), -1) if train.rows is None else train.rows
    draws = [
        (train.classes[own], sampling, torch.Generator().manual_seed(seed))
        for sampling in samplings
        for seed, own in zip(seeds, rows, strict=True)
    ]
    rows = rows.repeat(len(samplings), 1)
    largest, left, last = train.features.abs().amax(0), of_optimisers, max(recipe.epochs for recipe in recipes)
    for epoch in track(range(1, last + 1), "training heads", unit="epochs"):
        left = [heads for heads in left if not heads.ended(epoch, largest)]
        if not left:
            break
        drawn_rows = rows.gather(1, torch.stack([drawn(*draw) for draw in draws]))
        for heads in left:
            heads.begin(epoch, train.classes[drawn_rows])
        for batch in drawn_rows.split(recipes[0].batch_size, dim=1):
            # index_select is three times faster than [batch], and view than unflatten
            features = train.features.index_select(0, batch.flatten()).view(*batch.shape, -1)
            for heads in left:
                heads.step(features)
        for heads in left:
            heads.select(test, selected_on or test)
    made = {optimiser: iter(heads.trained()) for optimiser, heads in zip(alike, of_optimisers, strict=True)}
    return [next(made[recipe.optimiser]) for recipe in recipes]


def drawn(classes: Tensor, sampling: str, generator: torch.Generator | None = None) -> Tensor:
    """Return the indices of the images of an epoch in the order in which they are used, as many as there are images.

    Under `natural` sampling each image is drawn once. Under `balanced` sampling images are drawn with replacement, both
    classes equally often, as PyTorch's WeightedRandomSampler does: images of the rare class come again and again.

    Args:
        classes: (images), indices into LABELS.
        sampling: natural or balanced.
        generator: What random numbers are taken from; by default PyTorch's own.
    """
    if sampling == "natural":
        return torch.randperm(len(classes), generator=generator)
    weights = 1 / torch.bincount(classes).double()[classes]
    return torch.multinomial(weights, len(classes), replacement=True, generator=generator)


class Heads:
    """Heads of several recipes and seeds on one net, trained in step.

    A trajectory is one course of training, with its learning rate and schedule. Recipes that differ only in what is
    kept at the end (epochs, selection) or in how it is used (cut-off) share one trajectory. The optimiser computes
    steps for learning rate 1, and each trajectory multiplies them by its own rate.

    A stream is a sequence of batches, one for each seed and way of sampling. All trajectories run on all streams.

    A step is so small that starting its operations takes most of the time. So weights and biases share one tensor.
    """

    def __init__(
        self,
        features: int,
        recipes: list[Recipe],
        seeds: list[int],
        samplings: Sequence[str],
        device: torch.device | None = None,
        *,
        parts: Sequence[Tensor] = (),
        logged: bool = True,
    ) -> None:
        """Set up heads with their initial weights.

        Args:
            features: How many features an image has.
            recipes: Recipes with the same optimiser and batch size.
            seeds: One head per recipe is trained for each seed.
            samplings: Ways of sampling, those of the recipes among them. Streams are all seeds under the first one,
                then under the next.
            device: Where the weights are.
            parts: See `train`.
            logged: See `train`.
        """
        if len({recipe.optimiser for recipe in recipes}) > 1:
            raise ValueError("heads share steps under one optimiser only")
        self._samplings, self._seeds = samplings, seeds * len(samplings)
        self._recipes, self._epochs = recipes, max(recipe.epochs for recipe in recipes)
        # Each choice of an epoch is for a recipe and looks at all images (0) or at one of the parts (from 1 on).
        choices = [(own, 0) for own in range(len(recipes))]
        on_test = [own for own, recipe in enumerate(recipes) if recipe.chooses_on_the_test]
        self._parts_of_test = parts if on_test else ()
        choices += [(own, part) for part in range(1, len(parts) + 1) for own in on_test]
        self._recipe, self._part = torch.tensor(choices, device=device).T
        rates = [(recipe.learning_rate, recipe.schedule) for recipe in recipes]
        self._trajectories = list(dict.fromkeys(rates))
        self._of_recipe = torch.tensor([self._trajectories.index(rate) for rate in rates], device=device)
        self._trajectory = self._of_recipe[self._recipe]
        # Weights (streams, trajectories, classes, features) and biases (streams, trajectories, classes, 1): products
        # over the last dimension are several times faster than over another.
        initial = [
            value.to(device)[:, None].repeat(1, len(self._trajectories), 1, 1)
            for value in _initial(features, self._seeds)
        ]
        self._shapes = [value.shape for value in initial]
        self._values = torch.cat([value.flatten() for value in initial])
        self._gradient = torch.zeros_like(self._values)
        self._direction = direction(recipes[0].optimiser, self._gradient)
        sizes = [shape.numel() for shape in self._shapes]
        self._now = [value.view(shape) for value, shape in zip(self._values.split(sizes), self._shapes, strict=True)]
        of_weights, of_biases = self._gradient.split(sizes)
        columns = self._shapes[0][1] * len(LABELS)
        self._gradients = of_weights.view(len(self._seeds), columns, features), of_biases.view(-1, columns)
        # (streams, features, columns) and (streams, 1, columns), a column per trajectory and class
        self._weight, self._bias = (value.flatten(1, 2).transpose(1, 2) for value in self._now)
        self._certain = torch.eye(len(LABELS), device=device)
        self._kept = [value[:, self._trajectory] for value in self._now]
        # Below any accuracy, so that the first epoch is kept even if it gets every image wrong.
        self._best = torch.full((len(self._seeds), len(choices)), -1.0, device=device)
        self._logged = logged
        self._logs: list[pd.DataFrame] = [] if logged else [pd.DataFrame(columns=["recipe", "stream", "seed", "epoch"])]

    def ended(self, epoch: int, largest: Tensor) -> bool:
        """Return whether the training ends before `epoch`. If it ends early, the log repeats its last epoch."""
        if epoch > self._epochs:
            return True
        if epoch == 1 or not self.settled(epoch, largest):
            return False
        if self._logged:
            self._logs += [self._logs[-1].assign(epoch=later) for later in range(epoch, self._epochs + 1)]
        return True

    def settled(self, epoch: int, largest: Tensor) -> bool:
        """Return whether no step from `epoch` on can change a head, so that the rest of the epochs can be left out.

        This happens under SGD once the learning rate, which only falls, is tiny. A gradient is a mean of products of a
        feature and an error of at most 1, and a step with momentum m is at most 1 / (1 - m) times as large. If adding
        even twice that bound changes no weight, because of rounding, then no step does.

        Args:
            epoch: Counted from 1.
            largest: (features), the largest absolute value of each feature.
        """
        optimiser = self._recipes[0].optimiser
        if not isinstance(optimiser, Sgd):
            return False
        bounds = (largest, largest.new_ones(1))
        bound = torch.cat([value.expand(shape).flatten() for value, shape in zip(bounds, self._shapes, strict=True)])
        reach = bound * self._rates(epoch) * (2 / (1 - optimiser.momentum))
        return bool(((self._values + reach == self._values) & (self._values - reach == self._values)).all())

    def begin(self, epoch: int, classes: Tensor) -> None:
        """Begin `epoch`, counted from 1.

        Args:
            epoch: It sets the learning rates.
            classes: (streams, images), of the images of its steps.
        """
        self._epoch, self._classes, self._rate = epoch, classes, self._rates(epoch)
        self._steps: list[Tensor] = []  # log P of each class, for the log
        wanted = self._certain[classes][:, :, None]
        self._wanted = iter(wanted.split(self._recipes[0].batch_size, dim=1))

    def _rates(self, epoch: int) -> Tensor:
        """Return the learning rate of each value."""
        rates = [rate * factor(schedule, epoch) for rate, schedule in self._trajectories]
        rate = torch.tensor(rates, device=self._values.device)[:, None, None]
        return torch.cat([rate.expand(shape).flatten() for shape in self._shapes])

    def step(self, features: Tensor) -> None:
        """Take one step on the next batch of each stream, (streams, batch, features)."""
        log_p = self._logits(features).log_softmax(-1)
        error = (log_p.exp() - next(self._wanted)).div_(features.shape[1]).flatten(2)
        of_weights, of_biases = self._gradients
        torch.bmm(error.transpose(1, 2), features, out=of_weights)
        torch.sum(error, 1, out=of_biases)
        self._values.addcmul_(self._direction(), self._rate)
        if self._logged:
            self._steps.append(log_p)

    def _logits(self, features: Tensor) -> Tensor:
        """Return (streams, images, trajectories, classes) for features (streams, images, features)."""
        # Weights come first, which is several times faster than features first.
        products = torch.bmm(self._weight.transpose(1, 2), features.transpose(1, 2))
        logits = products.transpose(1, 2) + self._bias
        return logits.view(*logits.shape[:2], *self._shapes[0][1:3])

    def select(self, test: Data, selected_on: Data) -> Tensor:
        """End the epoch: keep the heads that each recipe's selection chooses, and write the log.

        Returns:
            (streams, recipes), true where this epoch's head was kept.
        """
        device, accuracy = self._best.device, self._best
        last = torch.tensor([recipe.selection == "last-epoch" for recipe in self._recipes], device=device)[self._recipe]
        if self._logged or not last.all():
            right, logits = self._right(selected_on)
            accuracy = self._accuracy(right)
        live = torch.tensor([self._epoch <= recipe.epochs for recipe in self._recipes], device=device)[self._recipe]
        keep = live & (last | (accuracy > self._best))
        self._best = torch.where(live, torch.maximum(accuracy, self._best), self._best)
        now = [value[:, self._trajectory] for value in self._now]
        self._kept = [torch.where(keep[..., None, None], *pair) for pair in zip(now, self._kept, strict=True)]
        own = len(self._recipes)
        if self._logged:
            if selected_on is not test:
                right, logits = self._right(test)
            self._log(self._accuracy(right)[:, :own], auc(logits[..., 0] - logits[..., 1], test.classes == 0))
        return keep[:, :own]

    def _right(self, data: Data) -> tuple[Tensor, Tensor]:
        """Return where images are called right, (streams, images, trajectories), and all logits (as `_logits` does)."""
        # One product for all heads, even where each looks at rows of its own: a copy of these would take much memory.
        products = data.features @ self._weight.transpose(0, 1).flatten(1)
        logits = products.unflatten(1, (len(self._seeds), -1)).transpose(0, 1) + self._bias
        classes = data.classes[None]
        if data.rows is not None:
            rows = data.rows.repeat(len(self._samplings), 1)
            logits, classes = logits.take_along_dim(rows[:, :, None], 1), data.classes[rows]
        logits = logits.unflatten(2, self._shapes[0][1:3])
        return called_right(logits, classes[..., None]), logits

    def _accuracy(self, right: Tensor) -> Tensor:
        """Return the accuracy that each choice looks at, (streams, choices)."""
        shares = [part.float().mean(1) for part in (right, *(right[:, part] for part in self._parts_of_test))]
        return torch.stack(shares)[self._part, :, self._trajectory].T

    def _log(self, accuracy: Tensor, areas: Tensor) -> None:
        recipe, seed = np.meshgrid(np.arange(len(self._recipes)), self._seeds)
        log_p, classes = torch.cat(self._steps, 1), self._classes[:, :, None]
        wanted = classes[..., None].expand(*log_p.shape[:3], 1)
        measured = {
            "loss": -log_p.gather(3, wanted).mean((1, 3))[:, self._of_recipe],
            "train_accuracy": called_right(log_p, classes).float().mean(1)[:, self._of_recipe],
            "test_accuracy": accuracy,
            "test_auc": areas[:, self._of_recipe],
        }
        columns = {"recipe": recipe, "seed": seed, "epoch": np.full_like(recipe, self._epoch)}
        columns["stream"] = np.broadcast_to(np.arange(len(self._seeds))[:, None], recipe.shape)
        columns |= {name: values.cpu().numpy() for name, values in measured.items()}
        self._logs.append(pd.DataFrame({name: values.ravel() for name, values in columns.items()}))

    def trained(self) -> list[Trained]:
        """Return the kept heads of each recipe."""
        log = pd.concat(self._logs).sort_values(["recipe", "stream", "epoch"], kind="stable")
        results, seeds = [], len(self._seeds) // len(self._samplings)
        for index, recipe in enumerate(self._recipes):
            first = self._samplings.index(recipe.sampling) * seeds
            own = (value[first : first + seeds, self._recipe == index] for value in self._kept)
            weight, bias = (value.cpu().numpy() for value in own)
            kept = [(weight[:, choice].swapaxes(1, 2), bias[:, choice, :, 0]) for choice in range(weight.shape[1])]
            rows = log[(log["recipe"] == index) & log["stream"].between(first, first + seeds - 1)]
            rows = rows[rows["epoch"] <= recipe.epochs].drop(columns=["recipe", "stream"])
            results.append(Trained(*kept[0], rows.reset_index(drop=True), tuple(kept[1:])))
        return results


def called_right(outputs: Tensor, classes: Tensor) -> Tensor:
    """Return which images are called right (...): those whose class (...) has the larger of two `outputs` (..., 2).

    Of equal outputs the first counts. This is several times faster than argmax.
    """
    return (outputs[..., 1] > outputs[..., 0]) == (classes == 1)


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

"""The replay of the released script, against the script's description written out in plain PyTorch."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torchvision.transforms import v2

from deepcovid.heads import training
from deepcovid.heads.replay import Images, Net, replay
from deepcovid.heads.scoring import score
from deepcovid.nets.features import normalised
from deepcovid.settings.recipes import Recipe

RELEASED = {
    "optimiser": {"kind": "sgd", "momentum": 0.9},
    "learning_rate": 0.02,
    "schedule": {"kind": "step", "size": 2, "gamma": 0.1, "stepped": "epoch-start"},
    "epochs": 4,
    "batch_size": 8,
    "augmented": True,
    "sampling": "natural",
    "random_crop": True,
    "batch_norm": "training",
    "selection": "best-accuracy",
    "selection_on": "test",
    "cut_off": 0.2,
}
AT_REST = {"random_crop": False, "batch_norm": "evaluation"}


@pytest.fixture
def trunk():
    """A small frozen net with BatchNorm, as deepcovid.nets.trunks.trunk returns one."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 9, stride=16), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    return net.eval().requires_grad_(False)


def images(count, seed, size=224, width=None):
    """Return images whose brightness and texture hint at their class."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 2, count)
    brighter = 60 * classes * rng.random(count)
    pixels = rng.integers(0, 150, (count, size, width or size, 1)) + brighter[:, None, None, None]
    return Images([torch.from_numpy(image.astype(np.uint8)) for image in pixels], torch.from_numpy(classes), size)


def as_described(trunk, train, test, recipe, seed, run):
    """Train one head as facts about the script have it: a net in training mode, SGD on its last layer, StepLR stepped
    at the start of an epoch, the weights of the strictly best accuracy kept."""
    torch.manual_seed(seed)
    net = nn.Sequential(copy.deepcopy(trunk), nn.Linear(6, 2))
    optimiser = torch.optim.SGD(net[1].parameters(), lr=recipe.learning_rate, momentum=recipe.optimiser.momentum)
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, recipe.schedule.size, recipe.schedule.gamma)
    crop = v2.RandomResizedCrop(train.size, antialias=True)
    shown = normalised(torch.stack(test.pixels))
    best, kept = -1.0, None
    torch.manual_seed(run)
    for _ in range(recipe.epochs):
        schedule.step()
        net.train(recipe.batch_norm == "training")
        for batch in torch.randperm(len(train.pixels)).split(recipe.batch_size):
            views = [train.pixels[index] for index in batch]
            if recipe.random_crop:
                views = [crop(view.permute(2, 0, 1)).permute(1, 2, 0) for view in views]
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(normalised(torch.stack(views))), train.classes[batch]).backward()
            optimiser.step()
        net.eval()
        accuracy = (net(shown).argmax(1) == test.classes).float().mean().item()
        if accuracy > best:
            best, kept = accuracy, copy.deepcopy(net)
    return kept(shown).softmax(1)[:, 0].detach().numpy()


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize(
    "change",
    [{}, {"batch_norm": "evaluation"}, {"random_crop": False}],
    ids=["crops and drift", "crops only", "drift only"],
)
@pytest.mark.parametrize("size", [224, 96])
def test_a_replay_does_what_the_script_does(trunk, change, size):
    recipe = Recipe.model_validate(RELEASED | change)
    train, test = images(30, 1, size, width=size + 32 if recipe.random_crop else size), images(20, 2, size)
    replayed = replay(Net(copy.deepcopy(trunk), torch.device("cpu"), "fp32"), train, test, recipe, [5, 9], run=3)
    for column, seed in enumerate([5, 9]):
        expected = as_described(trunk, train, test, recipe, seed, run=3)
        np.testing.assert_allclose(replayed.scores[:, column], expected, atol=2e-4)


def test_without_crops_and_drift_a_replay_is_training_on_frozen_features(trunk):
    recipe = Recipe.model_validate(RELEASED | AT_REST)
    train, test = images(30, 1), images(20, 2)
    replayed = replay(Net(trunk, torch.device("cpu"), "fp32"), train, test, recipe, [4], run=4)
    frozen = [training.Data(trunk(normalised(torch.stack(part.pixels))), part.classes) for part in (train, test)]
    (trained,) = training.train(*frozen, [recipe], [4])
    expected = score(frozen[1].features.numpy(), trained.weight, trained.bias)
    np.testing.assert_allclose(replayed.scores, expected, atol=1e-5)
    np.testing.assert_allclose(replayed.log["loss"], trained.log["loss"], rtol=1e-4)


def test_a_run_repeats_to_the_bit_another_run_differs_and_the_global_generator_is_left_alone(trunk):
    recipe = Recipe.model_validate(RELEASED)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first, second, other = (
        replay(Net(copy.deepcopy(trunk), torch.device("cpu"), "fp32"), images(20, 1), images(9, 2), recipe, [0], run)
        for run in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(first.scores, second.scores)
    assert not np.array_equal(first.scores, other.scores)


def test_scores_are_numbers_even_if_every_epoch_gets_every_image_wrong(trunk):
    recipe, train = Recipe.model_validate(RELEASED | {"learning_rate": 1.0e-9} | AT_REST), images(20, 1)
    features = trunk(normalised(torch.stack(train.pixels)))
    torch.manual_seed(5)
    called = nn.Linear(6, 2)(features).argmax(1)
    test = Images(train.pixels, 1 - called, train.size)
    replayed = replay(Net(trunk, torch.device("cpu"), "fp32"), train, test, recipe, [5], run=1)
    assert (replayed.log["test_accuracy"] == 0).all()
    assert np.isfinite(replayed.scores).all()
    assert replayed.epochs == [1]


def test_bf16_changes_little(trunk):
    recipe = Recipe.model_validate(RELEASED)
    full, half = (
        replay(Net(copy.deepcopy(trunk), torch.device("cpu"), kind), images(20, 1), images(9, 2), recipe, [0], 1)
        for kind in ("fp32", "bf16")
    )
    np.testing.assert_allclose(half.scores, full.scores, atol=0.02)
    assert not np.array_equal(half.scores, full.scores)


@pytest.mark.parametrize("change", [{}, AT_REST])
def test_selection_may_look_at_other_images_than_the_test(trunk, change):
    recipe = Recipe.model_validate(RELEASED | change)
    train, test, apart = images(30, 1), images(20, 2), images(25, 3)

    def replayed(*selected_on):
        return replay(
            Net(copy.deepcopy(trunk), torch.device("cpu"), "fp32"), train, test, recipe, [4, 7], 3, *selected_on
        )

    found, on_test = replayed(apart), replayed()
    pd.testing.assert_frame_equal(found.log, on_test.log)  # which is of the test images
    expected = replay(Net(copy.deepcopy(trunk), torch.device("cpu"), "fp32"), train, apart, recipe, [4, 7], 3)
    assert found.epochs == expected.epochs


def test_balanced_sampling_draws_both_classes_alike_often(trunk):
    recipe = Recipe.model_validate(RELEASED | AT_REST | {"sampling": "balanced", "batch_norm": "evaluation"})
    train, test = images(30, 1), images(20, 2)
    found = replay(Net(trunk, torch.device("cpu"), "fp32"), train, test, recipe, [4], run=4)
    frozen = [training.Data(trunk(normalised(torch.stack(part.pixels))), part.classes) for part in (train, test)]
    (trained,) = training.train(*frozen, [recipe], [4])
    np.testing.assert_allclose(found.log["loss"], trained.log["loss"], rtol=1e-4)

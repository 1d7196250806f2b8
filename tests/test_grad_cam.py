"""Grad-CAM against a computation by hand, layer by layer."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate, relu

from deepcovid.heatmaps.grad_cam import grad_cam
from deepcovid.nets.chest_xrays import NAME as CHEST_XRAYS
from deepcovid.nets.chest_xrays import grey_levels
from deepcovid.nets.features import normalised
from deepcovid.nets.trunks import trunk
from deepcovid.nets.weights import random_state
from deepcovid.settings.analyses import FeatureSettings

MODELS = ["resnet18", "squeezenet1_1", "densenet121", CHEST_XRAYS]
SETTINGS = FeatureSettings(device="cpu", precision="fp32", batch_size=2)


@pytest.fixture(scope="module", params=MODELS)
def case(request):
    """A net of random weights, three images of 3 channels and a head's margin."""
    model = request.param
    images = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)
    images[:, 40:120, 60:90] = 250
    images[1] = images[1, ::-1]
    net = trunk(model, random_state(model, 0, normalised(torch.from_numpy(images))))
    features = 1024 if "densenet121" in model else 512
    return model, net, images, np.random.default_rng(1).normal(0.1, 1, features).astype(np.float32)


def by_hand(model, net, images, margin):
    """Mean gradients as weights, the positive part of the weighted sum, and PyTorch's bilinear interpolation."""
    batch = normalised(torch.from_numpy(images))
    if model == "resnet18":
        for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"):
            batch = getattr(net, name)(batch)
    else:
        batch = net.features(grey_levels(batch) if model == CHEST_XRAYS else batch)
    stage = batch.detach().requires_grad_()
    last = relu(stage) if "densenet121" in model else stage
    (last.mean((2, 3)) @ torch.from_numpy(margin)).sum().backward()
    heat = relu((stage.grad.mean((2, 3), keepdim=True) * stage.detach()).sum(1, keepdim=True))
    return interpolate(heat, (224, 224), mode="bilinear")[:, 0].numpy()


def test_maps_are_those_computed_by_hand(case):
    model, net, images, margin = case
    found = np.array(list(grad_cam(model, net, images, margin, SETTINGS)))
    expected = by_hand(model, net, images, margin)
    assert found.shape == (3, 224, 224)
    assert found.dtype == np.float32
    assert (found >= 0).all()
    assert expected.max() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * expected.max())


def test_the_net_stays_frozen_and_its_features_as_they_were(case):
    model, net, images, margin = case
    batch = normalised(torch.from_numpy(images[:1]))
    before = net(batch)
    list(grad_cam(model, net, images[:1], margin, SETTINGS))
    assert not any(part.requires_grad for part in net.parameters())
    assert all(part.grad is None for part in net.parameters())
    np.testing.assert_allclose(net(batch).numpy(), before.numpy(), rtol=1e-4, atol=1e-5)


def test_the_other_class_has_the_heat_that_is_left():
    images = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 1), dtype=np.uint8)
    net = trunk("resnet18", random_state("resnet18", 0, torch.rand(4, 3, 224, 224)))
    margin = np.random.default_rng(1).normal(size=512).astype(np.float32)
    (heat,), (less,), (twice,) = (
        grad_cam("resnet18", net, images, factor * margin, SETTINGS) for factor in (np.float32(f) for f in (1, -1, 2))
    )
    assert not np.allclose(heat, less)
    np.testing.assert_allclose(twice, 2 * heat, rtol=1e-4, atol=1e-6)


def test_bf16_resembles_fp32():
    images = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 1), dtype=np.uint8)
    state = random_state("resnet18", 0, torch.rand(4, 3, 224, 224))
    margin = np.random.default_rng(1).normal(0.1, 1, 512).astype(np.float32)
    exact, rough = (
        next(grad_cam("resnet18", trunk("resnet18", state), images, margin, SETTINGS.model_copy(update=precision)))
        for precision in ({}, {"precision": "bf16"})
    )
    assert np.corrcoef(exact.ravel(), rough.ravel())[0, 1] > 0.95


def test_a_device_that_is_not_there_is_refused(refused):
    net = trunk("resnet18", random_state("resnet18", 0, torch.rand(2, 3, 224, 224)))
    absent = SETTINGS.model_copy(update={"device": "cuda:77"})
    with refused("features.device is cuda:77", "choose auto or cpu"):
        next(grad_cam("resnet18", net, np.zeros((1, 224, 224, 1), np.uint8), np.zeros(512, np.float32), absent))

"""Each line of the zoo says what is so; a line that does not is refused in one sentence."""

import pytest
import torch
from torch import nn

from deepcovid.nets.trunks import build, check_line, check_size, classes_of, trunk
from deepcovid.nets.zoo import NETS
from deepcovid.settings.analyses import Net
from stages.weights import weights_stage
from tests.checkouts import parameters

IMAGES = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
# Nets that are in torchvision and not in the zoo, with a right line, and their number of features.
OTHERS = {
    "wide_resnet50_2": (Net(title="Wide", last_layer="fc", last_stage="layer4"), 2048),
    "mobilenet_v3_small": (Net(title="Mobile", last_layer="classifier", last_stage="features"), 576),
    "efficientnet_b0": (Net(title="Efficient", last_layer="classifier.1", last_stage="features"), 1280),
    "vit_b_16": (Net(title="ViT", last_layer="heads.head", last_stage="conv_proj"), 768),
}


@pytest.mark.parametrize("model", NETS)
def test_a_line_of_the_zoo_is_right(model):
    """By running the net: `check_line` goes by shapes alone."""
    line, net, seen = NETS[model], build(model).eval(), {}
    for name in (line.last_layer, line.last_stage):
        net.get_submodule(name).register_forward_hook(
            lambda _, given, made, name=name: seen.update({name: (given[0], made)})
        )
    with torch.inference_mode():
        classes = net(IMAGES)
        features = trunk(model, net.state_dict())(IMAGES).flatten(1)
    entered, left = seen[line.last_layer]
    assert classes.shape == (2, classes_of(model))
    assert left.flatten(2).mean(-1).shape == classes.shape if line.averages else left is classes
    assert entered.ndim == (4 if line.averages else 2)
    assert features.shape == (2, entered.shape[1])
    assert check_line(model, line) == entered.shape[1]
    stage = seen[line.last_stage][1]
    assert stage.ndim == 4
    assert stage.shape[2:].numel() > 1


@pytest.mark.parametrize("model", OTHERS)
def test_another_net_of_torchvisions_needs_no_more_than_a_line(model, monkeypatch):
    line, width = OTHERS[model]
    assert check_line(model, line) == width
    monkeypatch.setitem(NETS, model, line)
    net = build(model)
    with torch.inference_mode():
        assert trunk(model, net.state_dict())(IMAGES).flatten(1).shape == (2, width)


@pytest.mark.parametrize("model", NETS)
def test_a_net_of_the_zoo_takes_images_of_every_size(model):
    for size in (64, 96, 512):
        check_size(model, size)


@pytest.mark.parametrize(
    ("model", "last_layer", "last_stage", "size", "part"),
    [
        ("vit_b_16", "heads.head", "conv_proj", 96, "(Wrong image height! Expected 224 but got 96!)"),
        ("alexnet", "classifier", "features", 64, ": its features shrinks them to 1 x 1; "),
        ("inception_v3", "fc", "Mixed_7c", 64, "Output size is too small"),
    ],
)
def test_a_size_that_a_net_cannot_take_is_refused(refused, monkeypatch, model, last_layer, last_stage, size, part):
    monkeypatch.setitem(NETS, model, Net(title="Some net", last_layer=last_layer, last_stage=last_stage))
    with refused(f"the net {model} cannot take images of {size} x {size} pixels", part, "another image_size"):
        check_size(model, size)


def test_a_check_draws_no_random_number():
    state = torch.get_rng_state()
    check_size("squeezenet1_1", 96)
    assert torch.equal(torch.get_rng_state(), state)


WRONG = [
    ("vit_b_16", "heads", "encoder", {}, ["last_stage is 'encoder', whose output, 197 x 768", "has no spatial grid"]),
    ("resnet18", "fc", "avgpool", {}, ["last_stage is 'avgpool', whose output, 512 x 1 x 1", "has no spatial grid"]),
    (
        "wide_resnet50_2",
        "fully",
        "layer4",
        {},
        ["last_layer is 'fully', which is not a layer", "its top-level layers are conv1, bn1"],
    ),
    ("wide_resnet50_2", "fc", "layer5", {}, ["last_stage is 'layer5', which is not a layer", "avgpool, fc"]),
    ("wide_resnet50_2", "", "layer4", {}, ["last_layer is '', which is not a layer"]),
    ("wide_resnet50_2", "fc", "", {}, ["last_stage is '', which is not a layer"]),
    ("wide_resnet50_2", "layer4", "layer4", {}, ["last_layer is 'layer4', which gives 2048 x 7 x 7", "1000 classes"]),
    ("vit_b_16", "encoder", "conv_proj", {}, ["last_layer is 'encoder', which gives 197 x 768 numbers an image"]),
    ("wide_resnet50_2", "fc", "layer4", {"averages": True}, ["'fc', which takes 2048 numbers", "leave averages out"]),
    ("squeezenet1_0", "classifier", "features", {}, ["which takes 512 x 13 x 13 numbers", "set averages=True"]),
    ("googlenet", "fc", "aux1", {}, ["last_stage is 'aux1', which is not used when the net runs"]),
    ("vit_b_16", "heads", "encoder.layers.encoder_layer_0.self_attention", {}, ["or gives no tensor"]),
    ("resnet19", "fc", "layer4", {}, ["torchvision has none of that name"]),
]


@pytest.mark.parametrize(("model", "layer", "stage", "more", "parts"), WRONG)
def test_a_wrong_line_is_refused_in_one_sentence(refused, monkeypatch, model, layer, stage, more, parts):
    line = Net(title="Some net", last_layer=layer, last_stage=stage, **more)
    with refused(f"the net {model}: ", *parts, "correct its line in deepcovid/nets/zoo.py"):
        check_line(model, line)


def test_the_first_stage_that_uses_nets_refuses_one_whose_line_is_wrong(refused, monkeypatch):
    monkeypatch.setitem(NETS, "resnet18", Net(title="ResNet18", last_layer="fc", last_stage="fc"))
    with refused("the net resnet18: last_stage is 'fc', whose output, 1000 numbers an image, has no spatial grid"):
        weights_stage(parameters(), "phantom")


def test_a_net_in_which_the_last_layer_stands_aside_is_refused(refused, monkeypatch):
    """Without it such a net still gives something else."""

    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.stage, self.last = nn.Conv2d(3, 8, 9, stride=9), nn.Linear(8, 1000)

        def forward(self, images):
            means = self.stage(images).mean((2, 3))
            return torch.cat([self.last(means), means], dim=1)

    monkeypatch.setattr("deepcovid.nets.trunks.build", lambda model: Odd())
    with refused("last_layer is 'last', without which the net gives 16 numbers an image"):
        check_line("resnet18", Net(title="Odd", last_layer="last", last_stage="stage"))

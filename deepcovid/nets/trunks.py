"""Frozen nets: torchvision's architectures without their last layer."""

from pathlib import Path

import torchvision
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from deepcovid.nets.zoo import NETS

State = dict[str, Tensor]


def build(model: str) -> nn.Module:
    """Return torchvision's architecture `model`, with the 1,000-class last layer and weights as its code sets them."""
    net = torchvision.models.get_model(model, weights=None)
    assert isinstance(net, nn.Module)
    return net


def trunk(model: str, state: State) -> nn.Module:
    """Return the frozen net without its last layer, in evaluation mode.

    It maps images (batch, 3, 224, 224) to features (batch, channels): the channels that enter the last layer, averaged
    over the image. For SqueezeNet, whose last layer is a convolution, see `deepcovid/heads/training.py`.
    """
    net, line = build(model), NETS[model]
    net.load_state_dict(state)
    setattr(net, line.last_layer, nn.AdaptiveAvgPool2d(1) if line.averages else nn.Identity())
    return net.eval().requires_grad_(False)


def write_state(path: Path, model: str, state: State) -> None:
    """Write a state dict as safetensors that names its net."""
    # Not save_file: its error on a full disk is no OSError.
    path.write_bytes(save({name: value.contiguous() for name, value in state.items()}, metadata={"model": model}))


def read_state(path: Path) -> tuple[str, State]:
    """Return the net's name and the state dict that `write_state` wrote."""
    with safe_open(path, "pt") as file:
        model = file.metadata()["model"]
    return model, load_file(path)

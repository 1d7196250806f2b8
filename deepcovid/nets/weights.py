"""A net's weights: published by its authors, read from a file, or random with a seed.

Random weights are scaled so that features are of order one.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn

from deepcovid.errors import UserError
from deepcovid.fetching import RemoteFile, find
from deepcovid.nets import chest_xrays
from deepcovid.nets.trunks import State, build


def published_file(model: str, editions: dict[str, str], mirrors: Sequence[Path]) -> RemoteFile:
    """Return where to get the weights that the authors of `model` published.

    For torchvision's nets these are the ImageNet weights. The net for chest X-rays is published only as a pickled net,
    which is never loaded here. So one of `mirrors` must have its state dict, as a .safetensors or a .pth file.

    Args:
        model: Architecture.
        editions: What is known about files of weights, by SHA-256.
        mirrors: Folders to look in.

    Raises:
        UserError: One of the mirrors is not a folder.
    """
    if model == chest_xrays.NAME:
        arrays, plain = f"weights/{model}.safetensors", f"weights/{model}.pth"
        path = plain if find(mirrors, plain) and not find(mirrors, arrays) else arrays
        return RemoteFile(path=path, url="", remedy=chest_xrays.REMEDY, editions=editions)
    url: str = torchvision.models.get_model_weights(model)["IMAGENET1K_V1"].url
    published = re.search(r"-([0-9a-f]{8,})\.pth$", url)
    assert published
    return RemoteFile(
        path=f"weights/{model}.pth",
        url=url,
        remedy="set DEEPCOVID_MIRROR to a folder that has it, name a folder of weights in weights.source, or choose "
        "random weights with weights.source: random",
        editions=editions,
        sha256_prefix=published[1],
    )


def file_in(folder: Path, model: str) -> Path:
    """Return the path of `model`'s file in a folder of weights.

    Without a .safetensors file this is the .pth file's path, whether it exists or not. An error can then name it.
    """
    arrays = folder / f"{model}.safetensors"
    return arrays if arrays.is_file() else folder / f"{model}.pth"


def load(path: Path, model: str) -> State:
    """Return the state dict in a .pth or .safetensors file, checked against the architecture.

    Raises:
        UserError: The file is missing, holds code or anything else but a state dict, is of another architecture, or
            has a weight that is not a finite number.
    """
    loaded = _load_plain(path, model)
    if not isinstance(loaded, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in loaded.items()
    ):
        raise UserError(f"{path}: not a plain state dict of tensors; save the net's state_dict()")
    if model == chest_xrays.NAME:
        loaded.pop(chest_xrays.CUT_OFFS, None)
    net = build(model)
    try:
        net.load_state_dict({_current_name(name): value for name, value in loaded.items()})
    except RuntimeError as error:
        what = str(error).splitlines()[1].strip()
        raise UserError(f"{path}: not the weights of {model} ({what[:120]}); name that net's file") from None
    if not all(value.isfinite().all() for value in net.state_dict().values()):
        raise UserError(f"{path}: damaged (a weight is not a finite number); get the file again")
    return net.state_dict()


def _load_plain(path: Path, model: str) -> Any:
    own = chest_xrays.REMEDY if model == chest_xrays.NAME else ""
    try:
        return load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except FileNotFoundError:
        remedy = own or "correct weights.source, or choose random weights with weights.source: random"
        raise UserError(f"{path}: no such weight file; {remedy}") from None
    except PermissionError:
        raise
    except Exception as error:  # if the bytes are no state dict, the readers raise errors of any type
        remedy = own or "save the net's state_dict() or get the file again"
        raise UserError(
            f"{path}: not a weight file, or damaged, or it holds code or objects, which are never loaded "
            f"({type(error).__name__}); {remedy}"
        ) from None


def _current_name(key: str) -> str:
    """Return today's name of a DenseNet layer. torchvision's files of weights use older names than its code."""
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])", r"\1\2", key)


def random_state(model: str, seed: int, images: Tensor) -> State:
    """Return random weights that give features of order one on `images`.

    Weights are first drawn as torchvision draws them. Then each channel gets mean 0 and standard deviation 1 over
    `images`, before its activation (data-dependent initialisation, Krahenbuhl et al. 2016). If the net has BatchNorm,
    its running statistics do this. Otherwise the weights and biases of each layer are changed in turn. Without this
    step, SqueezeNet's features hardly vary from image to image.

    Args:
        model: Architecture.
        seed: Seed of the draw.
        images: (batch, 3, side, side), normalised as for the net.
    """
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(seed)
        net = build(model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
        if norms:
            for norm in norms:
                norm.momentum = None  # running statistics become plain averages
            net.train()(images)
        else:
            layers = [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
            hooks = [module.register_forward_hook(_standardise) for module in layers]
            net.eval()(images)
            for hook in hooks:
                hook.remove()
    return net.state_dict()


def _standardise(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Change a layer so that each channel of its output has mean 0 and standard deviation 1; return that output."""
    assert isinstance(module, nn.Conv2d | nn.Linear)
    over = (0, 2, 3) if isinstance(module, nn.Conv2d) else (0,)
    mean, deviation = output.mean(over, keepdim=True), output.std(over, keepdim=True)
    deviation = torch.where(deviation > 0, deviation, 1.0)  # a channel that does not vary is only shifted
    if module.bias is None:
        mean = torch.zeros_like(mean)
    else:
        module.bias.sub_(mean.flatten()).div_(deviation.flatten())
    module.weight.div_(deviation.reshape(-1, *[1] * (module.weight.ndim - 1)))
    return (output - mean) / deviation

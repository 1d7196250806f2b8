"""Frozen nets without their last layer: torchvision's architectures, and the nets in OTHERS."""

from pathlib import Path

import torch
import torchvision
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from deepcovid.errors import REMAKE, UserError, reason_of
from deepcovid.nets import chest_xrays
from deepcovid.nets.zoo import NETS
from deepcovid.settings.analyses import Net

State = dict[str, Tensor]
CLASSES = 1000  # of ImageNet
MADE_FOR = 224  # pixels, the side of the images that the nets were made for
OTHERS = {chest_xrays.NAME: chest_xrays.ChestXrayNet}  # nets that torchvision does not have


def build(model: str) -> nn.Module:
    """Return the architecture `model` with its own last layer, and with the initial weights that its code sets."""
    net = OTHERS[model]() if model in OTHERS else torchvision.models.get_model(model, weights=None)
    assert isinstance(net, nn.Module)
    return net


def classes_of(model: str) -> int:
    """Return the number of classes of a net's own last layer: ImageNet's 1,000, or what a net in OTHERS has."""
    return OTHERS[model].CLASSES if model in OTHERS else CLASSES


def trunk(model: str, state: State) -> nn.Module:
    """Return the frozen net without its last layer, in evaluation mode.

    It maps images (batch, 3, side, side) to features (batch, channels): the channels that enter the last layer,
    averaged over the image. For SqueezeNet, whose last layer is a convolution, see `deepcovid/heads/training.py`.

    Args:
        model: A net of the zoo, whose line is right (`check_line`).
        state: Its weights.
    """
    with torch.device("meta"):  # to draw initial weights would take longer than all the rest
        net = build(model)
    net.to_empty(device="cpu").load_state_dict(state)
    _replace_last_layer(net, NETS[model])
    return net.eval().requires_grad_(False)


def check_line(model: str, line: Net) -> int:
    """Check that a net's line in the zoo is right, and return the net's number of features.

    The net is built and run on torch's device `meta`, where tensors have shapes but no values. This takes a fraction
    of a second and draws no random numbers. The test images have the side that the net was made for; `check_size`
    checks the image size of a data set.

    Raises:
        UserError: There is no such net, or its line is wrong: a submodule that it names does not exist, the last layer
            does not give the net's classes, the net does not give features without it, or the last stage's output has
            only one place (or is no map at all).
    """
    classes = classes_of(model)
    if model not in (*torchvision.models.list_models(), *OTHERS):
        raise UserError(
            f"the net {model}: torchvision has none of that name; correct its line in deepcovid/nets/zoo.py"
        )
    with torch.device("meta"), torch.inference_mode():
        net, images = build(model).eval(), torch.empty(2, 3, MADE_FOR, MADE_FOR)
        known = dict(net.named_modules())
        for field, name in (("last_layer", line.last_layer), ("last_stage", line.last_stage)):
            if not name or name not in known:
                top = ", ".join(child for child, _ in net.named_children())
                raise _wrong(model, field, name, f"which is not a layer of the net; its top-level layers are {top}")
        seen = _shapes(net, {line.last_layer, line.last_stage}, images)
        for field, name in (("last_layer", line.last_layer), ("last_stage", line.last_stage)):
            if name not in seen:
                raise _wrong(model, field, name, "which is not used when the net runs, or gives no tensor")
        (before, after), stage = seen[line.last_layer], seen[line.last_stage][1]
        if after[:2] != (2, classes) or len(after) not in (2, 4):
            raise _wrong(
                model, "last_layer", line.last_layer, f"which gives {_dims(after)} instead of {classes} classes"
            )
        if len(before) != (4 if line.averages else 2):
            means = "a convolution: set averages=True" if len(before) == 4 else "a linear layer: leave averages out"
            raise _wrong(model, "last_layer", line.last_layer, f"which takes {_dims(before)}; it is {means}")
        if len(stage) != 4 or stage[2] * stage[3] == 1:
            raise _wrong(model, "last_stage", line.last_stage, f"whose output, {_dims(stage)}, has no spatial grid")
        _replace_last_layer(net, line)
        features = net(images).flatten(1).shape
    if features != before[:2]:
        raise _wrong(model, "last_layer", line.last_layer, f"without which the net gives {_dims(features)}")
    return int(before[1])


def check_size(model: str, size: int) -> None:
    """Check that a net of the zoo can take images of `size` x `size` pixels; like `check_line`, on the device `meta`.

    Raises:
        UserError: The net's line is wrong, the net cannot take such images, or its last stage leaves only one place.
    """
    check_line(model, NETS[model])
    stage, remedy = NETS[model].last_stage, "choose another image_size, or leave the net out of models"
    with torch.device("meta"), torch.inference_mode():
        net, images = build(model).eval(), torch.empty(2, 3, size, size)
        try:
            made = _shapes(net, {stage}, images)[stage][1]
        except (RuntimeError, ValueError, AssertionError) as error:
            raise UserError(
                f"the net {model} cannot take images of {size} x {size} pixels ({reason_of(error)}); {remedy}"
            ) from None
    if made[2] * made[3] == 1:
        raise UserError(
            f"the net {model} cannot take images of {size} x {size} pixels: its {stage} shrinks them to 1 x 1; {remedy}"
        )


def _shapes(net: nn.Module, names: set[str], images: Tensor) -> dict[str, tuple[torch.Size, torch.Size]]:
    """Run the net and return the shapes of the input and the output of each named layer.

    A layer that does not run, or does not give a tensor, is left out.
    """
    seen: dict[str, tuple[torch.Size, torch.Size]] = {}

    def record(name: str) -> None:
        def hook(_: nn.Module, given: tuple[Tensor, ...], made: object) -> None:
            if isinstance(made, Tensor):
                seen[name] = (given[0].shape, made.shape)

        net.get_submodule(name).register_forward_hook(hook)

    for name in names:
        record(name)
    net(images)
    return seen


def _replace_last_layer(net: nn.Module, line: Net) -> None:
    parent, _, name = line.last_layer.rpartition(".")
    setattr(net.get_submodule(parent), name, nn.AdaptiveAvgPool2d(1) if line.averages else nn.Identity())


def _wrong(model: str, field: str, name: str, why: str) -> UserError:
    return UserError(f"the net {model}: {field} is {name!r}, {why}; correct its line in deepcovid/nets/zoo.py")


def _dims(shape: torch.Size) -> str:
    """Return a shape in words, without the batch dimension."""
    return f"{' x '.join(map(str, shape[1:]))} numbers an image"


def write_state(path: Path, model: str, state: State) -> None:
    """Write a state dict to a safetensors file, with the net's name in its metadata."""
    # save_file is not used: on a full disk its error is not an OSError.
    path.write_bytes(save({name: value.contiguous() for name, value in state.items()}, metadata={"model": model}))


def read_state(path: Path) -> tuple[str, State]:
    """Return the net's name and the state dict that `write_state` wrote.

    Raises:
        UserError: The file is missing or damaged, names an unknown net, or has other tensors than the net it names.
    """
    try:
        with safe_open(path, "pt") as file:
            model = file.metadata()["model"]
        state = load_file(path)
    except (FileNotFoundError, SafetensorError, TypeError, KeyError):
        raise UserError(f"{path}: not a weight file of the stage `weights`; run `dvc repro`") from None
    if model not in (*torchvision.models.list_models(), *OTHERS):
        raise UserError(f"{path}: weights of the unknown net {model!r}; {REMAKE}")
    with torch.device("meta"):
        wanted = {name: value.shape for name, value in build(model).state_dict().items()}
    if {name: value.shape for name, value in state.items()} != wanted:
        raise UserError(f"{path}: its tensors are not those of {model}; {REMAKE}")
    if not all(value.isfinite().all() for value in state.values()):
        raise UserError(f"{path}: damaged (a weight is not a finite number); {REMAKE}")
    return model, state

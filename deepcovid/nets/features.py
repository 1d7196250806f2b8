"""Frozen features: one vector per image from a net without its last layer."""

import ctypes
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepcovid.arrays import ArrayWriter
from deepcovid.errors import UserError
from deepcovid.images.transform import MEAN, STD
from deepcovid.progress import bar
from deepcovid.settings.analyses import FeatureSettings


def normalised(pixels: Tensor) -> Tensor:
    """Return uint8 images (batch, side, side, 1 or 3) as the net's input: float32 (batch, 3, side, side).

    Channels come last in memory.
    """
    scaled = pixels.float().div_(255)
    colour = scaled.sub(torch.tensor(MEAN, device=pixels.device)).div_(torch.tensor(STD, device=pixels.device))
    return colour.permute(0, 3, 1, 2)


def extract(
    net: nn.Module, batches: Iterable[NDArray[np.uint8]], settings: FeatureSettings
) -> Iterator[NDArray[np.float32]]:
    """Yield features batch by batch, float32 (batch, features); memory does not grow with the number of images.

    Args:
        net: What `deepcovid.nets.trunks.trunk` returns.
        batches: Each uint8 (batch, side, side, 1 or 3).
        settings: Device and precision.

    Raises:
        UserError: The device is not there, or has too little memory for a batch.
    """
    device = choose_device(settings.device)
    keep_large_buffers()
    dtype = torch.bfloat16 if settings.precision == "bf16" else torch.float32
    net = net.to(device, dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    # The same bytes on every run, and the precision that was asked for.
    torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32 = True, False
    for batch in batches:
        try:
            with torch.inference_mode():
                images = normalised(torch.from_numpy(batch).to(device))
                features = net(images.to(dtype)).flatten(1).float().cpu().numpy()
        except torch.OutOfMemoryError:
            raise UserError(f"{device}: too little memory for {len(batch)} images; lower features.batch_size") from None
        yield features


def write_features(
    path: Path, net: nn.Module, batches: Iterable[NDArray[np.uint8]], images: int, settings: FeatureSettings, what: str
) -> None:
    """Write the features of all batches, `images` in number, to a .npy file: float32 (images, features).

    `what` names the work in the progress bar; the rest is as for `extract`.
    """
    extracted = iter(extract(net, batches, settings))
    first = next(extracted)
    with ArrayWriter(path, first.shape[1:], np.float32) as writer, bar(what, total=images) as progress:
        for batch in chain([first], extracted):
            writer.append(batch)
            progress.update(len(batch))


def choose_device(name: str) -> torch.device:
    """Return the device called `name`; `auto` is CUDA where there is one.

    Raises:
        UserError: CUDA was asked for and is not there.
    """
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if available else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= available:
        raise UserError(f"features.device is {name}, but {available} CUDA devices are usable; choose auto or cpu")
    return device


def keep_large_buffers() -> None:
    """Tell glibc to keep freed buffers; otherwise each batch's activations are faulted in again (10-25 % slower)."""
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it, musl does not
        if mallopt:
            trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD in malloc.h
            mallopt(mmap_threshold, 1 << 30)
            mallopt(trim_threshold, (1 << 31) - 1)

"""Frozen features: one vector per image from a net without its last layer."""

import ctypes
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepcovid.arrays import batches
from deepcovid.errors import UserError
from deepcovid.files import Known
from deepcovid.images.transform import MEAN, STD
from deepcovid.nets.trunks import read_state, trunk
from deepcovid.settings.analyses import FeatureSettings

Item = TypeVar("Item")
View = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]  # turns a batch of images into another batch


def normalised(pixels: Tensor) -> Tensor:
    """Return uint8 images (batch, side, side, 1 or 3) as the net's input: float32 (batch, 3, side, side).

    The memory format is channels-last.
    """
    mean, std = _mean_and_std(pixels.device)
    return pixels.float().div_(255).sub(mean).div_(std).permute(0, 3, 1, 2)


@lru_cache
def _mean_and_std(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the mean and deviation of ImageNet's channels, (3) each. Copying them for each batch makes CUDA wait."""
    with torch.inference_mode(False):  # tensors for every use, whoever asks first
        return torch.tensor(MEAN, device=device), torch.tensor(STD, device=device)


def extract(
    net: nn.Module, batches: Iterable[NDArray[np.uint8]], settings: FeatureSettings
) -> Iterator[NDArray[np.float32]]:
    """Yield features batch by batch, float32 (batch, features).

    Memory does not grow with the number of images.

    Args:
        net: What `deepcovid.nets.trunks.trunk` returns.
        batches: Each uint8 (batch, side, side, 1 or 3).
        settings: Device and precision.

    Raises:
        UserError: The device does not exist, or has too little memory for a batch.
    """
    keep_large_buffers()
    net, device, dtype = on_device(net, settings)
    for batch in batches:
        try:
            with torch.inference_mode():
                pixels = torch.from_numpy(batch)
                if device.type == "cuda":
                    pixels = pixels.pin_memory()  # only a copy from pinned memory can overlap with other work
                images = normalised(pixels.to(device, non_blocking=True))
                features = net(images.to(dtype)).flatten(1).float().cpu().numpy()
        except torch.OutOfMemoryError:
            raise UserError(f"{device}: too little memory for {len(batch)} images; lower features.batch_size") from None
        yield features


def on_device(net: nn.Module, settings: FeatureSettings) -> tuple[nn.Module, torch.device, torch.dtype]:
    """Return the net on the settings' device and in their precision, with that device and the type of its weights.

    Under bf16 the weights are converted once. Autocast would convert those of a frozen net again for every batch.

    Raises:
        UserError: The device does not exist.
    """
    device = choose_device(settings.device)
    dtype = torch.bfloat16 if settings.precision == "bf16" else torch.float32
    same_bytes()
    return net.to(device, dtype).to(memory_format=torch.channels_last), device, dtype  # type: ignore[call-overload]


def on_cuda(settings: FeatureSettings) -> bool:
    """Return whether nets run on CUDA.

    Raises:
        UserError: The device does not exist.
    """
    return choose_device(settings.device).type == "cuda"


def same_bytes() -> None:
    """Let CUDA give the same bytes on every run, in the precision that was asked for (TF32 would be less)."""
    torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32 = True, False


def ahead(items: Iterable[Item]) -> Generator[Item]:
    """Yield the items. While the caller uses one item, a thread makes the next one.

    So making an item must not overwrite the item before it.
    """
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1) as pool:
        waiting: Future[Any] = pool.submit(next, iterator, end)
        while (item := waiting.result()) is not end:
            waiting = pool.submit(next, iterator, end)
            yield item


class FeaturePass(NamedTuple):
    """A pass of a frozen net over images, for `deepcovid.passes`: features, float32 (images, features).

    Attributes:
        weights: File of the net, written by `deepcovid.nets.trunks.write_state`.
        pixels: File of the images, uint8 (images, side, side, 1 or 3).
        rows: Number of images.
        settings: Device, precision and batch size.
        wanted: (images), true for each image that the net is to see; None for all. Batches are cut before the other
            images are left out, so some may be smaller.
        view: Function that changes a batch of images before the net sees it; None for no change.
    """

    weights: Known
    pixels: Known
    rows: int
    settings: FeatureSettings
    wanted: NDArray[np.bool_] | None = None
    view: View | None = None

    @property
    def batch_size(self) -> int:
        """How many images are read at a time."""
        return self.settings.batch_size

    def __call__(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the features of the images from `start` to before `stop`.

        Raises:
            UserError: See `extract`. Also if the file of the weights or of the pixels has changed.
        """
        net = net_in_worker(self.weights, self.settings)
        with closing(ahead(self._batches(start, stop))) as images:  # ends its thread, even on an error
            features = list(extract(net, images, self.settings))
        return np.concatenate(features) if features else np.empty(0, np.float32)

    def _batches(self, start: int, stop: int) -> Iterator[NDArray[np.uint8]]:
        for batch in batches(self.pixels.checked(), self.batch_size, start, stop):
            if self.wanted is not None:
                batch = batch[self.wanted[start : start + len(batch)]]
            start += self.batch_size
            if len(batch):
                yield self.view(batch) if self.view else batch


def net_in_worker(weights: Known, settings: FeatureSettings) -> nn.Module:
    """Return a net for `extract` in a worker process, which works on one thread from now on.

    Each core has a worker, and threads of a net would wait for each other. The last bits of a feature depend on the
    number of threads, so they are now the same on any number of cores.

    Raises:
        UserError: The file of the weights has changed.
    """
    torch.set_num_threads(1)
    return _net(weights, settings)


@lru_cache(maxsize=1)
def _net(weights: Known, settings: FeatureSettings) -> nn.Module:
    """Return a net, built once per process. It is cached by `settings` too, as `extract` changes its precision."""
    return trunk(*read_state(weights.checked()))


def choose_device(name: str) -> torch.device:
    """Return the device called `name`; `auto` is CUDA if available, otherwise the CPU.

    Raises:
        UserError: CUDA was asked for, but is not available.
    """
    if name == "cpu":  # CUDA is not asked: it would complain in a forked process
        return torch.device("cpu")
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if available else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= available:
        raise UserError(f"features.device is {name}, but {available} CUDA devices are usable; choose auto or cpu")
    return device


def keep_large_buffers() -> None:
    """Tell glibc to keep freed memory for the next batch.

    Otherwise the memory goes back to the system, and getting it again for each batch makes passes 10-25 % slower.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it, musl does not
        if mallopt:
            trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD in malloc.h
            mallopt(mmap_threshold, 1 << 30)
            mallopt(trim_threshold, (1 << 31) - 1)

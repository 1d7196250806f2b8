"""Occlusion: a grey window slides over an image; where it takes something from the score, the score came from there.

The paper's section 4.7, after Zeiler and Fergus 2014. The numbers are those of captum's Occlusion; its masks and float
copies of the image for every place of the window are not made, and batches stay full from one image to the next.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from deepcovid.arrays import load_array
from deepcovid.errors import UserError
from deepcovid.files import Known
from deepcovid.nets.features import extract, net_in_worker
from deepcovid.progress import track
from deepcovid.settings.analyses import FeatureSettings

Score = Callable[[NDArray[np.float32]], NDArray[np.float64]]
Place = tuple[slice, slice]  # of a window: rows and columns of the image


class Window(NamedTuple):
    """A square window: its side and its stride in pixels, and its grey level 0..255."""

    size: int
    stride: int
    fill: int


def check_window(window: Window, height: int, width: int) -> None:
    """Raise UserError if `window` does not fit into an image, or would leave pixels out."""
    if window.size > min(height, width):
        raise UserError(
            f"the window's side is {window.size} pixels, more than an image of {height} x {width} has; choose a "
            "smaller window"
        )
    if window.stride > window.size:
        limit, less = ("image", min(height, width)) if window.stride > min(height, width) else ("window", window.size)
        raise UserError(
            f"the stride is {window.stride} pixels, more than the {limit}'s side of {less}, so that pixels would never "
            "be covered; choose a smaller stride"
        )
    if min(window.size, window.stride) < 1 or not 0 <= window.fill <= 255:
        raise UserError(f"{window}: side and stride must be at least 1 pixel, the fill a grey level from 0 to 255")


def places(window: Window, side: int) -> list[slice]:
    """Return the window's places along a side of the image, in pixels.

    Where the stride does not divide what is left of the side, the last place is cut off at the edge, as captum does it.
    """
    steps = -(-(side - window.size) // window.stride) + 1
    return [slice(start, min(start + window.size, side)) for start in range(0, steps * window.stride, window.stride)]


def occlusion(
    net: nn.Module, images: NDArray[np.uint8], score: Score, window: Window, settings: FeatureSettings
) -> Iterator[NDArray[np.float32]]:
    """Yield a map per image, float32 (height, width): the mean drop of the score over the windows that cover a pixel.

    The drop is the score of the whole image less that with the window there. Positive where the image speaks for
    COVID-19, negative where it speaks against; 0.1 is a score that falls from, say, 0.9 to 0.8.

    Args:
        net: What `deepcovid.nets.trunks.trunk` returns.
        images: (images, height, width, 1 or 3).
        score: A function that turns features (batch, features) into P(covid) (batch).
        window: What slides over them.
        settings: Device, precision and batch size.

    Raises:
        UserError: The window does not fit; or the device is not there, or has too little memory for a batch.
    """
    height, width = images.shape[1:3]
    found = _scores(net, images, score, window, settings, 0, len(images) * views(window, height, width))
    yield from track(occlusion_maps(found, window, height, width), "occlusion", total=len(images))


class OcclusionPass(NamedTuple):
    """A pass over the views of images, for `deepcovid.passes`: P(covid), float64 (views).

    The views of an image are it as it is, then with the window at each place.

    Attributes:
        weights: The net, as `deepcovid.nets.trunks.write_state` wrote it.
        pixels: Images, uint8 (images, height, width, 1 or 3).
        images: Which of them are looked at.
        shape: Their height and width.
        score: A function that turns features (batch, features) into P(covid) (batch).
        window: What slides over them.
        settings: Device, precision and batch size.
    """

    weights: Known
    pixels: Known
    images: list[int]
    shape: tuple[int, int]
    score: Score
    window: Window
    settings: FeatureSettings

    @property
    def rows(self) -> int:
        """How many views there are."""
        return len(self.images) * views(self.window, *self.shape)

    @property
    def batch_size(self) -> int:
        """How many views the net sees at a time."""
        return self.settings.batch_size

    def __call__(self, start: int, stop: int) -> NDArray[np.float64]:
        """Return the scores of the views from `start` to before `stop`.

        Raises:
            UserError: As `occlusion`; or weights or pixels are not what they were.
        """
        net, each = net_in_worker(self.weights, self.settings), views(self.window, *self.shape)
        first = start // each
        images = load_array(self.pixels.checked())[self.images[first : -(-stop // each)]]
        passed = first * each
        found = _scores(net, images, self.score, self.window, self.settings, start - passed, stop - passed)
        return np.concatenate(list(found))


def views(window: Window, height: int, width: int) -> int:
    """Return how often an image is seen: as it is, and with the window at each place.

    Raises:
        UserError: The window does not fit.
    """
    check_window(window, height, width)
    return len(_grid(window, height, width)) + 1


def occlusion_maps(
    parts: Iterable[NDArray[np.float64]], window: Window, height: int, width: int
) -> Iterator[NDArray[np.float32]]:
    """Yield the maps, as `occlusion` does, of images whose views' scores come in parts, however these are cut."""
    each, scores, grid = views(window, height, width), np.empty(0), _grid(window, height, width)
    for part in parts:
        scores = np.append(scores, part)
        while len(scores) >= each:
            own, scores = scores[:each], scores[each:]
            yield _mean_over_windows(own[0] - own[1:], grid, height, width)


def _scores(
    net: nn.Module,
    images: NDArray[np.uint8],
    score: Score,
    window: Window,
    settings: FeatureSettings,
    start: int,
    stop: int,
) -> Iterator[NDArray[np.float64]]:
    grid = _grid(window, *images.shape[1:3])
    for features in extract(net, _occluded(images, grid, window.fill, settings.batch_size, start, stop), settings):
        yield score(features)


def _grid(window: Window, height: int, width: int) -> list[Place]:
    return [(row, column) for row in places(window, height) for column in places(window, width)]


def _occluded(
    images: NDArray[np.uint8], grid: list[Place], fill: int, size: int, start: int, stop: int
) -> Iterator[NDArray[np.uint8]]:
    """Yield batches of views; a batch is overwritten by the next."""
    batch, filled = np.empty((size, *images.shape[1:]), np.uint8), 0
    for number in range(start, stop):
        image, view = divmod(number, len(grid) + 1)
        batch[filled] = images[image]
        if view:
            batch[filled][grid[view - 1]] = fill
        filled += 1
        if filled == size:
            yield batch
            filled = 0
    if filled:
        yield batch[:filled]


def _mean_over_windows(drops: NDArray[np.float64], grid: list[Place], height: int, width: int) -> NDArray[np.float32]:
    # Sums in one order everywhere: pixels that the same windows cover are equal to the bit.
    total, windows = np.zeros((height, width)), np.zeros((height, width))
    for drop, place in zip(drops, grid, strict=True):
        total[place] += drop
        windows[place] += 1
    return (total / windows).astype(np.float32)

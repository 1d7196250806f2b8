"""Whether two images are the same picture, however cut, turned, mirrored, brightened or written on.

Keypoints of the two (SIFT, Lowe 2004) are paired by their descriptors, and those pairs are counted that one affine map
carries over (RANSAC, Fischler and Bolles 1981). Two radiographs of different patients share hardly any.
"""

from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from joblib import cpu_count
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from deepcovid.arrays import load_array
from deepcovid.passes.forked import one_after_another
from deepcovid.progress import track

POINTS = 200  # an image, the strongest
RATIO = 0.85  # the nearest descriptor is that much nearer than the next (Lowe's test)
REACH = 4.0  # pixels that a point may lie off its place under the map
TRIALS = 300  # of RANSAC
FITTED = 3  # pairs of points, which an affine map is fitted to
CHUNK = 2000  # pairs that a process compares at a time
# The keypoints of an image: how many there are, their places (x and y, pixels) and descriptors. The rest of a row is 0.
KEYPOINTS = np.dtype(
    [("number", np.intp), ("places", np.float32, (POINTS, 2)), ("descriptors", np.uint8, (POINTS, 128))]
)
Keypoints = NDArray[Any]  # (images) of KEYPOINTS
Rows = NDArray[np.intp]
Vectors = NDArray[np.float32]


def keypoints(images: NDArray[np.uint8], mirrored: NDArray[np.bool_]) -> tuple[Keypoints, Keypoints]:
    """Return the keypoints of images, and those of the images mirrored.

    Args:
        images: (images, height, width, 1 or 3).
        mirrored: (images), which of them are looked at mirrored too. Of the others, no point is returned there.
    """
    cv2.setNumThreads(1)  # each core has images of its own
    grey = images.mean(axis=-1).round().astype(np.uint8)
    turned = np.zeros(len(grey), KEYPOINTS)
    turned[mirrored] = _detected(np.ascontiguousarray(grey[mirrored, :, ::-1]))
    return _detected(grey), turned


def matched_points(first: Path, second: Path, pairs: Rows, title: str, least: int = 0) -> Rows:
    """Return, for each of pairs (pairs, 2) of a row of `first` and one of `second`, how many points match.

    The two are .npy files of Keypoints. No map is fitted, and 0 is returned, where so few descriptors pair that fewer
    than `least` points could match. Memory is that of a chunk of pairs, whatever the number of images.
    """
    chunks = [pairs[start : start + CHUNK] for start in range(0, len(pairs), CHUNK)]
    work = [partial(_matched, first, second, part, least) for part in chunks]
    with closing(one_after_another(work, cpu_count())) as counts:
        return np.concatenate([np.empty(0, np.intp), *track(counts, title, total=len(chunks), unit="chunks")])


def _detected(grey: NDArray[np.uint8]) -> Keypoints:
    equalise = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8))
    sift = cv2.SIFT_create(nfeatures=POINTS, contrastThreshold=0.01)  # type: ignore[attr-defined]
    packed = np.zeros(len(grey), KEYPOINTS)
    for image, own in zip(packed, grey, strict=True):
        found, descriptors = sift.detectAndCompute(equalise.apply(own), None)
        number = min(len(found), POINTS)  # where several are as strong as the last, SIFT gives more than asked for
        image["number"] = number
        if number:
            image["places"][:number] = [point.pt for point in found[:number]]
            image["descriptors"][:number] = descriptors[:number]
    return packed


def _matched(first: Path, second: Path, pairs: Rows, least: int) -> Rows:
    sides = load_array(first), load_array(second)
    points = ([_points(side, image) for side, image in zip(sides, pair, strict=True)] for pair in pairs)
    with threadpool_limits(1):  # each core has a process of its own, or the work is small
        return np.array([_matched_pair(one, other, least) for one, other in points], np.intp)


def _points(side: Keypoints, image: int) -> tuple[Vectors, Vectors]:
    """Return places (points, 2) and descriptors (points, 128) of one image."""
    number, places, descriptors = side[image]
    return places[:number], descriptors[:number].astype(np.float32)


def _matched_pair(first: tuple[Vectors, Vectors], second: tuple[Vectors, Vectors], least: int) -> int:
    (places, descriptors), (other_places, other_descriptors) = first, second
    if min(len(places), len(other_places)) < 2:
        return 0
    squares = [(part * part).sum(axis=1) for part in (descriptors, other_descriptors)]
    distance = squares[0][:, None] + squares[1] - 2 * descriptors @ other_descriptors.T  # squared
    rows, nearest = np.arange(len(places)), distance.argmin(axis=1)
    mutual = distance.argmin(axis=0)[nearest] == rows
    apart = distance[rows, nearest]
    distance[rows, nearest] = np.inf
    paired = mutual & (apart < RATIO**2 * distance.min(axis=1))
    if paired.sum() < max(least, FITTED):
        return 0
    _, carried = cv2.estimateAffine2D(
        places[paired],
        other_places[nearest[paired]],
        method=cv2.RANSAC,
        ransacReprojThreshold=REACH,
        maxIters=TRIALS,
    )
    return 0 if carried is None else int(carried.sum())

"""A trained head on new images.

    from deepcovid import load_head

    head = load_head("data/phantom/heads/frozen/resnet18/paper.safetensors")
    head.score(["chest.png", "chest.dcm"])  # P(covid) of each
    head.predict(["chest.png", "chest.dcm"])  # with the decision, the spread over seeds, and whether to distrust it

Research only, not for diagnosis: a score may tell which collection a picture is from, and not what disease it shows.
"""

import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
from joblib import cpu_count
from numpy.typing import NDArray
from PIL import Image

from deepcovid.archives import MAX_MEMBER_BYTES
from deepcovid.catalogue import LABELS
from deepcovid.errors import BadImageError, UserError, reason_of
from deepcovid.heads.head_files import HeadFile, check_weights, read_head, transform_of
from deepcovid.heads.scoring import score
from deepcovid.images.decoding import Pixels, decode, stacked
from deepcovid.images.resizing import resize_and_crop
from deepcovid.nets.features import choose_device, extract
from deepcovid.nets.trunks import State, read_state, trunk
from deepcovid.nets.zoo import title_of
from deepcovid.schema import checked
from deepcovid.settings.analyses import FeatureSettings

LOADING = Lock()  # Pillow reads an image's file on first use; one image may be passed twice, to two threads
Picture = str | os.PathLike[str] | Image.Image | NDArray[np.uint8]


class Head:
    """The heads of one recipe, one per seed, on their net.

    Attributes:
        model: torchvision's name of the net.
        weights_sha256: SHA-256 of the file of the net's weights.
        dataset: Name of the data set that the heads were trained on.
        recipe: Name of the recipe.
        cut_off: An image is called covid from this score on.
        classes: covid and non, in the order of a head's outputs.
        seeds: One head was trained per seed. The median head (`file.shown`) gives the score, all show the spread.
        image_size: Side of the images that the heads are shown, pixels.
        transform: How images are prepared: resize and crop in pixels; mean and std of red, green and blue in 0..1.
        threshold: An image counts as unlike the training images if its distance from them is larger than this.
        about: One line that says what the heads are.
        file: Everything in the head file.
        net: The frozen net without its last layer.
        settings: Device, precision and batch size.
    """

    def __init__(self, file: HeadFile, state: State, settings: FeatureSettings) -> None:
        """Put heads on the net whose weights are `state`; `load_head` reads both from their files."""
        self.file, self.settings = file, settings
        self.model, self.weights_sha256 = file.model, file.weights_sha256
        self.dataset, self.recipe, self.cut_off = file.dataset, file.recipe, file.choices.cut_off
        self.classes, self.seeds = LABELS, file.seeds
        self.image_size, self.transform = file.image_size, transform_of(file.image_size)
        self.threshold = file.threshold
        self.net = trunk(file.model, state)
        self.about = (
            f"Head of {title_of(self.model)} under the recipe {self.recipe}, trained on {self.dataset}; "
            f"called covid from a score of {self.cut_off:g} on."
        )

    def score(self, images: Iterable[Picture]) -> NDArray[np.float64]:
        """Return P(covid) of each image, (images,), by the median head.

        Args:
            images: Paths of image files (PNG, JPEG, DICOM ...), PIL images, or uint8 arrays (height, width) or
                (height, width, 3), of any size and number. They are prepared like the pipeline's own images.

        Raises:
            BadImageError: An image cannot be used; the message says which, and why.
            OSError: A file cannot be read.
            TypeError: `images` is a single image instead of several.
        """
        return self.predict(images)["score"].to_numpy()

    def predict(self, images: Iterable[Picture]) -> pd.DataFrame:
        """Return what the heads say of each image, in order.

        Args:
            images: The same kinds as for `score`.

        Returns:
            One row per image, with the columns score (P(covid) by the median head), score_min and score_max (over all
            heads), called (covid or non, at the cut-off), distance (from the training images, in feature space) and
            unlike (whether the distance is beyond the threshold). If an image is unlike the training images, its score
            means little.

        Raises:
            BadImageError: An image cannot be used; the message says which, and why.
            OSError: A file cannot be read.
            TypeError: `images` is a single image instead of several.
        """
        if _is_one(images):
            raise TypeError("images is a single image; put it in a list")
        decoding = (partial(self._decoded, *numbered) for numbered in enumerate(images))
        batches = attempts(decoding, self.batch_size)
        tables = [self.predict_pixels([_whole(attempt) for attempt in batch]) for batch in batches]
        none = self.predicted(np.empty((0, len(self.seeds))), np.empty(0))
        return pd.concat(tables or [none], ignore_index=True)

    @property
    def facts(self) -> dict[str, Any]:
        """The facts that must be stated with every result of these heads, as plain values."""
        return {
            "model": self.model,
            "weights_sha256": self.weights_sha256,
            "dataset": self.dataset,
            "recipe": self.recipe,
            "cut_off": self.cut_off,
            "classes": list(self.classes),
            "seeds": self.seeds,
            "transform": self.transform,
            "threshold": self.threshold,
        }

    @property
    def batch_size(self) -> int:
        """Images that go through the net at a time."""
        return self.settings.batch_size

    def decode(self, content: bytes) -> Pixels:
        """Decode an image file for the heads, uint8: see `deepcovid.images.decoding.decode`."""
        return decode(content, resize_and_crop(self.image_size))

    def predict_pixels(self, pixels: Sequence[Pixels]) -> pd.DataFrame:
        """Return the table of `predict` for one batch of images that `decode` returned."""
        return self.predicted(*self.measured(pixels))

    def measured(self, pixels: Sequence[Pixels]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return P(covid), (images, heads), and the distances from the training images, (images), for one batch."""
        (features,) = extract(self.net, [stacked(pixels)], self.settings)
        return score(features, self.file.weight, self.file.bias), self.file.training.distances(features)

    def predicted(self, scores: NDArray[np.float64], distances: NDArray[np.float64]) -> pd.DataFrame:
        """Return the table of `predict` for images whose scores and distances `measured` returned."""
        score = scores[:, self.file.shown]
        return pd.DataFrame(
            {
                "score": score,
                "score_min": scores.min(axis=1),
                "score_max": scores.max(axis=1),
                "called": np.where(score >= self.cut_off, *LABELS).astype(object),
                "distance": distances,
                "unlike": distances > self.threshold,
            }
        )

    def _decoded(self, index: int, picture: Picture) -> Pixels:
        name = f"image {index}"
        if isinstance(picture, str | os.PathLike):
            name = str(Path(picture))
        try:
            return self.decode(_content(picture))
        except BadImageError as error:
            raise BadImageError(f"{name}: {error}") from None


def weights_near(path: Path, model: str) -> Path:
    """Return the path of the net's weights that belong to the head file `path`: weights/<net>.safetensors.

    The four folders above the head file are searched, nearest first. If none of them has the file, the path is in the
    farthest, which in the pipeline is data/<data set>.
    """
    above = path.absolute().parents
    places = [folder / "weights" / f"{model}.safetensors" for folder in above]
    return next((place for place in places[:4] if place.is_file()), places[min(3, len(places) - 1)])


def load_head(
    path: str | os.PathLike[str],
    weights: str | os.PathLike[str] | None = None,
    device: str = "auto",
    batch_size: int = 32,
) -> Head:
    """Load the heads in a file of the train stage, together with their net.

    Args:
        path: data/<data set>/heads/frozen/<net>/<recipe>.safetensors.
        weights: File of the net's weights, as the weights stage writes them; by default the file that `weights_near`
            finds.
        device: auto, cpu, cuda or cuda:N; auto is CUDA where there is one.
        batch_size: Images that go through the net at a time.

    Raises:
        UserError: The head file cannot be read (`head_files.read_head`), the net's weights are missing or not those
            that the heads were trained on, or the device does not exist.
    """
    path = Path(path)
    if path.exists() and not path.is_file():  # reading a pipe would wait for ever
        raise UserError(
            f"{path}: not a file; name a head file, data/<data set>/heads/frozen/<net>/<recipe>.safetensors"
        )
    settings = checked(
        FeatureSettings, {"device": device, "precision": "fp32", "batch_size": batch_size}, f"loading {path}"
    )
    try:
        choose_device(device)
    except (UserError, RuntimeError):
        raise UserError(f"device {device} (--device, or device=) is not usable here; choose auto or cpu") from None
    file = read_head(path)
    where = Path(weights) if weights else weights_near(path, file.model)
    if not where.is_file():
        raise UserError(
            f"{path}: the weights of its net are missing: {where}; name their file (--weights, or weights=), or make "
            f"them with `dvc repro weights@{file.dataset}`"
        )
    check_weights(path, file, where)
    try:
        return Head(file, read_state(where)[1], settings)
    except (UserError, RuntimeError):  # the SHA-256 in the head file was right, but a head file can be forged
        raise UserError(
            f"{where}: not weights of {file.model} as the weights stage writes them; run it and the train stage again"
        ) from None


def attempts(makes: Iterable[Callable[[], Pixels]], size: int) -> Iterator[list[Pixels | UserError | OSError]]:
    """Call the functions `makes` on all cores and yield what they return or raise, in batches of `size`.

    Only one batch is in memory at a time. All threads end before a batch is yielded. Otherwise this could wait for
    ever: if the caller raises an error, the garbage collector may end this generator just while a thread starts.
    """
    waiting = iter(makes)
    while batch := list(islice(waiting, size)):
        yield _at_once(batch)


def _at_once(makes: Sequence[Callable[[], Pixels]]) -> list[Pixels | UserError | OSError]:
    with ThreadPoolExecutor(cpu_count()) as pool:
        return list(pool.map(_attempt, makes))


def read_file(path: Path) -> bytes:
    """Return the bytes of an image file.

    Raises:
        BadImageError: The path is a broken link, a pipe or the like, or the file is too large for an image.
        OSError: The file cannot be read.
    """
    if not path.is_file():
        raise BadImageError("not a file, or a broken link; leave it out")
    if path.stat().st_size > MAX_MEMBER_BYTES:
        raise BadImageError(f"{path.stat().st_size} bytes, too large for an image; leave it out")
    return path.read_bytes()


def _attempt(make: Callable[[], Pixels]) -> Pixels | UserError | OSError:
    try:
        return make()
    except (UserError, OSError) as error:
        return error


def _whole(attempt: Pixels | UserError | OSError) -> Pixels:
    if isinstance(attempt, Exception):
        raise attempt
    return attempt


def _is_one(images: Any) -> bool:
    """Return whether this is a single image instead of several. An array of several has the images in front."""
    if isinstance(images, np.ndarray):
        return images.ndim == 2 or (images.ndim == 3 and images.shape[2] == 3)
    return isinstance(images, str | os.PathLike | Image.Image)


def _content(picture: Picture) -> bytes:
    """Return an image as the bytes of a file, so that all images are checked and prepared in the same way."""
    if isinstance(picture, str | os.PathLike):
        path = Path(picture)
        return read_file(path) if path.exists() else path.read_bytes()
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or not (picture.ndim == 2 or picture.shape[2:] == (3,)) or not picture.size:
            raise BadImageError(
                f"an array of {picture.dtype} {picture.shape}; hand over uint8 (height, width) or (height, width, 3)"
            )
        picture = Image.fromarray(picture)
    if not isinstance(picture, Image.Image):
        raise TypeError(f"an image is a path, a PIL image or a uint8 array, not {type(picture).__name__}")
    stream = io.BytesIO()
    try:
        with LOADING:
            picture = picture.copy()
        picture.save(stream, "PNG", compress_level=0)
    except Exception as error:  # PNG lacks the mode, or the bytes are damaged; Pillow then raises errors of any type
        raise BadImageError(f"cannot be used ({reason_of(error)}); convert it to 8-bit grey or RGB") from None
    return stream.getvalue()

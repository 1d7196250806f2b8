"""The file of trained heads: a safetensors file with everything that is needed to use them on other images.

All facts are one JSON text in the metadata entry `facts`, because safetensors writes several entries in no fixed order.
A SHA-256 over facts and tensors shows whether the file was damaged or changed. It is not a signature: whoever changes
the file on purpose can compute a new one.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from deepcovid.catalogue import LABELS
from deepcovid.errors import REMAKE, UserError, reason_of
from deepcovid.files import Known
from deepcovid.heads.gaussian import Gaussian
from deepcovid.images.transform import MEAN, STD
from deepcovid.nets.zoo import NETS
from deepcovid.schema import Strict, checked
from deepcovid.settings.recipes import Recipe
from deepcovid.settings.types import ImageSize, Name, Seed

FORMAT = 2  # number of the file format; increase it when the contents change

Tensors = dict[str, NDArray[Any]]


def transform_of(image_size: int) -> dict[str, Any]:
    """Return how images are prepared: resize and crop in pixels; mean and std of red, green and blue in 0..1."""
    return {"resize": image_size, "crop": image_size, "mean": list(MEAN), "std": list(STD)}


@dataclass(frozen=True)
class HeadFile:
    """Heads of one net under one recipe, on frozen features.

    Attributes:
        model: torchvision's name of the net.
        weights_sha256: SHA-256 of the file of the net's weights.
        dataset: Name of the data set.
        recipe: Name of the recipe.
        choices: The recipe itself.
        image_size: Side of the images that the heads were trained on, pixels.
        seeds: One head was trained per seed.
        shown: Index of the median head, whose numbers the pipeline reports. The others show the spread.
        weight: float32 (heads, features, classes), classes as in LABELS.
        bias: float32 (heads, classes).
        training: The training originals in feature space.
        threshold: An image counts as unlike the training originals if its distance from them is larger than this.
    """

    model: str
    weights_sha256: str
    dataset: str
    recipe: str
    choices: Recipe
    image_size: int
    seeds: list[int]
    shown: int
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    training: Gaussian
    threshold: float

    def shown_head(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return weight (1, features, classes) and bias (1, classes) of the median head."""
        own = slice(self.shown, self.shown + 1)
        return self.weight[own], self.bias[own]


class _Transform(Strict):
    resize: int
    crop: ImageSize
    mean: list[float]
    std: list[float]


class _Facts(Strict):
    """The facts that are stored with the tensors."""

    format: int
    model: str
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    dataset: Name
    recipe: Name
    choices: Recipe
    classes: list[str]
    transform: _Transform
    seeds: Annotated[list[Seed], Field(min_length=1)]
    shown: Annotated[int, Field(ge=0)]


def write_head(path: Path, head: HeadFile) -> None:
    """Write heads to `path`."""
    tensors: Tensors = {"weight": head.weight, "bias": head.bias, "threshold": np.array(head.threshold)}
    tensors |= {f"training.{name}": np.asarray(value) for name, value in head.training._asdict().items()}
    tensors = {name: np.require(tensor, requirements="C") for name, tensor in tensors.items()}
    facts = {
        "format": FORMAT,
        "model": head.model,
        "weights_sha256": head.weights_sha256,
        "dataset": head.dataset,
        "recipe": head.recipe,
        "choices": head.choices.model_dump(),
        "classes": list(LABELS),
        "transform": transform_of(head.image_size),
        "seeds": head.seeds,
        "shown": head.shown,
    }
    signed = facts | {"sha256": _digest(facts, tensors)}
    # save_file is not used: on a full disk its error is not an OSError.
    path.write_bytes(save(tensors, metadata={"facts": json.dumps(signed, allow_nan=False)}))


def read_head(path: Path, of: tuple[str, str, str] | None = None) -> HeadFile:
    """Read heads on frozen features from `path`, which `write_head` wrote.

    Args:
        path: The file.
        of: The data set, net and recipe that the heads must be of; None to accept any.

    Raises:
        UserError: The file is missing, damaged, no head file, of another version, or changed since it was written. Or
            this code prepares images in another way, or does not know the net or the classes. Or the heads are of
            another data set, net or recipe than `of`.
    """
    head = _checked(path, *_read(path))
    if of and (found := (head.dataset, head.model, head.recipe)) != of:
        raise UserError(f"{path}: heads of {', '.join(found)} instead of {', '.join(of)}; {REMAKE}")
    return head


def sha256_of_weights(path: Path, model: str) -> str:
    """Return the SHA-256 of the file of a net's weights.

    Raises:
        UserError: The file is truncated or garbled, or is not of this net. Wrong numbers in it are not noticed.
    """
    try:
        with safe_open(path, "numpy") as file:
            found = (file.metadata() or {}).get("model")
    except SafetensorError as error:
        raise UserError(f"{path}: damaged ({reason_of(error)}); {REMAKE}") from None
    if found != model:
        raise UserError(f"{path}: weights of {found} instead of {model}; {REMAKE}")
    return Known.of(path).sha256


def check_weights(path: Path, head: HeadFile, weights: Path) -> None:
    """Raise UserError if the heads in `path` were not trained on the net's weights in the file `weights`."""
    if (found := Known.of(weights).sha256) != head.weights_sha256:
        raise UserError(
            f"{path}: trained on weights of {head.model} with SHA-256 {head.weights_sha256}, {weights} has {found}; "
            "get the weights they were trained on, or run the train stage again"
        )


def _checked(path: Path, facts: dict[str, Any], tensors: Tensors) -> HeadFile:
    if (number := facts.get("format")) != FORMAT:
        raise UserError(
            f"{path}: written by another version of deepcovid (format {number}, this one reads {FORMAT}); "
            "run the train stage again"
        )
    written = facts.pop("sha256", None)
    if (found := _digest(facts, tensors)) != written:
        raise UserError(
            f"{path}: changed after it was written, damaged or tampered with (its SHA-256 says {written}, its contents "
            f"have {found}); get it again, or run the train stage again"
        )
    known = checked(_Facts, facts, f"{path}: not a head file of this version; run the train stage again")
    image_size = known.transform.crop
    if known.transform.model_dump() != transform_of(image_size):
        raise UserError(
            f"{path}: for images prepared as {known.transform.model_dump()}, this version of deepcovid prepares them "
            f"as {transform_of(image_size)}; run the train stage again"
        )
    if tuple(known.classes) != LABELS:
        raise UserError(
            f"{path}: heads for the classes {', '.join(known.classes)} instead of {', '.join(LABELS)}; run the train "
            "stage again"
        )
    if known.model not in NETS:
        raise UserError(f"{path}: heads of the unknown net {known.model!r}; known are {', '.join(NETS)}")
    if known.shown >= len(known.seeds):
        raise UserError(
            f"{path}: shows head {known.shown} of {len(known.seeds)}, counted from 0; run the train stage again"
        )
    _check(path, tensors, len(known.seeds))
    return HeadFile(
        model=known.model,
        weights_sha256=known.weights_sha256,
        dataset=known.dataset,
        recipe=known.recipe,
        choices=known.choices,
        image_size=image_size,
        seeds=known.seeds,
        shown=known.shown,
        weight=tensors["weight"],
        bias=tensors["bias"],
        training=Gaussian(
            mean=tensors["training.mean"],
            axes=tensors["training.axes"],
            variances=tensors["training.variances"],
            noise=float(tensors["training.noise"]),
        ),
        threshold=float(tensors["threshold"]),
    )


def _read(path: Path) -> tuple[dict[str, Any], Tensors]:
    try:
        with path.open("rb"):  # because safetensors' own errors do not name the file
            pass
        with safe_open(path, "numpy") as file:
            facts = json.loads((file.metadata() or {})["facts"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no mapping
    except FileNotFoundError:
        raise UserError(f"{path}: no such head file; run `dvc repro`, which trains the heads") from None
    except KeyError:
        raise UserError(f"{path}: not a head file, it holds no facts about heads; run the train stage again") from None
    except (SafetensorError, ValueError, TypeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: damaged, or not a head file ({reason}); run the train stage again") from None
    if not isinstance(facts, dict):
        raise UserError(f"{path}: not a head file, its facts are not a table; run the train stage again")
    return facts, tensors


def _digest(facts: dict[str, Any], tensors: Tensors) -> str:
    """Return the SHA-256 of facts and tensors; it does not depend on their order."""
    shapes = {name: [str(tensor.dtype), list(tensor.shape)] for name, tensor in tensors.items()}
    digest = hashlib.sha256(json.dumps([facts, shapes], sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(tensors[name].tobytes())
    return digest.hexdigest()


def _check(path: Path, tensors: Tensors, heads: int) -> None:
    """Raise UserError if the tensors are not those of `heads` heads."""
    shape = tensors["weight"].shape if "weight" in tensors else ()
    features = shape[1] if len(shape) == 3 else 0
    axes = tensors["training.variances"].size if "training.variances" in tensors else 0
    expected: dict[str, tuple[type[np.floating], tuple[int, ...]]] = {
        "weight": (np.float32, (heads, features, len(LABELS))),
        "bias": (np.float32, (heads, len(LABELS))),
        "threshold": (np.float64, ()),
        "training.mean": (np.float64, (features,)),
        "training.axes": (np.float64, (axes, features)),
        "training.variances": (np.float64, (axes,)),
        "training.noise": (np.float64, ()),
    }
    if tensors.keys() != expected.keys():
        raise UserError(
            f"{path}: not a head file, it holds {', '.join(sorted(tensors))} instead of {', '.join(sorted(expected))}; "
            "run the train stage again"
        )
    for name, (kind, wanted) in expected.items():
        tensor = tensors[name]
        if tensor.dtype != kind or tensor.shape != wanted:
            raise UserError(
                f"{path}: {name} is {tensor.dtype} {tensor.shape} instead of {np.dtype(kind)} {wanted}; "
                "run the train stage again"
            )
        if not np.isfinite(tensor).all():
            raise UserError(f"{path}: {name} holds values that are not finite numbers; run the train stage again")
        if name in ("training.variances", "training.noise") and (tensor <= 0).any():
            raise UserError(f"{path}: the training images' variances are not positive; run the train stage again")

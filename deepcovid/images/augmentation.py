"""Generated copies of images: flip, small rotation, small elastic distortion, as the paper says."""

import hashlib
from collections.abc import Collection, Iterable, Iterator

import torch
from torchvision.transforms import v2

from deepcovid.images.decoding import Pixels, Row
from deepcovid.settings.datasets import AugmentSettings


def with_copies(rows: Iterable[Row], settings: AugmentSettings, splits: Collection[str] = ("train",)) -> Iterator[Row]:
    """Yield `rows`. Each COVID original in these splits is followed by its copies."""
    distort = distortion(settings)
    for row, pixels in rows:
        yield row, pixels
        if row["label"] == "covid" and row["split"] in splits and not row["augmentation_of"]:
            for number in range(1, settings.copies + 1):
                name = f"{row['image_id']}+{number}"
                copy = augmented(pixels, distort, seed_of(name, settings.seed))
                yield copy_of(row, name), copy


def copy_of(row: dict[str, str], name: str) -> dict[str, str]:
    """Return the catalogue row of the copy called `name`; `row` is that of its original."""
    return row | {"image_id": name, "augmentation_of": row["image_id"]}


def distortion(settings: AugmentSettings) -> v2.Transform:
    """Return the random distortion that `settings` describe."""
    return v2.Compose(
        [
            v2.RandomHorizontalFlip(settings.flip_probability),
            v2.RandomRotation(settings.rotation_degrees, v2.InterpolationMode.BILINEAR),
            v2.ElasticTransform(settings.elastic_alpha, settings.elastic_sigma),
        ]
    )


def augmented(pixels: Pixels, distort: v2.Transform, seed: int) -> Pixels:
    """Return a distorted copy of an image (height, width) or (height, width, 3). Only `seed` makes it random."""
    image = torch.from_numpy(pixels.copy())
    channels_first = image[None] if image.ndim == 2 else image.permute(2, 0, 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        copy = distort(channels_first)
    return (copy[0] if image.ndim == 2 else copy.permute(1, 2, 0)).numpy()


def seed_of(name: str, seed: int) -> int:
    """Return a 63-bit seed that depends on `name` and `seed`. So no copy depends on which others are made."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "big") >> 1

"""The images of a catalogue and copies of them, made in shards (deepcovid/passes).

A row of the catalogue gives an image and its copies, or the reason why it has none. The result is an array with the
fields place (of the row in the catalogue), image_id, reason (blank if there is an image) and pixels (black if not).
"""

from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from deepcovid.catalogue import Forward
from deepcovid.errors import UserError
from deepcovid.files import Known, KnownArchives
from deepcovid.images.augmentation import copy_of, with_copies
from deepcovid.images.decoding import Attempt, attempts, stacked
from deepcovid.images.resizing import resize_and_crop
from deepcovid.settings.datasets import AugmentSettings


class ImagePass(NamedTuple):
    """A pass over a catalogue, for `deepcovid.passes`.

    Attributes:
        table: The catalogue.
        rows: How many rows it has.
        raw: The archives that it names. With others it is another pass, so that images which could not be used are
            tried again.
        size: Side of the images, pixels.
        augment: How copies are made.
        splits: The splits whose COVID originals get copies.
    """

    table: Known
    rows: int
    raw: KnownArchives
    size: int
    augment: AugmentSettings
    splits: tuple[str, ...]

    @property
    def batch_size(self) -> int:
        """How many rows are processed at a time."""
        return 32

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        """Return the images and copies of the rows from `start` to before `stop`.

        Raises:
            UserError: The catalogue or an archive has changed.
        """
        torch.set_num_threads(1)  # copies are made of one small image at a time
        rows, raw, framing = _rows_of(self.table)(start, stop), self.raw.checked(), resize_and_crop(self.size)
        names: list[tuple[int, str, str]] = []
        images = []
        for place, attempt in enumerate(attempts(rows, raw, framing, threads=1)):
            row, reason = rows[place], ""
            if isinstance(attempt, UserError):
                attempt, reason = np.zeros((self.size, self.size), np.uint8), str(attempt)
            for own, pixels in with_copies([(row, attempt)], self.augment, () if reason else self.splits):
                names.append((start + place, own["image_id"], reason))
                images.append(pixels)
        columns = dict(zip(("place", "image_id", "reason"), map(np.array, zip(*names, strict=True)), strict=True))
        columns["pixels"] = stacked(images)
        kinds = [(name, column.dtype, column.shape[1:]) for name, column in columns.items()]
        made = np.empty(len(names), kinds)
        for name, column in columns.items():
            made[name] = column
        return made


def made(
    table: Path, parts: Iterable[NDArray[Any]], copies_of: Collection[str], *, images: bool = True
) -> Iterator[tuple[dict[str, str], Attempt]]:
    """Yield each row with its image, or with the error that says why it has none, followed by its copies.

    Args:
        table: The file of the catalogue, as `catalogue.write` wrote it.
        parts: The results of an `ImagePass` over the catalogue.
        copies_of: The splits whose copies are wanted.
        images: Whether the catalogue's own rows are wanted too, and not only the copies.
    """
    rows_of = Forward(table)
    for part in parts:
        first, last = part["place"][[0, -1]].tolist()
        rows = rows_of(first, last + 1)
        names = zip(part["place"].tolist(), part["image_id"].tolist(), part["reason"].tolist(), strict=True)
        for (place, name, reason), pixels in zip(names, part["pixels"], strict=True):
            row = rows[place - first]
            if name != row["image_id"]:
                if row["split"] in copies_of:
                    yield copy_of(row, name), pixels
            elif images:
                yield row, UserError(reason) if reason else pixels


@lru_cache(maxsize=1)
def _rows_of(table: Known) -> Forward:
    return Forward(table.checked())

"""From image files to one uint8 array: decoded once per data set, shared by every net.

Images are prepared as in the evaluation transform of the released code, before the scaling to floats. The short side is
resized to the data set's image_size, and a centred square of that side is cut out. The array has one channel if every
image is grey (red, green and blue are equal), otherwise three (RGB).
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import cpu_count
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from deepcovid.archives import Archive
from deepcovid.arrays import ArrayWriter
from deepcovid.errors import BadImageError, UserError, reason_of
from deepcovid.images.dicom import is_dicom, open_radiograph, shown
from deepcovid.images.resizing import Framing
from deepcovid.progress import track

MIN_SIDE = 32  # pixels; a smaller file is no radiograph
MAX_ASPECT = 20  # long side over short side; a longer strip is no radiograph, and resizing could make it huge
MAX_PIXELS = 40_000_000  # the largest detectors have 18 million, the largest public scans 27 million
CHUNK = 256  # images decoded before they are written; bounds memory
# Formats that Pillow may read. Some of its other readers start programs (Ghostscript for EPS).
FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP")
TILE = (322, 323)  # TIFF's tags TileWidth and TileLength; a tile is unpacked whole, even if the image is smaller
Pixels = NDArray[np.uint8]
Row = tuple[dict[str, str], Pixels]  # a catalogue row and its image
Attempt = Pixels | UserError


def decode(content: bytes, framing: Framing) -> Pixels:
    """Decode and frame an image file: uint8 (height, width) if it is grey, otherwise (height, width, 3).

    Raises:
        BadImageError: The bytes are no image. Or it is not certain what the image is in 8-bit grey or RGB, because it
            is animated, deeper than 8 bits, CMYK or transparent. Or it is too small, too large or a strip. Or it is
            DICOM that is no radiograph or cannot be shown (deepcovid/images/dicom.py).
        MemoryError: There is no memory left.
    """
    with one_image():
        picture = _radiograph(content) if is_dicom(content) else _picture(content)
        if picture.has_transparency_data and _alpha_minimum(picture) < 255:
            raise BadImageError("partly transparent; save it without an alpha channel")
        if picture.mode != "L":
            picture = picture.convert("RGB")
        pixels = np.asarray(framing(picture))
        if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
            pixels = pixels[..., 0]
        return pixels


@contextmanager
def one_image() -> Iterator[None]:
    """Turn an error of the block, which reads one image, into a BadImageError, so that other images can still be used.

    A MemoryError is not changed. It is not the fault of the image, because no image may be very large.
    """
    try:
        yield
    except (BadImageError, MemoryError):
        raise
    except UnidentifiedImageError:
        raise BadImageError("not an image that can be read; replace it by a PNG, JPEG or DICOM file") from None
    except Image.DecompressionBombError as error:
        raise BadImageError(f"not an image that can be read ({error}); save it smaller") from None
    except Exception as error:  # on damaged bytes, Pillow's readers raise errors of any type
        reason = reason_of(error) or type(error).__name__
        raise BadImageError(f"damaged ({reason}); get the file again") from None


def open_picture(content: bytes) -> ImageFile.ImageFile:
    """Open an image file that is not DICOM. Its header is read, its pixels not yet."""
    return Image.open(io.BytesIO(content), formats=FORMATS)


def stacked(pixels: Sequence[Pixels]) -> Pixels:
    """Return images (side, side) or (side, side, 3) as one array (images, side, side, 1 or 3)."""
    deep = [np.atleast_3d(image) for image in pixels]
    channels = max(image.shape[2] for image in deep)
    return np.stack([np.broadcast_to(image, (*image.shape[:2], channels)) for image in deep])


def _radiograph(content: bytes) -> Image.Image:
    header = open_radiograph(content)
    _check_size(header.Columns, header.Rows)
    return Image.fromarray(shown(header))


def _picture(content: bytes) -> Image.Image:
    picture = open_picture(content)
    _check_kind(picture)
    picture.load()
    return picture


def _check_kind(picture: Image.Image) -> None:
    if getattr(picture, "is_animated", False):  # not n_frames, which takes minutes to count 100,000 pages of a TIFF
        raise BadImageError("animated, or of several pages; save the one that is meant")
    tags = getattr(picture, "tag_v2", {})
    tile_width, tile_height = (int(tags.get(tag, 1)) for tag in TILE)
    if tile_width * tile_height > MAX_PIXELS:
        raise BadImageError(f"tiles of {tile_width} x {tile_height} pixels, more than any radiograph; save it untiled")
    # Pillow silently cuts 16-bit colour down to 8 bits. Only the arguments of its decoder show it.
    deep = any(";16" in str(tile.args) for tile in getattr(picture, "tile", []))
    if deep or picture.mode.startswith(("I", "F")):
        raise BadImageError(
            f"more than 8 bits a pixel (mode {picture.mode}); save it as 8-bit with the window you mean"
        )
    if picture.mode in ("CMYK", "YCCK", "LAB"):
        raise BadImageError(f"colour mode {picture.mode}; save it as greyscale or RGB")
    _check_size(picture.width, picture.height)


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise BadImageError(f"{width} x {height} pixels, more than any radiograph; save it smaller")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise BadImageError(f"{width} x {height} pixels, a strip; cut the radiograph out of it")
    if min(width, height) < MIN_SIDE:
        raise BadImageError(f"{width} x {height} pixels, less than {MIN_SIDE} a side; get the full size")


def _alpha_minimum(picture: Image.Image) -> int:
    return int(np.asarray(picture.convert("RGBA").getchannel("A")).min())


def decoded_images(table: pd.DataFrame, raw: Path, quarantined: dict[str, str], framing: Framing) -> Iterator[Row]:
    """Yield each row of a catalogue with its pixels.

    Args:
        table: The catalogue, originals before their copies.
        raw: Folder of the archives that it names.
        quarantined: Is filled with the image_id of each image that cannot be used, and the reason. These images and
            their copies are not yielded.
        framing: Which part of an image is kept, and at which size: `resize` or `resize_and_crop`.
    """
    rows = as_rows(table)
    attempted = zip(rows, attempts(rows, raw, framing, cpu_count()), strict=True)
    yield from usable(track(attempted, "decoding", total=len(rows), unit="images"), quarantined)


def attempts(rows: Sequence[dict[str, str]], raw: Path, framing: Framing, threads: int) -> Iterator[Attempt]:
    """Yield for each row of a catalogue its pixels, or the error that says why they cannot be used.

    Args:
        rows: The rows.
        raw: Folder of the archives that they name. Each archive is opened once per process.
        framing: Which part of an image is kept, and at which size.
        threads: Number of images that are decoded at a time.
    """
    archives = {name: _opened(raw / name) for name in dict.fromkeys(row["archive"] for row in rows)}

    def attempt(row: dict[str, str]) -> Attempt:
        try:
            return decode(archives[row["archive"]].read(row["member"], row["sha256"]), framing)
        except UserError as error:
            return error

    for start in range(0, len(rows), CHUNK):
        # All threads end before the chunk is yielded: see `attempts` in deepcovid/heads/prediction.py.
        with ThreadPoolExecutor(threads) as pool:
            made = list(pool.map(attempt, rows[start : start + CHUNK]))
        yield from made


def _opened(path: Path) -> Archive:
    facts = path.stat() if path.exists() else None
    return _opened_once(path.absolute(), facts and (facts.st_size, facts.st_mtime_ns))


@lru_cache
def _opened_once(path: Path, _: tuple[int, int] | None) -> Archive:  # `_` differs once the file has changed
    return Archive(path)


def forget_archives() -> None:
    """Close the archives that `attempts` opened. The list of what is in them takes 0.7 KB a file."""
    _opened_once.cache_clear()


def usable(attempted: Iterable[tuple[dict[str, str], Attempt]], quarantined: dict[str, str]) -> Iterator[Row]:
    """Yield the usable rows of a catalogue with their pixels; `quarantined` is as for `decoded_images`."""
    for row, attempt in attempted:
        if isinstance(attempt, UserError):
            quarantined[row["image_id"]] = str(attempt)
        elif row["augmentation_of"] in quarantined:
            quarantined[row["image_id"]] = f"its original, {row['augmentation_of']}, cannot be used"
        else:
            yield row, attempt


def framed(table: pd.DataFrame, raw: Path, framing: Framing, size: int) -> Iterator[Pixels]:
    """Decode the images of a catalogue again and yield them, `size` at a time, (batch, side, side, 1 or 3).

    Raises:
        UserError: An image cannot be used, so the files have changed since the catalogue was made.
    """
    quarantined: dict[str, str] = {}
    images = (pixels for _, pixels in decoded_images(table, raw, quarantined, framing))
    while batch := list(islice(images, size)):
        yield stacked(batch)
    for name, reason in quarantined.items():
        raise UserError(f"{name}: {reason}; the file changed since the stage augment ran, run it again")


def as_rows(table: pd.DataFrame) -> list[dict[str, str]]:
    """Return the rows of a catalogue, each as a dict from column to value."""
    return [dict(zip(table.columns, values, strict=True)) for values in table.itertuples(index=False)]


def write_images(
    rows: Iterable[Row], pixels: Path, table: Path, columns: Iterable[Any], size: int, channels: int = 1
) -> int:
    """Write images and the catalogue's rows of them, each at once, so memory does not grow with their number.

    Args:
        rows: The rows with their images.
        pixels: Gets the images, uint8 (images, size, size, 1 or 3) as .npy.
        table: Gets the rows as CSV.
        columns: The columns of `table`.
        size: Side of the images, pixels.
        channels: Of every image, or 3 if any image has 3.

    Returns:
        The number of images.
    """
    images = 0
    with ArrayWriter(pixels, (size, size, channels), np.uint8) as writer, table.open("w", encoding="utf-8") as stream:
        lines = csv.DictWriter(stream, list(columns), extrasaction="ignore", lineterminator="\n")
        lines.writeheader()
        for row, image in rows:
            deep = np.atleast_3d(image)
            if deep.shape[-1] > writer.row_shape[-1]:
                writer.widen((size, size, 3))
            writer.append(np.broadcast_to(deep, (1, *writer.row_shape)))
            lines.writerow(row)
            images += 1
    return images


def check_quarantine(quarantined: dict[str, str], images: int, max_share: float) -> None:
    """Raise UserError if more than `max_share` of the images cannot be used."""
    if len(quarantined) > max_share * images:
        name, why = next(iter(quarantined.items()))
        raise UserError(
            f"{len(quarantined)} of {images} images cannot be used, more than max_quarantined_share ({max_share:g}) "
            f"allows; first {name!r}: {why}"
        )

"""How image files say they were made: format, mode, depth and size, from their headers, no pixel decoded."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from deepcovid.archives import Archive
from deepcovid.errors import UserError
from deepcovid.images.decoding import one_image, open_picture
from deepcovid.images.dicom import is_dicom, read
from deepcovid.progress import track

DICOM_TAGS = ["PhotometricInterpretation", "BitsStored", "Rows", "Columns"]
DEPTHS = {"1": 1, "I": 32, "F": 32}  # bits a channel of Pillow's modes that have not 8


class Header(NamedTuple):
    """What a file's header says.

    Attributes:
        format: JPEG, PNG, DICOM, ...
        mode: How pixels are coded: Pillow's mode (L is grey, P a palette, ...) or DICOM's photometric interpretation.
        bits: Bits of each channel.
        width: Width of the file, pixels.
        height: Height of the file, pixels.
    """

    format: str
    mode: str
    bits: int
    width: int
    height: int


def header(content: bytes) -> Header:
    """Return what the header of an image file says.

    Raises:
        BadImageError: The bytes are no image whose header can be read.
    """
    with one_image():
        if is_dicom(content):
            file = read(content, stop_before_pixels=True, specific_tags=DICOM_TAGS)
            return Header("DICOM", file.PhotometricInterpretation, file.BitsStored, file.Columns, file.Rows)
        with open_picture(content) as picture:
            # Pillow gives 16-bit colour a mode of 8 bits; its decoder's arguments tell.
            deep = any(";16" in str(part) for part in (picture.mode, *(tile.args for tile in picture.tile)))
            bits = 16 if deep else DEPTHS.get(picture.mode, 8)
            return Header(str(picture.format), picture.mode, bits, picture.width, picture.height)


def headers(table: pd.DataFrame, raw: Path) -> pd.DataFrame:
    """Return the headers of a catalogue's images, with its index.

    Args:
        table: The catalogue (images).
        raw: Folder of the archives that it names.

    Raises:
        UserError: A file cannot be read.
    """
    found = {}
    for name, rows in table.groupby("archive"):
        with Archive(raw / str(name)) as archive:
            for index, member in track(rows["member"].items(), "reading headers", total=len(rows)):
                try:
                    found[index] = header(archive.read(member))
                except UserError as error:
                    raise UserError(f"{member}: its header cannot be read: {error}") from None
    return pd.DataFrame.from_dict(found, orient="index", columns=list(Header._fields)).loc[table.index]


def common_short_side(found: pd.DataFrame, covid: "pd.Series[bool]") -> int:
    """Return the smaller of the two classes' median short sides, pixels; `found` is of `headers`."""
    return int(found[["width", "height"]].min(axis="columns").groupby(covid).median().min())

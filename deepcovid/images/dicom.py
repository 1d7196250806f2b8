"""DICOM radiographs as a monitor shows them: rescaled, windowed, MONOCHROME1 inverted, 8 bits (DICOM PS3.3 C.11).

The transformations are pydicom's own.
"""

import io
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.filereader import read_dataset, read_preamble
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.pixels.processing import apply_modality_lut, apply_voi, apply_windowing
from pydicom.pixels.utils import pixel_array
from pydicom.uid import DeflatedExplicitVRLittleEndian

from deepcovid.errors import BadImageError, reason_of

# Projection radiographs: computed and digital radiography, scanned film, single images of fluoroscopy.
MODALITIES = ("CR", "DX", "RG", "RF")
MAX_BITS = 16
MAX_INFLATED = 2**28  # bytes to which a deflated file may unpack: three times the largest radiograph
VIEWS = {"LL": "L", "RL": "L"}  # left and right lateral, as the catalogue names them
PER_YEAR = {"D": 365, "W": 52, "M": 12, "Y": 1}


def is_dicom(content: bytes) -> bool:
    """Return whether the bytes of a file say that it is DICOM."""
    return content[128:132] == b"DICM"


def read(content: bytes, **options: Any) -> Dataset:
    """Return what a DICOM file holds; `options` are those of pydicom's dcmread.

    Raises:
        BadImageError: The file is deflated and would unpack to more than any radiograph.
    """
    stream = io.BytesIO(content)
    read_preamble(stream, force=False)
    meta = read_dataset(stream, False, True, stop_when=lambda tag, vr, length: tag.group != 2)
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        inflater.decompress(content[stream.tell() :], MAX_INFLATED)
        if inflater.unconsumed_tail:
            raise BadImageError(f"DICOM that unpacks to more than {MAX_INFLATED:,} bytes; save it uncompressed")
    return dcmread(io.BytesIO(content), **options)


def facts(content: bytes) -> dict[str, str]:
    """Return view, patient_id, sex and age (years) from a file's header; blank for what the header lacks.

    The result is empty if the file is not DICOM, or if its header cannot be read.
    """
    if not is_dicom(content):
        return {}
    try:
        header = read(content, stop_before_pixels=True)
        view, sex, age = (str(header.get(key) or "") for key in ("ViewPosition", "PatientSex", "PatientAge"))
        return {
            "view": VIEWS.get(view, view),
            "patient_id": str(header.get("PatientID") or ""),
            "sex": sex if sex in ("M", "F") else "",
            "age": _years(age),
        }
    except MemoryError:
        raise
    except Exception:  # damaged; decoding reports it
        return {}


def _years(age: str) -> str:
    """Return an age in years, from the notation of the standard (045Y, 030M); blank if it is written otherwise."""
    number, unit = age[:-1], age[-1:]
    return str(int(number) // PER_YEAR[unit]) if number.isdecimal() and unit in PER_YEAR else ""


def open_radiograph(content: bytes) -> Dataset:
    """Read a DICOM file and check that its pixels can be shown. They are not decoded yet.

    Raises:
        BadImageError: The file is no projection radiograph, has no pixels or several frames, is deeper than 16 bits, or
            is compressed in a way for which no codec is installed.
    """
    radiograph = read(content)
    modality = radiograph.get("Modality") or "none"
    if modality not in MODALITIES:
        raise BadImageError(f"DICOM of modality {modality}, no radiograph ({', '.join(MODALITIES)}); leave it out")
    if "PixelData" not in radiograph:
        raise BadImageError("DICOM without pixel data; export it with its image")
    frames = int(radiograph.get("NumberOfFrames") or 1)
    if frames > 1:
        raise BadImageError(f"DICOM with {frames} frames; save the one that is meant")
    if radiograph.BitsAllocated > MAX_BITS:
        raise BadImageError(f"DICOM with {radiograph.BitsAllocated} bits a pixel; export it with {MAX_BITS} at most")
    _check_codec(radiograph)
    return radiograph


def _check_codec(radiograph: Dataset) -> None:
    syntax = radiograph.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise BadImageError(f"DICOM compressed as {syntax.name}, which pydicom cannot read; save it without") from None
    if not decoder.is_available:
        raise BadImageError(f"DICOM compressed as {syntax.name}, for which no codec is installed; {_codecs(decoder)}")


def _codecs(decoder: Decoder) -> str:
    needed = [text.split(" - requires ")[-1] for text in decoder.missing_dependencies]
    packages = " or ".join(needed).replace("gdcm>", "python-gdcm>")  # as the package index calls it
    return f"install {packages} with pip, or save the file uncompressed"


def shown(radiograph: Dataset) -> NDArray[np.uint8]:
    """Return the pixels of a radiograph as they are to be shown, uint8 (rows, columns) or (rows, columns, 3).

    In a grey image the stored values first go through the modality LUT or the rescaling. Then the VOI LUT is applied,
    or else the first window, or else the range of the values becomes black to white. MONOCHROME1 is inverted, so that
    higher is whiter. Padding becomes black, whatever its value. A colour image becomes RGB, whatever its colour space.

    Raises:
        BadImageError: The colours are of a palette or have more than 8 bits. Or the pixels cannot be decoded. Or the
            window or the slope shows nothing. Or there is only padding.
    """
    try:
        stored = pixel_array(radiograph)
    except MemoryError:
        raise
    except Exception as error:
        syntax, reason = radiograph.file_meta.TransferSyntaxUID, reason_of(error)
        remedy = f", or {_codecs(get_decoder(syntax))}" if syntax.is_compressed else ""
        raise BadImageError(
            f"DICOM whose pixels, {syntax.name}, cannot be decoded ({reason}); get the file again{remedy}"
        ) from None
    kind = radiograph.PhotometricInterpretation
    if kind not in ("MONOCHROME1", "MONOCHROME2"):
        if stored.ndim != 3 or stored.dtype != np.uint8:
            raise BadImageError(f"DICOM with colours {kind}, {radiograph.BitsAllocated} bits; save it as greyscale")
        return stored
    padding = _padding(stored, radiograph)
    if padding.all():
        raise BadImageError("DICOM with nothing but padding (PixelPaddingValue); export it with its image")
    lowest, highest = int(stored[~padding].min()), int(stored[~padding].max())
    levels = _shown_levels(np.arange(lowest, highest + 1), radiograph)
    if kind == "MONOCHROME1":
        levels = 1 - levels
    table = np.rint(255 * np.clip(levels, 0, 1)).astype(np.uint8)
    return np.where(padding, np.uint8(0), table[np.where(padding, lowest, stored).astype(np.int32) - lowest])


def _padding(stored: NDArray[Any], radiograph: Dataset) -> NDArray[np.bool_]:
    """Return which pixels only fill the rectangle and are no part of the image (PS3.3 C.7.5.1.1.2)."""
    value = radiograph.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, dtype=bool)
    limit = radiograph.get("PixelPaddingRangeLimit")
    low, high = sorted((value, value if limit is None else limit))
    return (stored >= low) & (stored <= high)


def _shown_levels(stored: NDArray[np.int64], radiograph: Dataset) -> NDArray[np.float64]:
    """Return the level at which each stored value is shown, 0 (lowest) to 1 (highest)."""
    if radiograph.get("RescaleSlope") == 0:
        raise BadImageError("DICOM with RescaleSlope 0, which makes every value alike; export it with a slope")
    values = apply_modality_lut(stored, radiograph)
    if radiograph.get("VOILUTSequence"):
        return _looked_up(values, radiograph)
    if None not in (radiograph.get("WindowCenter"), radiograph.get("WindowWidth")):
        return _windowed(values, radiograph)
    span = values.max() - values.min()
    return (values - values.min()) / (span or 1)


def _windowed(values: NDArray[Any], radiograph: Dataset) -> NDArray[np.float64]:
    try:
        with np.errstate(over="ignore"):
            # What pydicom makes of the lowest and the highest possible value. If the slope falls, low is above high.
            low, high = apply_windowing(np.array([-np.inf, np.inf]), radiograph)
            return (apply_windowing(values, radiograph) - low) / (high - low)
    except ValueError as error:
        raise BadImageError(f"DICOM whose window cannot be shown ({error}); export it with another or none") from None


def _looked_up(values: NDArray[Any], radiograph: Dataset) -> NDArray[np.float64]:
    item = radiograph.VOILUTSequence[0]
    entries, first, bits = item.LUTDescriptor
    # pydicom computes places in the table in the integer type of its entries. Wider entries, and values that are inside
    # the table, prevent an overflow.
    item.LUTDescriptor = [entries, first, MAX_BITS]
    inside = np.clip(np.rint(values), first, first + (entries or 2**16) - 1).astype(np.int64)
    return apply_voi(inside, radiograph) / (2**bits - 1)

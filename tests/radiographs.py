"""Image files for tests: noise, as DICOM, PNG or JPEG; and what decoding makes of them at 224 x 224 pixels."""

import io

import numpy as np
from PIL import Image
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from deepcovid.images import decoding, resizing

SIDE = 224
framed = resizing.resize_and_crop(SIDE)


def decode(content):
    """What nets are shown of an image file."""
    return decoding.decode(content, framed)


def dataset(pixels, photometric="MONOCHROME2", bits=None, **facts):
    """A DX radiograph of an integer array, with attributes by their DICOM keywords."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID = DigitalXRayImageStorageForPresentation
    made.Modality = "DX"
    made.set_pixel_data(pixels, photometric, bits or 8 * pixels.itemsize)
    for keyword, value in facts.items():
        setattr(made, keyword, value)
    return made


def written(made):
    """The bytes of the file."""
    stream = io.BytesIO()
    dcmwrite(stream, made, enforce_file_format=True)
    return stream.getvalue()


def dicom(pixels, photometric="MONOCHROME2", bits=None, **facts):
    """The bytes of a DX radiograph: see `dataset`."""
    return written(dataset(pixels, photometric, bits, **facts))


def noise(seed=0, size=(224, 224), dtype=np.uint8, low=0, high=256):
    """Noise, rows x columns (x 3)."""
    return np.random.default_rng(seed).integers(low, high, size, dtype=dtype)


def encoded(pixels, kind, mode=None):
    """The bytes of an image file of an array, of Pillow's `mode` if that is named."""
    stream = io.BytesIO()
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(stream, kind)
    return stream.getvalue()


def png(pixels, mode=None):
    """The bytes of a PNG of an array."""
    return encoded(pixels, "PNG", mode)


def jpeg(seed=0, size=(60, 60)):
    """The bytes of a grey JPEG."""
    return encoded(noise(seed, size), "JPEG")

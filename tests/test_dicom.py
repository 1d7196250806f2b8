import io

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from deepcovid.errors import BadImageError
from deepcovid.images.dicom import MAX_INFLATED, facts, is_dicom
from tests.radiographs import dataset, decode, dicom, jpeg, noise, written


def windowed(x, centre, width, function):
    """DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3, with an output of 0 to 1."""
    if function == "SIGMOID":
        return 1 / (1 + np.exp(-4 * (x - centre) / width))
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1
    ramp = (x - centre) / width + 0.5 if width else 0
    return np.where(x <= centre - width / 2, 0, np.where(x > centre + width / 2, 1, ramp))


@given(
    bits=st.sampled_from([8, 10, 12, 16]),
    signed=st.booleans(),
    photometric=st.sampled_from(["MONOCHROME1", "MONOCHROME2"]),
    slope=st.sampled_from([None, 1, 0.5, 2.25, -1]),
    intercept=st.integers(-2000, 2000),
    centre=st.integers(-3000, 70000),
    width=st.integers(1, 70000),
    function=st.sampled_from([None, "LINEAR", "LINEAR_EXACT", "SIGMOID"]),
)
@example(12, False, "MONOCHROME1", None, 0, 2048, 4096, None)
@example(16, True, "MONOCHROME2", 1, -1024, 40, 400, "LINEAR")
@example(12, False, "MONOCHROME2", -1, 4095, 2048, 1000, "SIGMOID")
def test_grey_values_are_rescaled_windowed_and_turned_as_the_standard_says(
    bits, signed, photometric, slope, intercept, centre, width, function
):
    low = -(2 ** (bits - 1)) if signed else 0
    kind = np.dtype(f"{'i' if signed else 'u'}{1 if bits == 8 else 2}")
    stored = noise(bits, dtype=kind, low=low, high=low + 2**bits)
    rescale = {} if slope is None else {"RescaleSlope": slope, "RescaleIntercept": intercept}
    window = {"WindowCenter": [centre, 1], "WindowWidth": [width, 2]}  # the first of two
    if function:
        window["VOILUTFunction"] = function
    values = stored if slope is None else stored * float(slope) + intercept
    expected = windowed(values.astype(float), centre, width, function or "LINEAR")
    if photometric == "MONOCHROME1":
        expected = 1 - expected
    got = decode(dicom(stored, photometric, bits, **rescale, **window))
    assert got.dtype == np.uint8
    assert np.abs(got - 255 * expected).max() <= 0.5 + 1e-6


@given(low=st.integers(-32768, 32767), high=st.integers(-32768, 32767))
def test_without_a_window_the_range_of_the_values_is_shown(low, high):
    assume(low < high)
    stored = noise(1, dtype=np.int16, low=low, high=high + 1)
    stored[0, :2] = low, high
    expected = 255 * (stored - float(low)) / (high - low)
    assert np.abs(decode(dicom(stored)) - expected).max() <= 0.5 + 1e-6
    assert np.abs(decode(dicom(stored, "MONOCHROME1")) - (255 - expected)).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("limit", [None, 60010])
def test_padding_is_black_and_outside_the_range_of_the_values(photometric, limit):
    stored = noise(3, dtype=np.uint16, low=100, high=3000)
    stored[0, :2] = 100, 2999
    plain = decode(dicom(stored, photometric))
    padded = stored.copy()
    padded[40:, :30] = 60000 if limit is None else np.arange(60000, 60010).repeat(3)
    tags = {"PixelPaddingValue": 60000} | ({} if limit is None else {"PixelPaddingRangeLimit": limit})
    expected = plain.copy()
    expected[40:, :30] = 0
    assert (decode(dicom(padded, photometric, **tags)) == expected).all()


def test_a_deflated_file_is_read():
    assert (decode(deflated(dataset(noise()))) == decode(dicom(noise()))).all()


def test_an_even_image_and_a_blank_window_are_no_errors():
    assert (decode(dicom(np.full((224, 224), 700, np.uint16), WindowCenter=None, WindowWidth=None)) == 0).all()


def lookup(entries, first, bits, descriptor_type="US"):
    item = Dataset()
    item.add_new("LUTDescriptor", descriptor_type, [len(entries) % 2**16, first, bits])
    item.add_new("LUTData", "US", entries.tolist())
    return [item]


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize(("slope", "first"), [(1, 0), (1, 100), (20, -500)])
def test_a_voi_lookup_table_is_read_past_its_ends_and_beyond_its_own_depth(bits, slope, first):
    entries = np.random.default_rng(0).integers(0, 2**bits, 4096)
    stored = noise(2, dtype=np.uint16, high=5000)
    window = {"WindowCenter": 5, "WindowWidth": 5}  # the table comes before it
    made = dicom(
        stored,
        bits=13,
        RescaleSlope=slope,
        RescaleIntercept=-200,
        VOILUTSequence=lookup(entries, first, bits, "SS"),
        **window,
    )
    place = np.clip(stored.astype(int) * slope - 200 - first, 0, 4095)
    assert np.abs(decode(made) - 255 * entries[place] / (2**bits - 1)).max() <= 0.5 + 1e-6


def test_a_modality_lookup_table_comes_before_the_window():
    entries = np.arange(4096)[::-1] // 2
    stored = noise(3, dtype=np.uint16, high=4096)
    sequence = lookup(entries, 0, 16)
    made = dicom(stored, bits=12, ModalityLUTSequence=sequence, WindowCenter=1000, WindowWidth=500)
    expected = 255 * windowed(entries[stored].astype(float), 1000, 500, "LINEAR")
    assert np.abs(decode(made) - expected).max() <= 0.5 + 1e-6


def test_colours_are_shown_as_rgb_and_grey_ones_as_grey():
    colours = noise(4, (224, 224, 3))
    assert (decode(dicom(colours, "RGB")) == colours).all()
    grey = np.repeat(colours[..., :1], 3, axis=2)
    assert (decode(dicom(grey, "RGB")) == grey[..., 0]).all()
    luma, blue, red = (colours[..., channel].astype(float) for channel in range(3))
    blue, red = blue - 128, red - 128
    expected = np.stack([luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue], axis=2)
    assert np.abs(decode(dicom(colours, "YBR_FULL")) - np.clip(expected, 0, 255)).max() <= 1


def compressed(syntax, frame, **facts):
    made = dataset(noise(5), **facts)
    made.file_meta.TransferSyntaxUID = syntax
    made.PixelData = encapsulate([frame])
    made["PixelData"].VR = "OB"
    return written(made)


def test_compressed_pixels_are_those_of_their_codec():
    made = dataset(noise(5, dtype=np.uint16, high=4096), bits=12, WindowCenter=2000, WindowWidth=3000)
    plain = decode(written(made))
    made.compress(RLELossless)
    assert dcmread(io.BytesIO(written(made))).file_meta.TransferSyntaxUID == RLELossless
    assert (decode(written(made)) == plain).all()

    whole = {"WindowCenter": 127.5, "WindowWidth": 255, "VOILUTFunction": "LINEAR_EXACT"}
    frame = jpeg(6, (224, 224))
    assert (decode(compressed(JPEGBaseline8Bit, frame, **whole)) == np.asarray(Image.open(io.BytesIO(frame)))).all()
    stream = io.BytesIO()
    Image.fromarray(noise(7)).save(stream, "JPEG2000", irreversible=False, no_jp2=True)
    assert (decode(compressed(JPEG2000Lossless, stream.getvalue(), **whole)) == noise(7)).all()


def without_pixels():
    made = dataset(noise())
    del made.PixelData
    return written(made)


def truncated():
    return dicom(noise())[:-1000]


def vast():
    """A file of a few bytes that would unpack to gigabytes."""
    made = dataset(noise())
    made.Rows = made.Columns = 60000
    return written(made)


def of_32_bits():
    made = dataset(noise())
    made.BitsAllocated = made.BitsStored = 32
    return written(made)


def of_a_palette():
    made = dataset(noise())
    made.PhotometricInterpretation = "PALETTE COLOR"
    return written(made)


def deflated(radiograph):
    radiograph.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return written(radiograph)


def deflated_bomb():
    made = dataset(noise())
    made.add_new((0x0009, 0x1001), "OB", bytes(MAX_INFLATED))
    return deflated(made)


BAD = {
    "CT": (lambda: dicom(noise(), Modality="CT"), "modality CT, no radiograph"),
    "MR": (lambda: dicom(noise(), Modality="MR"), "modality MR, no radiograph"),
    "no modality": (lambda: dicom(noise(), Modality=""), "modality none"),
    "no pixels": (without_pixels, "without pixel data"),
    "several frames": (lambda: dicom(noise(size=(3, 224, 224))), "with 3 frames"),
    "too deep": (of_32_bits, "32 bits a pixel"),
    "palette": (of_a_palette, "PALETTE COLOR"),
    "deep colours": (lambda: dicom(noise(size=(224, 224, 3), dtype=np.uint16), "RGB"), "RGB, 16 bits"),
    "unknown syntax": (lambda: compressed(MPEG2MPML, b"film"), "MPEG2 .*which pydicom cannot read"),
    "broken frame": (lambda: compressed(JPEGBaseline8Bit, b"no JPEG"), r"JPEG Baseline .*cannot be decoded .*gdcm"),
    "truncated": (truncated, "cannot be decoded .*get the file again$"),
    "no header": (lambda: bytes(128) + b"DICM" + bytes(50), "damaged|without|modality none"),
    "empty window": (lambda: dicom(noise(), WindowCenter=5, WindowWidth=0), "Window Width .*export it with another"),
    "odd window": (
        lambda: dicom(noise(), WindowCenter=5, WindowWidth=9, VOILUTFunction="CUBIC"),
        "window .*'CUBIC'.*export it with another",
    ),
    "no slope": (
        lambda: dicom(noise(), RescaleSlope=0, RescaleIntercept=7, WindowCenter=5, WindowWidth=9),
        "RescaleSlope 0",
    ),
    "nothing but padding": (
        lambda: dicom(np.full((224, 224), 9, np.uint16), PixelPaddingValue=9),
        "nothing but padding",
    ),
    "deflated bomb": (deflated_bomb, "unpacks to more than"),
    "small": (lambda: dicom(noise(size=(20, 20))), "20 x 20 pixels, less than 32"),
    "a strip": (lambda: dicom(noise(size=(40, 1000))), "1000 x 40 pixels, a strip"),
    "vast": (vast, "60000 x 60000 pixels, more than any radiograph"),
}


@pytest.mark.parametrize(("make", "why"), BAD.values(), ids=BAD.keys())
def test_dicom_that_cannot_be_shown_is_refused_in_one_line_with_the_reason(make, why):
    with pytest.raises(BadImageError, match=why) as caught:
        decode(make())
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.skipif(get_decoder(JPEGLSLossless).is_available, reason="a codec for JPEG-LS is installed")
def test_a_codec_that_is_not_installed_is_named_with_the_packages_that_have_it():
    with pytest.raises(
        BadImageError, match=r"JPEG-LS .* no codec is installed; install python-gdcm>=.* or .*pylibjpeg"
    ):
        decode(compressed(JPEGLSLossless, b"frame"))


def test_facts_come_from_the_header():
    named = {"ViewPosition": "LL", "PatientID": "A-7", "PatientSex": "F", "PatientAge": "045Y"}
    assert facts(dicom(noise(), **named)) == {"view": "L", "patient_id": "A-7", "sex": "F", "age": "45"}
    young = {"ViewPosition": "AP", "PatientSex": "O", "PatientAge": "030M"}
    assert facts(dicom(noise(), **young)) == {"view": "AP", "patient_id": "", "sex": "", "age": "2"}
    assert set(facts(dicom(noise())).values()) == {""}


@pytest.mark.parametrize("age", ["45", "045", "Y", "-45Y", "045X", "unknown"])
@pytest.mark.filterwarnings("ignore:(Invalid value|The value length)")
def test_an_age_that_is_not_written_as_the_standard_says_hides_no_other_fact(age):
    content = dicom(noise(), ViewPosition="AP", PatientID="A-7", PatientSex="F", PatientAge=age)
    assert facts(content) == {"view": "AP", "patient_id": "A-7", "sex": "F", "age": ""}


def test_what_is_no_dicom_has_no_facts():
    assert facts(jpeg()) == facts(b"") == facts(bytes(128) + b"DICM" + b"\xff" * 9) == {}
    assert not is_dicom(jpeg())

import hashlib
import io
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.GifImagePlugin import GifImageFile
from PIL.TiffImagePlugin import TiffImageFile
from torchvision import transforms

from deepcovid import catalogue
from deepcovid.archives import Archive
from deepcovid.arrays import ArrayWriter, batches, load_array
from deepcovid.errors import UserError, reason_of
from deepcovid.images.decoding import BadImageError, check_quarantine, decoded_images, write_images
from deepcovid.images.resizing import resize, resize_and_crop
from deepcovid.nets.features import normalised
from tests.forged import by_hand, lying, tiled, without_palette
from tests.radiographs import SIDE, decode, dicom, framed, noise

# The released code's evaluation transform, as the paper's repository describes it.
RELEASED = transforms.Compose(
    [
        transforms.Resize(224),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]
)


def encoded(mode, size=(300, 260), file_format="PNG", seed=0, **options):
    rng = np.random.default_rng(seed)
    channels = {"L": (), "RGB": (3,), "RGBA": (4,), "CMYK": (4,), "LA": (2,)}[mode]
    pixels = rng.integers(0, 256, (size[1], size[0], *channels), dtype=np.uint8)
    if mode in ("RGBA", "LA") and options.pop("opaque", False):
        pixels[..., -1] = 255
    stream = io.BytesIO()
    Image.fromarray(pixels, mode).save(stream, file_format, **options)
    return stream.getvalue()


GOOD = {
    "grey JPEG": encoded("L", (320, 390), "JPEG"),
    "colour JPEG": encoded("RGB", (400, 320), "JPEG"),
    "grey PNG smaller than the crop": encoded("L", (100, 150)),
    "opaque RGBA": encoded("RGBA", opaque=True),
    "opaque grey with alpha": encoded("LA", opaque=True),
    "palette": (lambda s: (Image.open(io.BytesIO(encoded("RGB"))).quantize(16).save(s, "PNG"), s.getvalue())[1])(
        io.BytesIO()
    ),
    "long and thin": encoded("L", (900, 60)),
}


@pytest.mark.parametrize("content", GOOD.values(), ids=GOOD.keys())
def test_decoded_pixels_are_the_released_transform_of_the_file(content):
    expected = RELEASED(Image.open(io.BytesIO(content)).convert("RGB"))
    pixels = decode(content)
    got = normalised(torch.from_numpy(pixels.reshape(1, 224, 224, -1).copy()))[0]
    assert torch.equal(got, expected)


@given(
    size=st.integers(4, 64),
    width=st.integers(1, 200),
    height=st.integers(1, 200),
    channels=st.sampled_from([(), (3,)]),
    seed=st.integers(0, 9),
)
def test_framing_is_torchvisions_byte_for_byte(size, width, height, channels, seed):
    values = np.random.default_rng(seed).integers(0, 256, (height, width, *channels), dtype=np.uint8)
    picture = Image.fromarray(values)
    assert resize(size)(picture).tobytes() == transforms.Resize(size)(picture).tobytes()
    expected = transforms.CenterCrop(size)(transforms.Resize(size)(picture))
    assert resize_and_crop(size)(picture).tobytes() == expected.tobytes()


def sixteen_bit():
    stream = io.BytesIO()
    Image.fromarray(np.arange(90000, dtype=np.uint16).reshape(300, 300)).save(stream, "PNG")
    return stream.getvalue()


def sixteen_bit_colour():
    """A PNG of 40 x 40 pixels, written by hand, since Pillow writes none of this kind."""
    return by_hand(40, 16, 2, bytes(40 * 6))


def animated(file_format="GIF"):
    frames = [Image.open(io.BytesIO(encoded("L", seed=seed))) for seed in range(2)]
    stream = io.BytesIO()
    frames[0].save(stream, file_format, save_all=True, append_images=frames[1:])
    return stream.getvalue()


BAD = {
    "one pixel": (encoded("L", (1, 1)), "1 x 1 pixels"),
    "sixteen bits": (sixteen_bit(), "more than 8 bits"),
    "transparent": (encoded("RGBA"), "transparent"),
    "CMYK": (encoded("CMYK", file_format="JPEG"), "CMYK"),
    "animated": (animated(), "animated, or of several pages"),
    "animated PNG": (animated("PNG"), "animated, or of several pages"),
    "animated WebP": (animated("WEBP"), "animated, or of several pages"),
    "pages": (animated("TIFF"), "animated, or of several pages"),
    "vast tile": (tiled(40_000), "tiles of 40000 x 40000 pixels"),
    "no palette": (without_palette(), "damaged .AssertionError.; get the file again"),
    "sixteen bits a colour": (sixteen_bit_colour(), "more than 8 bits"),
    "a strip": (encoded("L", (40, 2000)), "a strip"),
    "text": (b"this is no image", "not an image"),
    "empty": (b"", "not an image"),
    "truncated": (encoded("L", file_format="JPEG")[:4000], "damaged"),
    "truncated PNG": (encoded("L")[:4000], "damaged"),
}


@pytest.mark.parametrize(("content", "why"), BAD.values(), ids=BAD.keys())
def test_an_image_of_uncertain_meaning_is_refused_with_the_reason(content, why):
    with pytest.raises(BadImageError, match=why):
        decode(content)


def test_the_pages_of_a_file_are_not_counted(monkeypatch):
    """Pillow takes minutes to count 100,000 pages of a TIFF."""
    for kind in (TiffImageFile, GifImageFile):
        monkeypatch.setattr(kind, "n_frames", property(lambda picture: pytest.fail("counted")))
    for file_format in ("TIFF", "GIF"):
        decode(encoded("L", file_format=file_format))
        with pytest.raises(BadImageError, match="several pages"):
            decode(animated(file_format))


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
@pytest.mark.parametrize("content", [GOOD["grey JPEG"], dicom(noise())], ids=["JPEG", "DICOM"])
def test_what_is_no_fault_of_an_image_passes(monkeypatch, error, content):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(Image, "open", fail)
    monkeypatch.setattr("deepcovid.images.dicom.pixel_array", fail)
    with pytest.raises(error):
        decode(content)


def test_an_absurdly_large_picture_is_refused(monkeypatch):
    monkeypatch.setattr("deepcovid.images.decoding.MAX_PIXELS", 1000)
    with pytest.raises(BadImageError, match="more than any radiograph"):
        decode(encoded("L"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(BadImageError, match="not an image that can be read"):
        decode(encoded("L"))


@pytest.fixture
def raw(tmp_path):
    """Return a function that zips files and lists them as a catalogue."""

    def make(files, copies=None):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        table = pd.DataFrame({"image_id": list(files), "archive": "a.zip", "member": list(files), "label": "covid"})
        table["augmentation_of"] = table["image_id"].map(copies or {}).fillna("")
        return catalogue.checked(table, "test"), tmp_path

    return make


def written(folder, table, quarantined):
    """Decode images, whose archives are in `folder`, to p.npy there; return the catalogue's rows of those used."""
    rows, used = decoded_images(table, folder, quarantined, framed), folder / "used.csv"
    images = write_images(rows, folder / "p.npy", used, table.columns, SIDE)
    table = catalogue.read(used)
    assert len(table) == images
    return table


def test_bad_images_are_left_out_and_named_with_their_copies(raw, tmp_path):
    table, _ = raw({"good": GOOD["grey JPEG"], "bad": b"no", "copy of bad": GOOD["grey JPEG"]}, {"copy of bad": "bad"})
    quarantined = {}
    used = written(tmp_path, table, quarantined)
    assert list(used["image_id"]) == ["good"]
    assert set(quarantined) == {"bad", "copy of bad"}
    assert load_array(tmp_path / "p.npy").shape == (1, 224, 224, 1)


def test_a_bad_file_or_member_leaves_the_others_as_they_are(raw, tmp_path):
    files = {"good": GOOD["grey JPEG"], "no palette": without_palette(), "also good": GOOD["colour JPEG"]}
    table, folder = raw(files)
    lying(folder / "a.zip", bytes(10_000), 100, name="lie")
    row = {"image_id": "lie", "archive": "a.zip", "member": "lie", "label": "covid", "augmentation_of": ""}
    table = catalogue.checked(pd.concat([table, pd.DataFrame([row])], ignore_index=True).fillna(""), "test")
    quarantined = {}
    used = written(tmp_path, table, quarantined)
    assert list(used["image_id"]) == ["good", "also good"]
    assert list(quarantined) == ["no palette", "lie"]
    assert "'lie' has more than the 100 bytes" in quarantined["lie"]
    assert all(len(reason.splitlines()) == 1 for reason in quarantined.values())


def test_an_image_that_the_catalogue_does_not_know_under_its_name_is_put_aside(raw, tmp_path):
    table, _ = raw({"a": GOOD["grey JPEG"], "b": GOOD["colour JPEG"]})
    table["sha256"] = [hashlib.sha256(GOOD["grey JPEG"]).hexdigest()] * 2
    quarantined = {}
    used = written(tmp_path, table, quarantined)
    assert list(used["image_id"]) == ["a"]
    assert "'b' is another file than the catalogue knows; run `dvc repro`" in quarantined["b"]


def test_too_many_bad_images_stop_the_run_and_one_is_named():
    with pytest.raises(UserError, match=r"2 of 100 images .* 'x': broken"):
        check_quarantine({"x": "broken", "y": "broken"}, 100, 0.01)
    check_quarantine({"x": "broken"}, 100, 0.01)


def test_grey_and_colour_images_share_one_array(raw, tmp_path):
    files = {"1": GOOD["grey JPEG"], "2": GOOD["colour JPEG"], "3": GOOD["grey JPEG"]}
    table, _ = raw(files)
    written(tmp_path, table, {})
    pixels = load_array(tmp_path / "p.npy")
    assert pixels.shape == (3, 224, 224, 3)
    for index, content in enumerate(files.values()):
        expected = decode(content)
        assert (pixels[index] == (expected[..., None] if expected.ndim == 2 else expected)).all()


def test_rows_keep_the_order_of_the_catalogue_over_many_chunks(raw, tmp_path, monkeypatch):
    monkeypatch.setattr("deepcovid.images.decoding.CHUNK", 3)
    table, folder = raw({str(seed): encoded("L", seed=seed) for seed in range(10)})
    used = written(tmp_path, table, {})
    assert list(used["image_id"]) == list(table["image_id"])
    with Archive(folder / "a.zip") as archive:
        for row, name in zip(load_array(tmp_path / "p.npy"), used["member"], strict=True):
            assert (row[..., 0] == decode(archive.read(name))).all()


def test_an_array_written_row_by_row_is_what_numpy_reads(tmp_path):
    rows = np.random.default_rng(0).standard_normal((7, 3, 2)).astype(np.float32)
    with ArrayWriter(tmp_path / "a.npy", (3, 2), np.float32) as writer:
        writer.append(rows[:5])
        writer.append(rows[5:])
    assert np.array_equal(np.load(tmp_path / "a.npy"), rows)
    with pytest.raises(ValueError, match="do not fit"), ArrayWriter(tmp_path / "b.npy", (3,), np.float32) as writer:
        writer.append(rows)


def test_batches_are_the_rows_of_the_file_in_order(tmp_path):
    rows = np.random.default_rng(0).integers(0, 256, (7, 4, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", rows)
    parts = list(batches(tmp_path / "a.npy", 3))
    assert [len(part) for part in parts] == [3, 3, 1]
    assert np.array_equal(np.concatenate(parts), rows)


@pytest.mark.parametrize("content", [b"no picture" * 40, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 60 60\n"])
def test_a_reason_says_nothing_that_differs_from_run_to_run(content):
    with pytest.raises(BadImageError) as caught:
        decode(content)
    assert "0x" not in str(caught.value)
    assert str(caught.value).startswith("not an image that can be read; ")


def test_an_address_in_memory_is_taken_out_of_a_reason():
    assert reason_of(OSError(f"cannot read {object()}\nhere")) == "cannot read here"

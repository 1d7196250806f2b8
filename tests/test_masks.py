"""Lesion masks, and lung masks from a made-up archive of covid-chestxray-dataset's layout."""

import zipfile

import numpy as np
import pandas as pd
import pytest

from deepcovid.images import masks
from deepcovid.images.masks import framed_mask, lesion_masks, lung_masks, lung_members
from tests.radiographs import SIDE, decode, encoded, noise, png

FOLDER = "covid-chestxray-dataset-master/annotations/lungVAE-masks"


def square(height, width, white=255):
    """Lungs that fill the rows from a quarter to a half and the columns from a fifth to two fifths."""
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : height // 2, width // 5 : 2 * width // 5] = white
    return mask


@pytest.fixture
def raw(tmp_path):
    """Two archives: one image of 300 x 400 in the repository's own, one reduced in another; masks of full size."""
    with zipfile.ZipFile(tmp_path / masks.ARCHIVE, "w") as archive:
        archive.writestr("covid-chestxray-dataset-master/images/a b.c.jpg", encoded(square(300, 400), "JPEG"))
        archive.writestr(f"{FOLDER}/a b.c_mask.png", png(square(1200, 1600)))
        archive.writestr(f"{FOLDER}/reduced_mask.png", png(square(1500, 1000)))
        archive.writestr(f"{FOLDER}/README.md", "by lungVAE")
        archive.writestr("covid-chestxray-dataset-master/annotations/other/x_mask.png", png(square(300, 400)))
    with zipfile.ZipFile(tmp_path / "own.zip", "w") as archive:
        archive.writestr("reduced.png", png(square(375, 250)))
    return tmp_path


def rows(*images):
    columns = ["image_id", "source", "source_image", "archive", "member"]
    return pd.DataFrame([dict(zip(columns, image, strict=True)) for image in images], columns=columns)


OWN = ("a", masks.SOURCE, "a b.c.jpg", masks.ARCHIVE, "covid-chestxray-dataset-master/images/a b.c.jpg")
REDUCED = ("b", masks.SOURCE, "reduced.jpg", "own.zip", "reduced.png")


def test_masks_are_found_by_their_images_name_and_nothing_else_is_one(raw):
    assert lung_members(raw) == {"a b.c": f"{FOLDER}/a b.c_mask.png", "reduced": f"{FOLDER}/reduced_mask.png"}


def test_a_mask_lies_over_its_image_as_the_pipeline_frames_it_whatever_its_size(raw):
    table = rows(OWN, REDUCED)
    found = lung_masks(raw, table, lung_members(raw), SIDE)
    for mask, (archive, member) in zip(found, table[["archive", "member"]].itertuples(index=False), strict=True):
        with zipfile.ZipFile(raw / archive) as opened:
            bright = decode(opened.read(member)) > 127
        assert mask.shape == (224, 224)
        assert mask.dtype == bool
        assert (mask & bright).sum() > 0.9 * (mask | bright).sum()


def test_an_image_of_another_source_or_without_a_mask_has_none(raw):
    other = ("c", "somewhere else", *OWN[2:])
    unknown = ("d", masks.SOURCE, "unknown.jpg", *REDUCED[3:])
    found = lung_masks(raw, rows(other, OWN, unknown), lung_members(raw), SIDE)
    assert [mask is None for mask in found] == [True, False, True]


def test_an_edition_without_annotations_and_no_archive_at_all_have_no_masks(tmp_path):
    assert lung_members(tmp_path) == {}
    assert lung_masks(tmp_path, rows(OWN), {}, SIDE) == [None]
    with zipfile.ZipFile(tmp_path / masks.ARCHIVE, "w") as archive:
        archive.writestr("covid-chestxray-dataset-master/metadata.csv", "filename")
    assert lung_members(tmp_path) == {}


@pytest.mark.parametrize(("white", "mode"), [(1, None), (255, None), (1, "RGB"), (255, "RGB"), (255, "1")])
@pytest.mark.parametrize("side", [SIDE, 96])
def test_white_may_be_one_or_255_and_the_file_grey_or_coloured(white, mode, side):
    found = framed_mask(png(square(448, 448, white), mode=mode), (448, 448), side)
    expected = square(side, side) > 0
    assert found.shape == expected.shape
    assert (found ^ expected).sum() < 13.4 / side * expected.sum()  # along the edges


def test_a_black_mask_shows_nothing():
    assert not framed_mask(png(np.zeros((300, 300), np.uint8)), (300, 300), SIDE).any()


def test_a_mask_that_cannot_be_read_is_refused_and_named(raw, refused):
    with zipfile.ZipFile(raw / masks.ARCHIVE, "w") as archive:
        archive.writestr(OWN[-1], encoded(square(300, 400), "JPEG"))
        archive.writestr(f"{FOLDER}/a b.c_mask.png", b"not an image")
    with refused(masks.ARCHIVE, "a b.c_mask.png", "not an image that can be read"):
        lung_masks(raw, rows(OWN), lung_members(raw), SIDE)


@pytest.mark.parametrize(
    ("content", "why"), [(b"no mask", "not an image"), (png(noise(0, (224, 224, 3))), "a mask in colour")]
)
def test_a_lesion_mask_that_cannot_be_used_is_named(tmp_path, refused, zipped, content, why):
    good = np.zeros((224, 224), np.uint8)
    good[:100] = 255
    zipped(("image.png", png(noise())), ("good.png", png(good)), ("bad.png", content))
    table = pd.DataFrame({"archive": "images.zip", "member": "image.png", "mask": ["", "good.png"]})
    none, mask = lesion_masks(tmp_path, table, SIDE)
    assert none is None
    assert (mask == (good > 0)).all()
    with refused("images.zip: bad.png: ", why):
        lesion_masks(tmp_path, table.replace("good.png", "bad.png"), SIDE)


def test_a_lesion_mask_of_another_size_lies_over_its_image(tmp_path, zipped):
    zipped(("image.png", png(square(300, 400))), ("mask.png", png(square(600, 800, white=1))))
    table = pd.DataFrame({"archive": ["images.zip"], "member": ["image.png"], "mask": ["mask.png"]})
    (mask,) = lesion_masks(tmp_path, table, SIDE)
    bright = decode(png(square(300, 400))) > 127
    assert (mask & bright).sum() > 0.9 * (mask | bright).sum()

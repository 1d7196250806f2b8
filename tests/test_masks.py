"""Lesion masks, and lung masks from a made-up archive of covid-chestxray-dataset's layout."""

import hashlib
import zipfile

import numpy as np
import pandas as pd
import pytest

from deepcovid.errors import BadImageError, UserError
from deepcovid.fetching import packaged
from deepcovid.images import masks
from deepcovid.images.masks import framed_mask, lesion_masks, lung_masks, lung_places
from tests.checkouts import ROOT
from tests.forged import without_palette
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
    return pd.DataFrame([dict(zip(columns, image, strict=True)) for image in images], columns=columns).assign(sha256="")


OWN = ("a", masks.SOURCE, "a b.c.jpg", masks.ARCHIVE, "covid-chestxray-dataset-master/images/a b.c.jpg")
REDUCED = ("b", masks.SOURCE, "reduced.jpg", "own.zip", "reduced.png")


@pytest.fixture
def by_hand(tmp_path):
    """Masks by hand, in an archive apart: none of `raw`'s images, one image that no other archive knows."""
    path = tmp_path / "by hand.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("masks/only by hand.jpg", png(square(900, 600)))
    return path


def test_masks_are_found_by_their_images_name_and_nothing_else_is_one(raw, by_hand):
    assert lung_places(raw, by_hand) == {
        "a b.c": (masks.ARCHIVE, f"{FOLDER}/a b.c_mask.png"),
        "reduced": (masks.ARCHIVE, f"{FOLDER}/reduced_mask.png"),
        "only by hand.jpg": (str(by_hand), "masks/only by hand.jpg"),
    }


def test_a_mask_by_hand_goes_before_one_that_a_net_drew(raw, by_hand):
    with zipfile.ZipFile(by_hand, "w") as archive:
        archive.writestr("masks/reduced.jpg", png(square(1500, 1000)[::-1]))
    by_net, hand = (
        lung_masks(raw, rows(REDUCED), places, SIDE)[0]
        for places in ({"reduced": (masks.ARCHIVE, f"{FOLDER}/reduced_mask.png")}, lung_places(raw, by_hand))
    )
    assert hand.any()
    assert not (by_net & hand).any()


@pytest.mark.parametrize("mask", [square(1200, 1000), np.zeros((1500, 1000), np.uint8)], ids=["shape", "empty"])
def test_a_lung_mask_that_does_not_fit_its_image_is_left_out_and_said(raw, by_hand, mask, capsys):
    with zipfile.ZipFile(by_hand, "w") as archive:
        archive.writestr("masks/reduced.jpg", png(mask))
    assert lung_masks(raw, rows(REDUCED), lung_places(raw, by_hand), SIDE) == [None]
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("warning: masks/reduced.jpg: ")
    assert "left out" in said


def test_masks_over_other_images_than_the_catalogue_knows_are_refused(raw, by_hand):
    with zipfile.ZipFile(raw / "own.zip") as archive:
        table = rows(REDUCED).assign(sha256=hashlib.sha256(archive.read("reduced.png")).hexdigest())
    assert lung_masks(raw, table, lung_places(raw, by_hand), SIDE)[0].any()
    with zipfile.ZipFile(raw / "own.zip", "w") as archive:
        archive.writestr("reduced.png", png(square(375, 250, white=200)))
    with pytest.raises(UserError, match=r"own\.zip: 'reduced\.png' is another file than the catalogue knows; run"):
        lung_masks(raw, table, lung_places(raw, by_hand), SIDE)


def test_a_mask_of_another_shape_is_told_with_both():
    with pytest.raises(BadImageError, match="the mask has 300 x 200 pixels, its image 100 x 100: another shape"):
        framed_mask(png(square(200, 300)), (100, 100), SIDE)


def test_the_package_has_masks_of_the_papers_images():
    """The file's hash is checked, and every mask is a picture in two colours."""
    own = packaged(ROOT / "reference/sources.yaml", "lung-masks")
    assert own.licence.startswith("CC BY")
    places = lung_places(ROOT, own.path)
    assert len(places) > 400
    archive, member = places["1-s2.0-S0140673620303706-fx1_lrg.jpg"]
    with zipfile.ZipFile(archive) as opened:
        mask = framed_mask(opened.read(member), (893, 400), SIDE)
    assert 0.1 < mask.mean() < 0.9


def test_a_mask_lies_over_its_image_as_the_pipeline_frames_it_whatever_its_size(raw, by_hand):
    table = rows(OWN, REDUCED)
    found = lung_masks(raw, table, lung_places(raw, by_hand), SIDE)
    for mask, (archive, member) in zip(found, table[["archive", "member"]].itertuples(index=False), strict=True):
        with zipfile.ZipFile(raw / archive) as opened:
            bright = decode(opened.read(member)) > 127
        assert mask.shape == (224, 224)
        assert mask.dtype == bool
        assert (mask & bright).sum() > 0.9 * (mask | bright).sum()


def test_an_image_of_another_source_or_without_a_mask_has_none(raw, by_hand):
    other = ("c", "somewhere else", *OWN[2:])
    unknown = ("d", masks.SOURCE, "unknown.jpg", *REDUCED[3:])
    found = lung_masks(raw, rows(other, OWN, unknown), lung_places(raw, by_hand), SIDE)
    assert [mask is None for mask in found] == [True, False, True]


def test_an_edition_without_annotations_and_no_archive_at_all_have_no_masks(tmp_path, by_hand):
    assert list(lung_places(tmp_path, by_hand)) == ["only by hand.jpg"]
    assert lung_masks(tmp_path, rows(OWN), {}, SIDE) == [None]
    with zipfile.ZipFile(tmp_path / masks.ARCHIVE, "w") as archive:
        archive.writestr("covid-chestxray-dataset-master/metadata.csv", "filename")
    assert list(lung_places(tmp_path, by_hand)) == ["only by hand.jpg"]


@pytest.mark.parametrize(("white", "mode"), [(1, None), (255, None), (1, "RGB"), (255, "RGB"), (255, "1")])
@pytest.mark.parametrize("side", [SIDE, 96])
def test_white_may_be_one_or_255_and_the_file_grey_or_coloured(white, mode, side):
    found = framed_mask(png(square(448, 448, white), mode=mode), (448, 448), side)
    expected = square(side, side) > 0
    assert found.shape == expected.shape
    assert (found ^ expected).sum() < 13.4 / side * expected.sum()  # along the edges


def test_a_black_mask_shows_nothing():
    assert not framed_mask(png(np.zeros((300, 300), np.uint8)), (300, 300), SIDE).any()


@pytest.mark.parametrize("bad", ["image", "mask"])
def test_a_lung_mask_that_cannot_be_read_or_whose_image_cannot_is_left_out_and_said(raw, by_hand, capsys, bad):
    files = {"image": encoded(square(300, 400), "JPEG"), "mask": png(square(300, 400))} | {bad: b"not an image"}
    with zipfile.ZipFile(raw / masks.ARCHIVE, "w") as archive:
        archive.writestr(OWN[-1], files["image"])
        archive.writestr(f"{FOLDER}/a b.c_mask.png", files["mask"])
        archive.writestr(f"{FOLDER}/reduced_mask.png", png(square(1500, 1000)))
    own, reduced = lung_masks(raw, rows(OWN, REDUCED), lung_places(raw, by_hand), SIDE)
    assert own is None
    assert reduced.any()
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"warning: {FOLDER}/a b.c_mask.png: not an image that can be read; ")
    assert said.endswith("; it is left out")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"no mask", "not an image"),
        (png(noise(0, (224, 224, 3))), "a mask in colour"),
        (without_palette(), "damaged (AssertionError)"),
    ],
    ids=["text", "colour", "no palette"],
)
def test_a_lesion_mask_that_cannot_be_used_is_left_out_and_said(tmp_path, capsys, zipped, content, why):
    good = np.zeros((224, 224), np.uint8)
    good[:100] = 255
    zipped(("image.png", png(noise())), ("good.png", png(good)), ("bad.png", content))
    table = pd.DataFrame({"archive": "images.zip", "member": "image.png", "sha256": "", "mask": ["", "good.png"]})
    none, mask = lesion_masks(tmp_path, table, SIDE)
    assert none is None
    assert (mask == (good > 0)).all()
    assert not capsys.readouterr().err
    assert lesion_masks(tmp_path, table.replace("good.png", "bad.png"), SIDE) == [None, None]
    assert f"warning: bad.png: {why}" in capsys.readouterr().err


def test_a_lesion_mask_of_another_size_lies_over_its_image(tmp_path, zipped):
    zipped(("image.png", png(square(300, 400))), ("mask.png", png(square(600, 800, white=1))))
    table = pd.DataFrame({"archive": ["images.zip"], "member": ["image.png"], "sha256": "", "mask": ["mask.png"]})
    (mask,) = lesion_masks(tmp_path, table, SIDE)
    bright = decode(png(square(300, 400))) > 127
    assert (mask & bright).sum() > 0.9 * (mask | bright).sum()

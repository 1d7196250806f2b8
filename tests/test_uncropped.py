"""Images before their centre is cut out."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from deepcovid.images.uncropped import uncropped
from tests.radiographs import decode


@pytest.fixture
def catalogued(tmp_path, zipped):
    """A wide grey image, a tall colour one, and a generated copy of the first; their catalogue and cropped array."""
    rng = np.random.default_rng(0)
    contents = []
    for shape in ((250, 500), (450, 225, 3)):
        path = tmp_path / "image.png"
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(path)
        contents.append(path.read_bytes())
    raw = zipped(("wide.png", contents[0]), ("tall.png", contents[1])).parent
    table = pd.DataFrame(
        {
            "image_id": ["wide", "tall", "wide+1"],
            "archive": "images.zip",
            "member": ["wide.png", "tall.png", "wide.png"],
            "sha256": "",
            "augmentation_of": ["", "", "wide"],
        }
    )
    cropped = np.stack([np.broadcast_to(decode(part).reshape(224, 224, -1), (224, 224, 3)) for part in contents])
    return table, raw, np.concatenate([cropped, cropped[:1, :, ::-1]])


def test_the_centre_of_each_is_what_the_array_holds(catalogued):
    table, raw, cropped = catalogued
    wide, tall, copy = uncropped(table, raw, cropped, generated=True)
    assert wide.shape == (224, 448, 3)
    assert tall.shape == (448, 224, 3)
    np.testing.assert_array_equal(wide[:, 112:336], cropped[0])
    np.testing.assert_array_equal(tall[112:336], cropped[1])
    np.testing.assert_array_equal(copy, cropped[2])


def test_published_copies_are_read_like_any_image(catalogued):
    table, raw, cropped = catalogued
    assert uncropped(table, raw, cropped, generated=False)[2].shape == (224, 448, 3)


def test_a_file_that_changed_since_is_an_error(catalogued, refused, zipped):
    table, _, cropped = catalogued
    raw = zipped(("wide.png", b"no image"), ("tall.png", b"no image")).parent
    with refused("'wide' has changed", "dvc repro"):
        uncropped(table, raw, cropped, generated=True)

"""What the heatmaps stage wrote, read back: whole, damaged, or of other images."""

import numpy as np
import pandas as pd
import pytest

from deepcovid import catalogue
from deepcovid.nets.zoo import NETS
from stages import paths
from stages.localisation import localisation
from stages.maps import LAST, read_maps, read_sanity
from tests.checkouts import ROOT, settings_of

IMAGES = ["a", "b", "c"]
CHOSEN = ["c", "a"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of the maps of two of three images, in a checkout that is the current folder."""
    monkeypatch.chdir(tmp_path)
    facts = {"image_id": IMAGES, "archive": "images.zip", "member": IMAGES, "label": ["covid", "non", "covid"]}
    table = pd.DataFrame(facts).reindex(columns=list(catalogue.COLUMNS), fill_value="")
    (tmp_path / "data/phantom").mkdir(parents=True)
    catalogue.write(tmp_path / "data/phantom/images.csv", table)
    maps = tmp_path / "data/phantom/heatmaps/resnet18"
    maps.mkdir(parents=True)
    chosen = pd.DataFrame({"image_id": CHOSEN, "score": [0.1, 0.9], "cut_off": 0.5, "why": "sample"})
    chosen.to_csv(maps / "images.csv", index=False)
    for number, name in enumerate(("occlusion", "grad_cam")):
        np.save(maps / f"{name}.npy", np.full((2, 224, 224), number, np.float32))
    facts = {"image_id": "a", "patient_id": "p", "value": 0.5}
    kinds = pd.DataFrame([("correlation", "the head", "occlusion"), *LAST], columns=["measure", "what", "method"])
    kinds.assign(**facts).to_csv(maps / "sanity.csv", index=False)
    return maps


def test_rows_and_maps_come_in_the_order_in_which_the_images_were_chosen(folder):
    rows, maps = read_maps("phantom", "resnet18", 224)
    assert rows[["image_id", "place", "label", "score"]].to_numpy().tolist() == [
        ["c", 2, "covid", 0.1],
        ["a", 0, "covid", 0.9],
    ]
    assert [part.mean() for part in maps.values()] == [0, 1]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 100, 100), np.float32),
        np.zeros((3, 224, 224), np.float32),
        np.zeros((2, 224, 224), np.complex64),
        np.float32(0),
    ],
)
def test_maps_of_another_shape_or_kind_are_refused(folder, refused, array):
    np.save(folder / "occlusion.npy", array)
    with refused(
        folder.relative_to(folder.parents[3]) / "occlusion.npy", "instead of float32 (2 x 224 x 224)", "dvc repro"
    ):
        read_maps("phantom", "resnet18", 224)


def test_a_map_that_is_not_finite_is_refused(folder, refused):
    np.save(folder / "grad_cam.npy", np.full((2, 224, 224), np.nan, np.float32))
    with refused("heatmaps/resnet18/grad_cam.npy", "not finite", "dvc repro", "look at the scores"):
        read_maps("phantom", "resnet18", 224)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"no array"])
def test_damaged_maps_are_refused(folder, refused, content):
    (folder / "occlusion.npy").write_bytes(content)
    with refused("heatmaps/resnet18/occlusion.npy: damaged", "dvc repro"):
        read_maps("phantom", "resnet18", 224)


def test_maps_of_pickled_objects_are_refused(folder, refused):
    np.save(folder / "occlusion.npy", np.array([{}, {}], object), allow_pickle=True)
    with refused("heatmaps/resnet18/occlusion.npy: damaged"):
        read_maps("phantom", "resnet18", 224)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "damaged"),
        ("a,b\n1,2\n", "damaged"),
        ("image_id,score,cut_off,why\nc,high,0.5,sample\na,0.9,0.5,sample\n", "damaged"),
        ("image_id,score,cut_off,why\na,0.1,0.5,sample\na,0.9,0.5,sample\n", "damaged"),
        (
            "image_id,score,cut_off,why\nc,0.1,0.5,sample\nother,0.9,0.5,sample\n",
            "not images of data/phantom/images.csv",
        ),
    ],
)
def test_another_table_of_images_is_refused(folder, refused, content, why):
    (folder / "images.csv").write_text(content)
    with refused(f"heatmaps/resnet18/images.csv: {why}", "dvc repro"):
        read_maps("phantom", "resnet18", 224)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: "image_id,value\n",
        lambda text: text.replace("0.5", "much"),
        lambda text: text[:-3],
        lambda text: "".join(text.splitlines(keepends=True)[:-1]),
        lambda text: text.splitlines(keepends=True)[0],
        lambda text: text.replace("a,p", "c,p", 1),
    ],
)
def test_a_damaged_table_of_what_the_maps_depend_on_is_named(folder, refused, change):
    path = folder / "sanity.csv"
    assert len(read_sanity("phantom", "resnet18", ["a"])) == 9
    path.write_text(change(path.read_text()))
    with refused("heatmaps/resnet18/sanity.csv: damaged", "dvc repro"):
        read_sanity("phantom", "resnet18", ["a"])


def test_where_no_image_was_looked_at_the_table_is_empty(folder, refused):
    with refused("heatmaps/resnet18/sanity.csv: damaged"):
        read_sanity("phantom", "resnet18", [])
    (folder / "sanity.csv").write_text("image_id,patient_id,measure,what,method,value\n")
    assert read_sanity("phantom", "resnet18", []).empty


def test_pixels_of_fewer_images_than_the_catalogue_has_are_refused(folder, refused, params, monkeypatch):
    monkeypatch.setattr(paths, "SOURCES", ROOT / paths.SOURCES)
    params["dataset"]["phantom"]["image_size"] = 224
    np.save(folder.parents[1] / "pixels.npy", np.zeros((2, 224, 224, 1), np.uint8))
    with refused("data/phantom/pixels.npy: uint8 (2 x 224", "a row for each of data/phantom/images.csv", "dvc repro"):
        localisation(settings_of(params).parameters("phantom", NETS), "phantom", "resnet18")

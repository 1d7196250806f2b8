import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcovid import catalogue
from deepcovid.filtering import filter_images
from deepcovid.settings.datasets import FilterSettings
from tests.strategies import MODALITIES, VIEWS, catalogues

AP_XRAY = FilterSettings(views=["AP"], modality=["X-ray"])


@pytest.fixture
def table():
    columns = ["image_id", "label", "view", "modality", "finding", "patient_id", "augmentation_of"]
    rows = [
        ("a", "covid", "AP", "X-ray", "Pneumonia", "p", ""),
        ("b", "covid", "PA", "X-ray", "Pneumonia", "p", ""),
        ("c", "covid", "L", "CT", "", "q", ""),
        ("d", "non", "AP", "X-ray", "No Finding", "r", ""),
        ("e", "non", "AP", "X-ray", "Edema", "", ""),
        ("f", "non", "", "X-ray", "Edema", "s", ""),
        ("a flipped", "covid", "PA", "CT", "Pneumonia", "p", "a"),
        ("b flipped", "covid", "AP", "X-ray", "Pneumonia", "p", "b"),
    ]
    return catalogue.checked(pd.DataFrame(rows, columns=columns).assign(archive="a.zip", member="m"), "here")


def test_kept_and_dropped_are_counted_by_reason_view_and_finding(table):
    kept, counts = filter_images(table, AP_XRAY)
    assert kept["image_id"].tolist() == ["a", "d", "e", "a flipped"]
    assert counts == {
        "kept": {
            "images": 4,
            "copies": 1,
            "covid": {"images": 1, "patients": 1, "view": {"AP": 1}, "finding": {"Pneumonia": 1}},
            "non": {"images": 2, "patients": 1, "view": {"AP": 2}, "finding": {"Edema": 1, "No Finding": 1}},
        },
        "dropped": {
            "images": 4,
            "copies": 1,
            "covid": {
                "images": 2,
                "patients": 2,
                "view": {"L": 1, "PA": 1},
                "finding": {"Pneumonia": 1, "unknown": 1},
            },
            "non": {"images": 1, "patients": 1, "view": {"unknown": 1}, "finding": {"Edema": 1}},
            "reason": {"modality": 1, "view": 3},
        },
    }


def test_all_keeps_every_row(table):
    kept, counts = filter_images(table, FilterSettings(views="all", modality="all"))
    pd.testing.assert_frame_equal(kept, table)
    assert counts["dropped"]["images"] == 0


def test_class_without_images_is_an_error_that_names_the_views_there_are(table, refused):
    with refused("filter: no non image is left of 3", "`views`", "views there are: AP, L, PA)"):
        filter_images(table, FilterSettings(views=["PA"], modality="all"))


allowed = [st.just("all") | st.lists(st.sampled_from(values), unique=True) for values in (VIEWS, MODALITIES)]


@given(table=catalogues(), views=allowed[0], modality=allowed[1])
def test_each_original_stays_if_it_satisfies_the_filter_and_takes_its_copies_along(refused, table, views, modality):
    rows = table.to_dict("records")
    originals = {row["image_id"]: row for row in rows if not row["augmentation_of"]}

    def stays(row):
        original = originals[row["augmentation_of"] or row["image_id"]]
        return (views == "all" or original["view"] in views) and (modality == "all" or original["modality"] in modality)

    expected = [row for row in rows if stays(row)]
    settings = FilterSettings(views=views, modality=modality)
    if {row["label"] for row in expected} != set(catalogue.LABELS):
        with refused("filter: no ", "image is left"):
            filter_images(table, settings)
        return
    kept, counts = filter_images(table, settings)
    assert kept.to_dict("records") == expected
    assert counts["kept"]["images"] + counts["dropped"]["images"] == len(table)
    assert sum(counts["dropped"]["reason"].values()) == counts["dropped"]["images"]

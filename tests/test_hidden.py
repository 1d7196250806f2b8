"""Lungs hidden: what is black, and that the audit sees a planted shortcut and sees none where none is."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from deepcovid import catalogue
from deepcovid.audits.hidden import Hidden, left_visible, swept
from deepcovid.audits.hiding import SHUFFLED, WHOLE, Square, hide, squares
from deepcovid.drawing.steps import Step
from deepcovid.heads.sweep import train_and_score
from deepcovid.nets.features import extract, normalised
from deepcovid.nets.trunks import trunk
from deepcovid.nets.weights import random_state
from deepcovid.nets.zoo import NETS
from deepcovid.parameters import validate
from deepcovid.settings.analyses import EvaluateSettings, FeatureSettings
from deepcovid.settings.datasets import HidingSettings
from deepcovid.sources.phantom.population import patient_images
from deepcovid.statistics.estimate import Headline, read_result
from stages import _audit, paths
from stages._hidden import hidden as hidden_stage
from tests.audits import HIDDEN
from tests.checkouts import ROOT
from tests.phantoms import patient, phantom_source
from tests.radiographs import decode

NO_MASKS = np.empty((0, 224, 224), bool)
BOOTSTRAP = EvaluateSettings(bootstrap_samples=200, bootstrap_seed=1)
shares = st.floats(0.01, 0.99)


@given(share=shares, seed=st.integers(0, 100), channels=st.sampled_from([1, 3]))
def test_a_pixel_is_shown_inside_or_outside_but_never_both_or_changed(share, seed, channels):
    images = np.random.default_rng(seed).integers(1, 256, (2, 224, 224, channels), dtype=np.uint8)
    before = images.copy()
    outside, inside = (hide(images, Square(share, shows)) for shows in ("outside", "inside"))
    assert (outside + inside == images).all()
    assert ((outside == 0) | (inside == 0)).all()
    assert (images == before).all()


@given(share=shares)
def test_the_square_is_centred_and_its_side_is_the_share_of_the_images(share):
    black = hide(np.ones((1, 224, 224, 1), np.uint8), Square(share, "outside"))[0, ..., 0] == 0
    assert (black == black[::-1]).all()
    assert (black == black[:, ::-1]).all()
    assert (black == black.T).all()
    assert abs(np.sqrt(black.sum()) - share * 224) <= 1.001


def test_squares_come_as_they_are_named_first_those_that_are_black():
    found = squares(HidingSettings(hidden=[0.9, 0.5], visible=[0.25], shuffled=True))
    assert found == [Square(0.9, "outside"), Square(0.5, "outside"), Square(0.25, "inside"), SHUFFLED]
    assert [square.key for square in found] == ["hidden-0.9", "hidden-0.5", "visible-0.25", "shuffled"]


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 4), channels=st.sampled_from([1, 3]))
def test_shuffled_images_have_the_same_pixels_elsewhere_whatever_batch_they_are_in(seed, count, channels):
    images = np.random.default_rng(seed).integers(0, 256, (count, 16, 12, channels), dtype=np.uint8)
    shuffled = hide(images, SHUFFLED)
    assert shuffled.shape == images.shape
    for before, after in zip(images, shuffled, strict=True):
        pixels = [sorted(map(tuple, image.reshape(-1, channels).tolist())) for image in (before, after)]
        assert pixels[0] == pixels[1]
        assert (hide(before[None], SHUFFLED) == after).all()
        assert (before != after).mean() > 0.5


def test_what_shuffled_images_make_one_expect_elsewhere():
    """Ong Ly et al. 2024: the AUC less that of shuffled images, plus one half."""
    square = HIDDEN.nets["resnet18"]["hidden-0.75"].model_copy(update={"shows": "shuffled"})
    found = HIDDEN.model_copy(update={"nets": {"resnet18": HIDDEN.nets["resnet18"] | {"shuffled": square}}})
    *_, reached, _, expected = found.sentences()
    assert "shuffled, so that only its grey levels are left, heads reach 0.950" in reached
    assert expected == "That is 0.540 (0.530 to 0.550) with ResNet18."


@pytest.fixture
def recipe(params):
    return validate(params, "params.yaml", NETS).recipe["paper"]


def test_an_area_is_that_of_heads_trained_on_those_features(recipe):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"image_id": [f"image {number}" for number in range(80)], "augmentation_of": ""})
    table["label"] = np.where(np.arange(80) % 4 == 0, "covid", "non")
    table["split"] = np.where(np.arange(80) < 40, "train", "test")
    table["patient_id"] = table["image_id"]
    covid = (table["label"] == "covid").to_numpy()
    strengths = {WHOLE: 1.0, Square(0.5, "outside"): 0.3, Square(0.5, "inside"): 0.0}
    features = {
        square: (rng.normal(size=(80, 16)) + strength * covid[:, None]).astype(np.float32)
        for square, strength in strengths.items()
    }
    found = swept(features, table, recipe, [3, 5], BOOTSTRAP, NO_MASKS, NO_MASKS)
    assert list(found) == ["whole", "hidden-0.5", "visible-0.5"]
    assert [(part.share, part.shows) for part in found.values()] == list(features)
    test = catalogue.in_test(table).to_numpy()
    for part, own in zip(found.values(), features.values(), strict=True):
        (scores,) = train_and_score(own, table, [recipe], [3, 5]).values()
        areas = [roc_auc_score(covid[test], scores[name]) for name in scores]
        assert part.auc.value == pytest.approx(min(areas), abs=1e-6)  # of two, the lower is shown
        assert part.over_seeds.max == pytest.approx(max(areas), abs=1e-6)
        assert part.auc.low <= part.auc.value <= part.auc.high
        less = part.less_than_whole
        assert less.value == pytest.approx(found["whole"].auc.value - part.auc.value, abs=2e-6)
        assert less.low <= less.value <= less.high
        assert part.lesions_visible is None


@pytest.mark.parametrize(("split", "label"), [("train", "covid"), ("test", "non"), ("test", "covid")])
def test_a_side_without_both_classes_is_refused(recipe, refused, split, label):
    table = pd.DataFrame({"split": ["train", "train", "test", "test"], "label": ["covid", "non"] * 2})
    table = table[(table["split"] != split) | (table["label"] != label)].assign(augmentation_of="", patient_id="p")
    with refused({"train": "training", "test": "test"}[split], "images are of one class only"):
        swept({WHOLE: np.zeros((3, 4), np.float32)}, table, recipe, [0, 1], BOOTSTRAP, NO_MASKS, NO_MASKS)


def test_the_stage_refuses_features_of_other_squares_or_another_net(tmp_path, params, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(paths, "SOURCES", ROOT / paths.SOURCES)
    params["dataset"]["phantom"]["hiding"] = {"hidden": [0.5, 0.75], "visible": [], "shuffled": False}
    parameters = validate(params, "params.yaml", NETS).parameters("phantom", NETS)
    Path("data/phantom/features/resnet18").mkdir(parents=True)
    names = [f"image {number}" for number in range(4)]
    table = pd.DataFrame({"image_id": names, "archive": "a.zip", "member": names, "label": "non", "split": "test"})
    catalogue.write(Path("data/phantom/images.csv"), table)
    np.save("data/phantom/features/resnet18/images.npy", np.zeros((4, 6), np.float32))
    for shape in ((4, 6), (12, 6), (8, 12), (16, 3)):
        np.save("data/phantom/features/resnet18/hidden.npy", np.zeros(shape, np.float32))
        with refused(
            "data/phantom/features/resnet18/hidden.npy", "2 squares (dataset.phantom.hiding) for each of 4", "dvc repro"
        ):
            hidden_stage(parameters, "phantom")
    assert not Path("metrics").exists()
    assert not Path("results").exists()


def test_without_audited_nets_the_audit_is_switched_off_and_says_so(tmp_path, params, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(paths, "SOURCES", ROOT / paths.SOURCES)
    params["audited_models"] = []
    parameters = validate(params, "params.yaml", NETS).parameters("phantom", NETS)
    names = ["image 0"]
    table = pd.DataFrame({"image_id": names, "archive": "a.zip", "member": names, "label": "non", "split": "test"})
    Path("data/phantom").mkdir(parents=True)
    catalogue.write(Path("data/phantom/images.csv"), table)
    hidden_stage(parameters, "phantom")
    found = read_result(Path("results/phantom/hidden.json"), Hidden)
    assert (found.nets, found.headline(), [*found.sentences()]) == ({}, {}, [])
    (block,) = found.blocks(Step("hidden", "", {}, (), ()))
    assert block.caption == "The middle hidden: not run; audited_models names no net."
    assert block.picture is None
    assert list(Path("metrics/audits/phantom/hidden").iterdir()) == []


def test_a_net_that_is_audited_no_more_leaves_no_headline(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    both = HIDDEN.model_copy(update={"nets": HIDDEN.nets | {"resnet50": HIDDEN.nets["resnet18"]}})
    for found in (both, HIDDEN):
        _audit.write(found, "phantom", "hidden")
        headlines = {path.stem for path in Path("metrics/audits/phantom/hidden").iterdir()}
        assert headlines == set(found.nets)
    headline = read_result(Path("metrics/audits/phantom/hidden/resnet18.json"), Headline)
    assert headline == Headline(auc=0.95, auc_low=0.93, auc_high=0.97)


@pytest.fixture(scope="module")
def phantoms():
    """Normal and COVID phantoms, 112 x 112, half of each for training; all that differs is in the lungs."""
    source = phantom_source(seed=1)
    groups = ["covid"] * 60 + ["normal"] * 60
    drawn = [patient_images(source, patient(number, group))[0] for number, group in enumerate(groups)]
    table = pd.DataFrame([phantom.row for phantom in drawn]).assign(augmentation_of="")
    table["split"] = np.where(table.groupby("label").cumcount() % 2 == 0, "train", "test")
    pixels = [decode(phantom.file)[::2, ::2] for phantom in drawn]
    return table, np.stack(pixels)[..., None]


@pytest.mark.pipeline
def test_the_audit_sees_a_planted_shortcut_and_none_where_none_is(phantoms, recipe):
    """A white strip, as of text, in the corner of each COVID image, far from the square that hides the lungs."""
    table, pixels = phantoms
    covid = (table["label"] == "covid").to_numpy()
    marked = pixels.copy()
    marked[covid, 1:11, 1:41] = 255
    hidden = Square(0.8, "outside")
    net = trunk("resnet18", random_state("resnet18", 0, normalised(torch.from_numpy(pixels[::4]))))
    settings = FeatureSettings(device="cpu", precision="fp32", batch_size=30)

    def audited(images):
        features = {
            square: np.concatenate(list(extract(net, np.split(hide(images, square), 4), settings)))
            for square in (WHOLE, hidden)
        }
        return swept(features, table, recipe, [0, 1], BOOTSTRAP, NO_MASKS, NO_MASKS)[hidden.key].auc

    planted, clean = audited(marked), audited(pixels)
    assert planted.low > 0.8
    assert clean.low < 0.5 < clean.high


def test_the_share_of_lesions_is_told_of_each_square(recipe):
    table = pd.DataFrame({"image_id": [f"image {number}" for number in range(8)], "augmentation_of": ""})
    table = table.assign(label=["covid", "non"] * 4, split=["train"] * 4 + ["test"] * 4, patient_id=table["image_id"])
    masks = np.zeros((1, 8, 8), bool)
    masks[0, :2, :3] = masks[0, 3:5, 3:5] = True  # six pixels in a corner, four in the middle
    features = dict.fromkeys((WHOLE, Square(0.5, "outside")), np.eye(8, dtype=np.float32))
    found = swept(features, table, recipe, [0], BOOTSTRAP, masks, masks[:, :, ::-1])
    assert {key: part.lesions_visible for key, part in found.items()} == {"whole": 1.0, "hidden-0.5": 0.6}
    assert {key: part.lungs_visible for key, part in found.items()} == {"whole": 1.0, "hidden-0.5": 0.6}


def test_where_every_mask_is_empty_no_share_is_told(recipe):
    """Phantoms without disease have masks that show nothing."""
    table = pd.DataFrame({"image_id": [f"image {number}" for number in range(8)], "augmentation_of": ""})
    table = table.assign(label=["covid", "non"] * 4, split=["train"] * 4 + ["test"] * 4, patient_id=table["image_id"])
    masks = np.zeros((2, 8, 8), bool)
    found = swept({WHOLE: np.eye(8, dtype=np.float32)}, table, recipe, [0], BOOTSTRAP, masks, masks)["whole"]
    assert (found.lesions_visible, found.lungs_visible) == (None, None)


def test_the_share_of_lesions_that_a_square_leaves_to_be_seen():
    masks = np.zeros((2, 8, 8), bool)
    masks[0, :2, :3] = masks[1, 2:6, 3:5] = True  # six pixels in a corner, eight in the middle
    shown = {Square(0.5, "outside"): 6 / 14, Square(0.5, "inside"): 8 / 14, WHOLE: 1.0, Square(0.99, "outside"): 0.0}
    assert {square: left_visible(masks, square) for square in shown} == pytest.approx(shown)

import json
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, roc_auc_score

from deepcovid import catalogue
from deepcovid.audits.external import ExternalRun, check_images, chosen, left_out, measured, trained_on
from deepcovid.files import sha256_of
from deepcovid.nets.trunks import write_state
from deepcovid.settings import EvaluateSettings
from deepcovid.statistics.rates import Counts
from stages import _run
from stages._run import read_settings
from stages.external import external
from tests.checkouts import edit_params
from tests.strategies import catalogues
from tests.trained import FEATURES, MODEL, random_head, trained_folder


def rows(*images):
    """A catalogue of images given as dicts; each has names of its own where none are given."""
    table = pd.DataFrame(images)
    table["image_id"] = [f"image {number}" for number in table.index]
    return catalogue.checked(table.assign(archive="images.zip", member=table["image_id"]).fillna(""), "test")


def test_an_image_is_left_out_for_each_reason_and_counted_once():
    test = rows(
        {"label": "covid", "patient_id": "p1", "source_image": "a.png", "sha256": "1"},
        {"label": "covid", "patient_id": "p2", "source_image": "b.png", "sha256": "2"},
        {"label": "covid", "patient_id": "p3", "source_image": "c.png", "sha256": "3"},
        {"label": "covid", "patient_id": "p4", "source_image": "d.png", "sha256": "4"},
        {"label": "non", "patient_id": "p5", "source_image": "e.png", "sha256": "5"},
    )
    train = rows(
        {"label": "non", "patient_id": "p1", "source_image": "x.png", "sha256": "9"},
        {"label": "non", "patient_id": "q2", "source_image": "b.png", "sha256": "8"},
        {"label": "non", "patient_id": "q3", "source_image": "y.png", "sha256": "3"},
        {"label": "non", "patient_id": "p4", "source_image": "d.png", "sha256": "4"},
    )
    seen = trained_on(test, train)
    assert seen["same_patient"].tolist() == [True, False, False, True, False]
    assert seen["same_image"].tolist() == [False, True, True, True, False]
    assert left_out(seen) == {"images": 4, "same_patient": 2, "same_image": 3}


def test_blanks_match_nothing():
    table = rows({"label": "covid"}, {"label": "non"})
    assert not trained_on(table, table).any(axis=None)


@given(test=catalogues(), train=catalogues())
def test_no_patient_of_the_training_images_is_left(test, train):
    seen = trained_on(test, train)
    left = test[~seen.any(axis=1)]
    assert not set(left["patient_id"]) & set(train["patient_id"]) - {""}
    assert len(left) + left_out(seen)["images"] == len(test)
    unknown = test[test["patient_id"] == ""]
    assert set(unknown["image_id"]) <= set(left["image_id"])


@given(mask=st.lists(st.booleans(), min_size=1, max_size=20).map(np.array), size=st.integers(1, 6))
def test_chosen_images_come_in_order_and_in_no_empty_batch(mask, size):
    images = np.arange(len(mask), dtype=np.uint8)
    batches = [images[start : start + size] for start in range(0, len(images), size)]
    got = list(chosen(batches, mask))
    assert all(len(batch) for batch in got)
    assert np.concatenate([*got, np.empty(0, np.uint8)]).tolist() == images[mask].tolist()


def test_too_few_images_are_refused_with_how_many_were_left_out(refused):
    both = rows({"label": "covid"}, {"label": "non"})
    counts = {"images": 3, "same_patient": 3, "same_image": 0}
    check_images(both, counts, "--images folder")
    with refused("--images folder: no test image", "without the 3 that the heads were trained on"):
        check_images(both[:0], counts, "--images folder")
    with refused("--images folder: 1 test images", "every one non", "images of both classes"):
        check_images(both[1:], counts, "--images folder")


@pytest.fixture
def trained(checkout, monkeypatch):
    """A checkout with heads of phantom on a random net, and images called cohen, a train and a copied row among them.

    Of its ten test images one is of a patient in phantom's training images.
    """

    def edit(values):
        values["models"] = values["audited_models"] = values["heatmapped_models"] = [MODEL]
        values["recipes"], values["replays"] = ["paper"], []
        values["features"] |= {"device": "cpu", "batch_size": 3}
        values["evaluate"]["bootstrap_samples"] = 100

    edit_params(checkout, edit)
    monkeypatch.chdir(checkout)
    phantom, cohen = (checkout / "data" / name for name in ("phantom", "cohen"))
    trained_folder(checkout)
    cohen.mkdir()
    own = [{"label": "covid", "split": "train", "patient_id": "p3"}, {"label": "non", "split": "test"}]
    catalogue.write(phantom / "images.csv", rows(*own))
    table = rows(
        {"label": "covid", "split": "train", "patient_id": "p90"},
        *({"label": catalogue.LABELS[n % 2], "split": "test", "patient_id": f"p{n}"} for n in range(10)),
        {"label": "covid", "split": "test", "patient_id": "p2", "augmentation_of": "image 3"},
    )
    catalogue.write(cohen / "images.csv", table)
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (12, 224, 224, 1), dtype=np.uint8)
    pixels = pixels * rng.uniform(0.1, 1, (12, 1, 1, 1))  # of different brightness, so that scores differ
    np.save(cohen / "pixels.npy", pixels.astype(np.uint8))
    return checkout


def expected_scores(folder, tested):
    """P(covid) of the first head by torchvision's own transform and net; SqueezeNet's features are channel means."""
    pixels = np.load(folder / "data/cohen/pixels.npy")[tested]
    torch.manual_seed(0)
    net = torchvision.models.get_model(MODEL).eval()
    normalise = torchvision.transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    images = torch.stack([normalise(torch.tensor(image).permute(2, 0, 1).expand(3, -1, -1) / 255) for image in pixels])
    with torch.inference_mode():
        features = net.features(images).mean((2, 3))
    head = random_head()
    return (features @ torch.tensor(head.weight[0]) + torch.tensor(head.bias[0])).softmax(1)[:, 0].double().numpy()


def test_the_area_is_measured_within_each_view_that_has_enough_images():
    views = ["AP"] * 12 + ["AP Supine"] * 12 + ["PA"] * 40 + ["L"] * 12 + [""] * 40
    table = pd.DataFrame({"view": views, "patient_id": [f"p{number}" for number in range(len(views))]})
    table["label"] = np.where(np.arange(len(views)) % 2 == 0, "covid", "non")
    scores = np.random.default_rng(0).uniform(size=(len(views), 2))
    settings = EvaluateSettings(bootstrap_samples=100, bootstrap_seed=0)
    found = measured(table, scores, 0.5, 5, settings).views
    assert set(found) == {"AP", "PA"}  # of L there are six of each class, and a blank is no view
    lying = table["view"].isin(["AP", "AP Supine"])
    assert found["AP"].n_test == Counts(covid=12, non=12)
    expected = roc_auc_score(table["label"][lying] == "covid", scores[lying, 0])
    assert found["AP"].auc.value == pytest.approx(expected)
    assert found["AP"].auc.low <= expected <= found["AP"].auc.high


def test_the_stage_scores_the_other_sets_test_images_that_training_did_not_see(trained):
    external(read_settings(), "phantom", MODEL, "cohen")
    found = json.loads((trained / f"metrics/phantom/audit/external-cohen-{MODEL}.json").read_text())
    assert (found["heads"], found["images"], found["model"]) == ("phantom", "cohen", MODEL)
    assert found["left_out"] == {"images": 1, "same_patient": 1, "same_image": 0}
    tested_on = ExternalRun.model_validate(found["recipes"]["paper"])
    own, calibration = tested_on.run, tested_on.calibration
    tested = [number for number in range(1, 11) if number != 4]  # row 4 is of patient p3
    positive, score = np.array([number % 2 == 1 for number in tested]), expected_scores(trained, tested)
    assert own.n_test == Counts(covid=5, non=4)
    assert own.auc.value == pytest.approx(roc_auc_score(positive, score), abs=1e-6)
    assert own.cut_off == 0.3  # of the heads' file, not of params.yaml
    assert own.sensitivity.value == pytest.approx((score[positive] >= 0.3).mean(), abs=1e-6)
    assert own.specificity.value == pytest.approx((score[~positive] < 0.3).mean(), abs=1e-6)
    assert calibration.brier.value == pytest.approx(brier_score_loss(positive, score), abs=1e-5)
    assert sum(part.images for part in calibration.bins.values()) == 9
    assert own.over_seeds.heads == 2


def test_the_stage_refuses_heads_on_other_weights_and_names_both_hashes(trained, refused):
    weights = trained / f"data/phantom/weights/{MODEL}.safetensors"
    before = sha256_of(weights)
    write_state(weights, MODEL, torchvision.models.get_model(MODEL).state_dict())
    with refused(f"heads/{MODEL}-paper.safetensors", before, sha256_of(weights)):
        external(read_settings(), "phantom", MODEL, "cohen")


def test_the_stage_refuses_heads_of_another_feature_size_and_names_their_file(trained, refused):
    trained_folder(trained, features=3)
    with refused(f"heads/{MODEL}-paper.safetensors: a head for 3 features cannot score {FEATURES}"):
        external(read_settings(), "phantom", MODEL, "cohen")
    assert not (trained / "metrics").exists()


@pytest.mark.parametrize("rows", [0, 11, 13])
def test_the_stage_refuses_pixels_of_another_table(trained, refused, rows):
    np.save(trained / "data/cohen/pixels.npy", np.zeros((rows, 224, 224, 1), np.uint8))
    with refused(f"data/cohen/pixels.npy: {rows} images, but images.csv beside it has 12 rows", "dvc repro"):
        external(read_settings(), "phantom", MODEL, "cohen")
    assert not (trained / "metrics").exists()


def test_the_stage_refuses_images_that_are_all_trained_on(trained, refused):
    path = trained / "data/phantom/images.csv"
    table = pd.concat([catalogue.read(trained / "data/cohen/images.csv")]).assign(split="train")
    catalogue.write(path, table)
    with refused("--images cohen: no test image, without the 10 that the heads were trained on"):
        external(read_settings(), "phantom", MODEL, "cohen")


def test_the_option_images_takes_a_known_data_set(trained, monkeypatch, capsys):
    options = ["external", "--dataset", "phantom", "--model", MODEL, "--images", "cohort"]
    monkeypatch.setattr(sys, "argv", options)
    with pytest.raises(SystemExit, match="error: --images cohort: not known; known are phantom, "):
        _run.run(external)
    monkeypatch.setattr(sys, "argv", ["external", "--help"])
    with pytest.raises(SystemExit):
        _run.run(external)
    shown = " ".join(capsys.readouterr().out.split())
    assert "a name from params.yaml, `dataset`" in shown
    assert "--dataset phantom --model resnet18 --images cohen" in shown

"""A detector that never saw COVID-19: on made-up features in which the truth is a column, and through the stage."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from deepcovid import catalogue
from deepcovid.audits.collection import Collection, OfNet, check, collection_of_net, folds, learned
from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.settings.recipes import Recipe
from deepcovid.statistics.estimate import Headline, read_result
from stages import paths
from stages.collection import collection
from tests.audits import without_covid
from tests.checkouts import edit_params, parameters
from tests.test_external import rows, trained  # noqa: F401
from tests.trained import FEATURES, MODEL, PAPER

SETTINGS = EvaluateSettings(bootstrap_samples=200, bootstrap_seed=0)
RECIPE = Recipe.model_validate(PAPER | {"epochs": 30})


def images(count, label, split, finding="", name=""):
    return [
        {"label": label, "split": split, "finding": finding, "patient_id": f"{name}{label}{split}{finding}{n}"}
        for n in range(count)
    ]


def made(shortcut, disease, seed=0):
    """A data set and a test set, with features: the collection in the first, the disease in the second, and noise."""
    own = rows(
        *images(40, "covid", "train"),
        *images(170, "non", "train"),
        *images(30, "non", "train", "Pneumonia"),
        *images(30, "covid", "test"),
        *images(90, "non", "test"),
    )
    other = rows(
        *images(40, "covid", "test", name="A"),
        *images(20, "non", "test", "No Finding", name="A"),
        *images(30, "non", "test", "Pneumonia", name="A"),
    )
    rng, found = np.random.default_rng(seed), []
    for table, from_a in ((own, catalogue.covid(own)), (other, np.ones(len(other), bool))):
        values = rng.normal(size=(len(table), 64))
        values[:, 0] += shortcut * np.asarray(from_a)
        values[:, 1] += disease * catalogue.covid(table)
        found.append((table, values.astype(np.float32)))
    return found


def reached(shortcut, disease):
    own, other = made(shortcut, disease)
    return collection_of_net(own, other, learned(other[0], own[0]).rows, RECIPE, [0, 1, 2], SETTINGS, 0)


def test_where_only_the_collection_differs_heads_without_covid_do_as_well_and_none_can_within_it():
    found = reached(shortcut=5, disease=0)
    assert found.covid.auc.value > 0.95
    assert found.collection.auc.value > 0.95
    assert found.healthy.auc.value > 0.9
    assert found.collection.less_than_covid.low < 0.02
    assert found.similar.auc.value < 0.8  # the control learns what is of the other collection
    assert found.within.low < 0.5 < found.within.high


def test_where_only_the_disease_differs_heads_without_covid_are_at_one_half():
    found = reached(shortcut=0, disease=4)
    assert found.covid.auc.value > 0.95
    assert found.within.low > 0.6
    assert 0.3 < found.collection.auc.value < 0.7
    assert found.collection.less_than_covid.low > 0.2


def test_the_numbers_are_those_of_heads_that_are_trained_by_hand():
    """Against scikit-learn's area and the heads of the training loop itself, on the rows that belong there."""
    from deepcovid.heads.sweep import train_and_score

    own, other = made(shortcut=1, disease=1)
    taken = learned(other[0], own[0]).rows
    kept = np.flatnonzero(~((own[0]["label"] == "covid") & (own[0]["split"] == "train")))
    table = pd.concat([own[0].iloc[kept], other[0][taken].assign(split="train", label="covid")], ignore_index=True)
    features = np.concatenate([own[1][kept], other[1][taken]])
    (scores,) = train_and_score(features, table, [RECIPE], [0, 1, 2]).values()
    positive = (table["label"] == "covid")[table["split"] == "test"]
    areas = sorted(roc_auc_score(positive, scores[head]) for head in scores)
    found = reached(shortcut=1, disease=1)
    assert found.collection.auc.value == pytest.approx(areas[1], abs=1e-6)
    assert (found.collection.over_seeds.min, found.collection.over_seeds.max) == pytest.approx(
        (areas[0], areas[2]), abs=1e-6
    )
    assert found.collection.less_than_covid.value == pytest.approx(
        found.covid.auc.value - found.collection.auc.value, abs=2e-6
    )


def test_patients_who_have_both_and_images_of_the_data_set_are_not_learned():
    other = rows(
        {"label": "covid", "patient_id": "both"},
        {"label": "non", "patient_id": "both"},
        {"label": "non", "patient_id": "healthy"},
        {"label": "non", "patient_id": "at home"},
        {"label": "non", "patient_id": ""},
    )
    own = rows({"label": "non", "patient_id": "at home"}, {"label": "covid", "patient_id": "x"})
    found = learned(other, own)
    assert found.rows.tolist() == [False, False, True, False, True]
    assert found.left_out == 2


def test_each_image_is_tested_once_and_never_beside_its_patient():
    table = rows(*({"label": catalogue.LABELS[n % 2], "patient_id": f"p{n // 3}"} for n in range(120)))
    parts = folds(table, 0)
    assert np.sum(parts, axis=0).tolist() == [1] * len(table)
    for part in parts:
        assert not set(table["patient_id"][part]) & set(table["patient_id"][~part])


def test_too_few_patients_give_no_cross_validation():
    assert folds(rows(*({"label": catalogue.LABELS[n < 9], "patient_id": f"p{n}"} for n in range(30))), 0) == []


def test_a_test_set_without_non_covid_is_refused(refused):
    with refused("--images cohen: every image has COVID-19", "name a test set with images of other findings"):
        check(rows({"label": "covid"}), "--images cohen")


def test_the_stage_says_that_there_are_too_few_images(trained):  # noqa: F811
    """Of ten test images five have no COVID-19, and one of these is of a patient of the data set."""
    edit_params(trained, lambda values: values["features"].update(batch_size=4))
    from stages.external_features import external_features

    external_features(parameters(), "phantom", "cohen")
    path = paths.features("phantom", MODEL)
    path.parent.mkdir(parents=True)
    np.save(path, np.zeros((len(catalogue.read(paths.data("phantom", "images.csv"))), FEATURES), np.float32))
    collection(parameters(), "phantom", "cohen")
    found = read_result(paths.results("phantom", "collection/cohen"), Collection)
    assert (found.learned, found.nets) == (4, {})
    (said,) = found.sentences()
    assert "not trained: cohen has 4 usable images without it, of fewer than 10 patients." in said
    assert list((trained / "metrics/audits/phantom/from/cohen").iterdir()) == []


def test_what_was_found_is_told():
    one = reached(shortcut=3, disease=0)
    found = without_covid("cohen").model_copy(update={"learned": 50, "similar": 30, "nets": {"resnet18": one}})
    first, second, control, third = found.sentences()
    assert "that look like COVID-19 (30 images) in its place: it reaches" in control
    assert "trained on 50 images without it of cohen" in first
    assert f"ResNet18 then reaches an AUC of {one.collection.auc.value:.3f}" in second
    assert "cross-validated by patient" in third
    assert found.headline()["resnet18"] == Headline(
        auc=one.collection.auc.value, auc_low=one.collection.auc.low, auc_high=one.collection.auc.high
    )
    assert [way.title for way in found.ways()] == ["ResNet18, trained on cohen without COVID-19"]
    assert OfNet.model_validate_json(one.model_dump_json()) == one

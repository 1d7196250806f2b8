import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from deepcovid import catalogue
from deepcovid.audit.leakage import KINDS, LISTED, digests, leakage, threshold, whitened

FEATURES = 16


def a_catalogue(train=30, test=20, copies=0):
    """A split without a leak: every image a file and a patient of its own; copies are of the first training images."""
    rows = [(f"train {number}", "train", "") for number in range(train)]
    rows += [(f"test {number}", "test", "") for number in range(test)]
    rows += [(f"copy of {number}", "train", f"train {number}") for number in range(copies)]
    table = pd.DataFrame(rows, columns=["image_id", "split", "augmentation_of"])
    table["label"] = np.where(table.index % 3 == 0, "covid", "non")
    table["patient_id"] = "patient of " + table["image_id"]
    table["sha256"] = "file of " + table["image_id"]
    return catalogue.checked(table.assign(archive="a.zip", member=table["image_id"]), "here")


def some_images(table, seed=0, alike=True):
    """Images and features drawn at random; a copy's features are near those of its original.

    The first two patients look alike, more so than any others by chance, unless `alike` is false.
    """
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (len(table), 6, 6, 1), dtype=np.uint8)
    features = rng.normal(size=(len(table), FEATURES)).astype(np.float32)
    if alike:
        features[1] = features[0] + 0.25 * features[1]
    for row in table.index[table["augmentation_of"] != ""]:
        features[row] = features[row_of(table, table["augmentation_of"][row])] + 0.01 * features[row]
    return pixels, features


def row_of(table, name):
    return int(table.index[table["image_id"] == name][0])


def found_in(table, pixels, features, rate=1e-2):
    batches = (pixels[start : start + 7] for start in range(0, len(pixels), 7))
    return leakage(table, batches, features, "a net", rate)


def listed(found):
    return {(pair["train"], pair["test"]): pair["kinds"] for pair in found["pairs"]}


def test_a_split_without_a_leak_has_none():
    table = a_catalogue()
    found = found_in(table, *some_images(table), rate=1e-6)
    assert found["images"] == {"train": 30, "test": 20}
    assert found["counts"] == {kind: {"pairs": 0, "test_images": 0} for kind in KINDS}
    assert found["pairs"] == []
    assert (found["leaked"]["test_images"], found["leaked"]["share"]) == (0, 0)


def test_without_test_images_there_is_nothing_to_look_for(refused):
    table = a_catalogue(test=0)
    with refused("leakage: there are no test images", "change the split"):
        found_in(table, *some_images(table))


def test_each_kind_of_leak_is_listed_by_name_and_counted():
    table = a_catalogue(copies=1)
    pixels, features = some_images(table)
    table.loc[row_of(table, "test 3"), "sha256"] = "file of train 5"
    pixels[row_of(table, "test 4")] = pixels[row_of(table, "train 6")]
    features[row_of(table, "test 7")] = features[row_of(table, "train 8")] + np.float32(0.01)
    table.loc[[row_of(table, "test 9"), row_of(table, "test 10")], "patient_id"] = "patient of train 11"
    found = found_in(table, pixels, features, rate=1e-6)
    assert listed(found) == {
        ("train 5", "test 3"): ["same_file"],
        ("train 6", "test 4"): ["same_pixels"],
        ("train 8", "test 7"): ["near_duplicate"],
        ("train 11", "test 9"): ["same_patient"],
        ("train 11", "test 10"): ["same_patient"],
    }
    one = {"pairs": 1, "test_images": 1}
    assert found["counts"] == dict.fromkeys(KINDS, one) | {"same_patient": {"pairs": 2, "test_images": 2}}
    labels = table.set_index("image_id")["label"]
    for pair in found["pairs"]:
        assert (pair["train_label"], pair["test_label"]) == (labels[pair["train"]], labels[pair["test"]])
    assert "patient of" not in json.dumps(found)


def test_a_test_image_that_leaks_in_several_ways_counts_once():
    table = a_catalogue()
    pixels, features = some_images(table)
    test, first, second = (row_of(table, name) for name in ("test 1", "train 2", "train 3"))
    pixels[test], features[test] = pixels[first], features[first]
    table.loc[[test, second], "patient_id"] = "patient of train 2"
    table.loc[test, "sha256"] = table.loc[second, "sha256"]
    found = found_in(table, pixels, features, rate=1e-6)
    assert listed(found) == {
        ("train 2", "test 1"): ["same_pixels", "near_duplicate", "same_patient"],
        ("train 3", "test 1"): ["same_file", "same_patient"],
    }
    assert found["counts"]["same_patient"] == {"pairs": 2, "test_images": 1}
    low, high = proportion_confint(1, 20, method="wilson")
    leaked = found["leaked"]
    assert (leaked["test_images"], leaked["share"], leaked["covid"] + leaked["non"]) == (1, 0.05, 1)
    assert (leaked["low"], leaked["high"]) == pytest.approx((low, high), abs=1e-6)


def test_a_copy_that_is_a_test_image_is_reported_by_its_originals_name():
    table = a_catalogue(copies=3)
    pixels, features = some_images(table)
    pixels[row_of(table, "test 0")] = pixels[row_of(table, "copy of 2")]
    (pair,) = found_in(table, pixels, features, rate=1e-6)["pairs"]
    assert (pair["train"], pair["copy"], pair["test"]) == ("train 2", "copy of 2", "test 0")
    assert pair["kinds"] == ["same_pixels"]


def test_a_generated_copy_has_its_originals_file_and_adds_no_pair():
    table = a_catalogue(copies=2)
    pixels, features = some_images(table)
    table.loc[[row_of(table, name) for name in ("copy of 0", "test 5")], "sha256"] = "file of train 0"
    found = found_in(table, pixels, features, rate=1e-6)
    assert found["counts"]["same_file"] == {"pairs": 1, "test_images": 1}
    assert "copy" not in found["pairs"][0]


def test_what_is_not_known_is_not_the_same():
    table = a_catalogue().assign(sha256="")
    table.loc[10::2, "patient_id"] = ""
    assert found_in(table, *some_images(table), rate=1e-6)["pairs"] == []


@st.composite
def leaking(draw):
    """A catalogue with some test images that are training images under another name, and which they are."""
    table = a_catalogue(draw(st.integers(4, 25)), draw(st.integers(1, 15)), copies=draw(st.integers(0, 4)))
    table.loc[draw(st.lists(st.sampled_from(list(table.index)), max_size=5)), "patient_id"] = ""
    pixels, features = some_images(table, seed=draw(st.integers(0, 99)))
    tests = list(table.index[table["split"] == "test"])
    planted = draw(st.dictionaries(st.sampled_from(tests), st.integers(0, 3), max_size=3))
    for test, train in planted.items():
        pixels[test], features[test] = pixels[train], features[train]
    return table, pixels, features, {(f"train {train}", table["image_id"][test]) for test, train in planted.items()}


@given(case=leaking())
def test_a_planted_duplicate_is_always_listed(case):
    table, pixels, features, planted = case
    pairs = listed(found_in(table, pixels, features))
    assert {pair for pair, kinds in pairs.items() if "same_pixels" in kinds} == planted
    assert all("near_duplicate" in pairs[pair] for pair in planted)


@given(case=leaking(), order=st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(case, order):
    table, pixels, features, _ = case
    rows = order.sample(range(len(table)), len(table))
    shuffled = found_in(table.loc[rows].reset_index(drop=True), pixels[rows], features[rows])
    assert shuffled == found_in(table, pixels, features)


def test_of_many_pairs_the_most_similar_are_listed_and_the_rest_is_counted():
    table = a_catalogue(40, 30).assign(patient_id="one and the same")
    found = found_in(table, *some_images(table))
    assert found["counts"]["same_patient"] == {"pairs": 1200, "test_images": 30}
    assert (len(found["pairs"]), found["pairs_left_out"]) == (LISTED, 200)
    similarity = [pair["similarity"] for pair in found["pairs"]]
    assert similarity == sorted(similarity, reverse=True)


@st.composite
def patients_and_vectors(draw):
    codes = draw(st.lists(st.integers(0, 6), min_size=2, max_size=40).filter(lambda codes: len(set(codes)) > 1))
    vectors = np.random.default_rng(draw(st.integers(0, 99))).normal(size=(len(codes), 4)).astype(np.float32)
    return np.array(codes).astype(str), vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(case=patients_and_vectors(), rate=st.sampled_from([1e-6, 0.01, 0.1]), block=st.sampled_from([1, 50, 2**24]))
def test_the_threshold_is_that_of_all_pairs_of_different_patients(case, rate, block):
    patient, vectors = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deepcovid.audit.leakage.BLOCK", block)
        least, chance, pairs = threshold(vectors, patient, rate)
    number = len(patient)
    negatives = [vectors[i] @ vectors[j] for i in range(number) for j in range(i) if patient[i] != patient[j]]
    reaching = round(chance * (pairs + 1)) - 1
    assert pairs == len(negatives)
    assert np.sum(np.array(negatives) > least + 1e-6) <= reaching <= np.sum(np.array(negatives) > least - 1e-6)
    assert chance <= max(rate, 1 / (pairs + 1))
    assert reaching == 0 or (reaching + 2) / (pairs + 1) > rate * (1 - 1e-9)


def test_false_alarms_come_as_often_as_they_are_expected():
    expected, counted = 0.0, 0
    for seed in range(20):
        table = a_catalogue(60, 60)
        found = found_in(table, *some_images(table, seed, alike=False))
        assert found["near_duplicates"]["false_positives"]["pairs"] == 60 * 59 / 2
        expected += found["near_duplicates"]["false_positives"]["expected"]
        counted += found["counts"]["near_duplicate"]["pairs"]
    assert expected == pytest.approx(20 * 3600 * 0.01, rel=0.1)
    assert counted == pytest.approx(expected, rel=0.1)


def test_the_sensitivity_is_the_share_of_copies_found_again():
    table = a_catalogue(copies=8)
    pixels, features = some_images(table)
    lost = [row_of(table, f"copy of {number}") for number in range(3)]
    features[lost] = np.random.default_rng(1).normal(size=(3, FEATURES))
    low, high = proportion_confint(5, 8, method="wilson")
    sensitivity = found_in(table, pixels, features, rate=1e-6)["near_duplicates"]["sensitivity"]
    assert sensitivity == pytest.approx({"rate": 5 / 8, "low": low, "high": high, "copies": 8}, abs=1e-6)


def test_without_copies_the_sensitivity_is_said_to_be_unknown():
    table = a_catalogue()
    sensitivity = found_in(table, *some_images(table))["near_duplicates"]["sensitivity"]
    assert sensitivity["copies"] == 0
    assert "no augmented copies" in sensitivity["skipped"]


@pytest.mark.parametrize("patient", ["", "the only one"])
def test_without_two_patients_there_is_no_threshold_and_the_rest_is_still_found(patient):
    table = a_catalogue(copies=2)
    table.loc[table["split"] == "train", "patient_id"] = patient
    pixels, features = some_images(table)
    pixels[row_of(table, "test 4")] = pixels[row_of(table, "train 6")]
    found = found_in(table, pixels, features)
    assert set(found["near_duplicates"]) == {"by", "skipped"}
    assert "patient_id" in found["near_duplicates"]["skipped"]
    assert listed(found) == {("train 6", "test 4"): ["same_pixels"]}


def test_an_image_that_stands_twice_in_training_does_not_raise_the_threshold():
    table = a_catalogue()
    pixels, features = some_images(table)
    pixels[3], features[3] = pixels[2], features[2]
    near_duplicates = found_in(table, pixels, features, rate=1e-6)["near_duplicates"]
    assert 0.8 < near_duplicates["threshold"] < 0.99
    assert near_duplicates["false_positives"]["pairs"] == 29 * 28 / 2


def test_whitened_features_are_uncorrelated_and_of_length_one():
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(20000, 5)) @ (np.eye(5) + 0.5) + 3).astype(np.float32)
    vectors = whitened(features, np.ones(len(features), bool))
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(vectors)), abs=1e-5)
    assert np.cov(vectors.T) * 5 == pytest.approx(np.eye(5), abs=0.05)


def test_features_that_never_vary_make_no_pair_alike():
    table = a_catalogue()
    pixels, features = some_images(table)
    found = found_in(table, pixels, np.ones_like(features))
    assert found["counts"]["near_duplicate"]["pairs"] == 0
    features[:, 3:] = 0  # as a rectifier may leave them
    assert np.isfinite(whitened(features, np.ones(len(features), bool))).all()


def test_images_of_one_digest_are_those_of_equal_pixels():
    pixels = np.zeros((4, 3, 3, 3), np.uint8)
    pixels[1, 2, 2, 2], pixels[3, 2, 2, 2] = 1, 1
    first, second, third, fourth = digests([pixels[:3], pixels[3:]])
    assert first == third != second == fourth

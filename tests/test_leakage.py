from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, rotate
from statsmodels.stats.proportion import proportion_confint
from threadpoolctl import threadpool_limits

from deepcovid import catalogue
from deepcovid.audits import near_duplicates
from deepcovid.audits.keypoints import keypoints
from deepcovid.audits.leakage import KINDS, LISTED, Count, Leaked, Sides, digests, leakage
from deepcovid.audits.near_duplicates import FEWEST_POINTS, Seen
from deepcovid.drawing.steps import Step
from deepcovid.statistics.estimate import Headline

FEATURES = 16


SIDE = 80


def a_catalogue(train=30, test=20, copies=4):
    """A split without a leak: every image a file and a patient of its own; copies are of the first training images."""
    rows = [(f"train {number}", "train", "") for number in range(train)]
    rows += [(f"test {number}", "test", "") for number in range(test)]
    rows += [(f"copy of {number}", "train", f"train {number}") for number in range(copies)]
    table = pd.DataFrame(rows, columns=["image_id", "split", "augmentation_of"])
    table["label"] = np.where(table.index % 3 == 0, "covid", "non")
    table["patient_id"] = "patient of " + table["image_id"]
    table["sha256"] = "file of " + table["image_id"]
    return catalogue.checked(table.assign(archive="a.zip", member=table["image_id"]), "here")


def some_images(table, seed=0):
    """Images and features drawn at random; a copy is its original turned, two of four mirrored, features near."""
    rng = np.random.default_rng(seed)
    pixels = np.stack([clouds(rng) for _ in range(len(table))])
    features = rng.normal(size=(len(table), FEATURES)).astype(np.float32)
    for number, row in enumerate(table.index[table["augmentation_of"] != ""]):
        original = row_of(table, table["augmentation_of"][row])
        pixels[row] = altered(pixels[original], mirrored=number // 2 % 2)
        features[row] = features[original] + 0.01 * features[row]
    return pixels, features


def clouds(rng):
    """A picture with something to recognise: SIDE x SIDE x 1."""
    picture = gaussian_filter(rng.normal(size=(SIDE, SIDE)), 1.5)
    return np.uint8(np.clip(128 + 60 * picture / picture.std(), 0, 255))[..., None]


def altered(picture, mirrored=False):
    """The same picture turned by 8 degrees and darker, with a white box."""
    changed = rotate(picture[..., 0], 8, reshape=False, mode="nearest") // 2
    changed[5:15, 5:30] = 255
    return (changed[:, ::-1] if mirrored else changed)[..., None]


def row_of(table, name):
    return int(table.index[table["image_id"] == name][0])


def found_in(table, pixels, features, sensitivity=0.9, neighbours=5):
    with TemporaryDirectory() as scratch:
        np.save(file := Path(scratch) / "pixels.npy", pixels)
        return leakage(table, file, features, "a net", sensitivity, neighbours, Path(scratch))


def whitened(features, folder):
    near_duplicates.whitened(features, np.arange(len(features)), folder / "vectors.npy")
    return np.load(folder / "vectors.npy")


def listed(found):
    assert [*found.pairs] == [f"{pair.train} and {pair.test}" for pair in found.pairs.values()]
    return {(pair.train, pair.test): pair.kinds for pair in found.pairs.values()}


NONE = Count(pairs=0, test_images=0)


def test_a_split_without_a_leak_has_none():
    table = a_catalogue()
    found = found_in(table, *some_images(table))
    assert found.images == Sides(train=30, test=20)
    assert found.counts == dict.fromkeys(KINDS, NONE)
    assert found.pairs == {}
    assert found.leaked == {
        "covid": Leaked(images=0, of=7, patients=0, of_patients=7),
        "non": Leaked(images=0, of=13, patients=0, of_patients=13),
    }


def test_batches_in_several_processes_give_what_one_batch_gives(monkeypatch):
    table = a_catalogue()
    pixels, features = some_images(table)
    pixels[row_of(table, "test 4")] = pixels[row_of(table, "train 6")]
    row, other = row_of(table, "test 7"), row_of(table, "train 8")
    pixels[row], features[row] = altered(pixels[other], mirrored=True), features[other]
    whole = found_in(table, pixels, features)
    assert {pair.test for pair in whole.pairs.values()} == {"test 4", "test 7"}
    monkeypatch.setattr("deepcovid.audits.leakage.BATCH", 7)
    monkeypatch.setattr("deepcovid.audits.leakage.cpu_count", lambda: 2)
    assert found_in(table, pixels, features) == whole


def test_images_that_are_not_those_of_the_catalogue_are_refused(refused):
    table = a_catalogue()
    pixels, features = some_images(table)
    with refused("instead of uint8"):
        found_in(table, pixels[1:], features)


def test_without_test_images_there_is_nothing_to_look_for(refused):
    table = a_catalogue(test=0)
    with refused("leakage: there are no test images", "change the split"):
        found_in(table, *some_images(table))


def test_each_kind_of_leak_is_listed_by_name_and_counted():
    table = a_catalogue(copies=2)
    pixels, features = some_images(table)
    table.loc[row_of(table, "test 3"), "sha256"] = "file of train 5"
    pixels[row_of(table, "test 4")] = pixels[row_of(table, "train 6")]
    pixels[row_of(table, "test 7")] = altered(pixels[row_of(table, "train 8")], mirrored=True)
    features[row_of(table, "test 7")] = features[row_of(table, "train 8")] + np.float32(0.001)
    table.loc[[row_of(table, "test 9"), row_of(table, "test 10")], "patient_id"] = "patient of train 11"
    found = found_in(table, pixels, features)
    assert listed(found) == {
        ("train 5", "test 3"): ["same_file"],
        ("train 6", "test 4"): ["same_pixels"],
        ("train 8", "test 7"): ["near_duplicate"],
        ("train 11", "test 9"): ["same_patient"],
        ("train 11", "test 10"): ["same_patient"],
    }
    one = Count(pairs=1, test_images=1)
    assert found.counts == dict.fromkeys(KINDS, one) | {"same_patient": Count(pairs=2, test_images=2)}
    labels = table.set_index("image_id")["label"]
    for pair in found.pairs.values():
        assert (pair.train_label, pair.test_label) == (labels[pair.train], labels[pair.test])
    assert "patient of" not in found.model_dump_json()


def test_a_test_image_that_leaks_in_several_ways_counts_once():
    table = a_catalogue()
    pixels, features = some_images(table)
    test, first, second = (row_of(table, name) for name in ("test 1", "train 2", "train 3"))
    pixels[test], features[test] = pixels[first], features[first]
    table.loc[[test, second], "patient_id"] = "patient of train 2"
    table.loc[test, "sha256"] = table.loc[second, "sha256"]
    found = found_in(table, pixels, features)
    assert listed(found) == {
        ("train 2", "test 1"): ["same_pixels", "near_duplicate", "same_patient"],
        ("train 3", "test 1"): ["same_file", "same_patient"],
    }
    assert found.counts["same_patient"] == Count(pairs=2, test_images=1)
    assert [leaked.images for leaked in found.leaked.values()] in ([1, 0], [0, 1])
    assert found.headline() == Headline(sensitivity=found.near_duplicates.search.sensitivity.value)


def test_a_copy_that_is_a_test_image_is_reported_by_its_originals_name():
    table = a_catalogue(copies=3)
    pixels, features = some_images(table)
    pixels[row_of(table, "test 0")] = pixels[row_of(table, "copy of 2")]
    features[row_of(table, "test 0")] = -features[row_of(table, "copy of 2")]
    (pair,) = found_in(table, pixels, features).pairs.values()
    assert (pair.train, pair.copy_of_train, pair.test) == ("train 2", "copy of 2", "test 0")
    assert pair.kinds == ["same_pixels"]


def test_a_generated_copy_has_its_originals_file_and_adds_no_pair():
    table = a_catalogue(copies=2)
    pixels, features = some_images(table)
    table.loc[[row_of(table, name) for name in ("copy of 0", "test 5")], "sha256"] = "file of train 0"
    found = found_in(table, pixels, features)
    assert found.counts["same_file"] == Count(pairs=1, test_images=1)
    (pair,) = found.pairs.values()
    assert pair.copy_of_train is None


def test_what_is_not_known_is_not_the_same():
    table = a_catalogue().assign(sha256="")
    table.loc[10::2, "patient_id"] = ""
    assert found_in(table, *some_images(table)).pairs == {}


@st.composite
def leaking(draw):
    """A catalogue with some test images that are training images under another name, and which they are."""
    table = a_catalogue(draw(st.integers(4, 25)), draw(st.integers(1, 15)), copies=draw(st.integers(2, 4)))
    table.loc[draw(st.lists(st.sampled_from(list(table.index)), max_size=5)), "patient_id"] = ""
    pixels, features = some_images(table, seed=draw(st.integers(0, 99)))
    tests = list(table.index[table["split"] == "test"])
    planted = draw(st.dictionaries(st.sampled_from(tests), st.integers(0, 3), max_size=3))
    for test, train in planted.items():
        pixels[test], features[test] = pixels[train], features[train]
    return table, pixels, features, {(f"train {train}", table["image_id"][test]) for test, train in planted.items()}


@settings(max_examples=20)
@given(case=leaking())
def test_a_planted_duplicate_is_always_listed(case):
    table, pixels, features, planted = case
    found = found_in(table, pixels, features)
    pairs, search = listed(found), found.near_duplicates.search
    assert {pair for pair, kinds in pairs.items() if "same_pixels" in kinds} == planted
    assert sum(kind.reached for kind in search.kinds.values()) >= len(planted)
    if not search.blind and not any(kind.chance_alone for kind in search.kinds.values()):
        assert all("near_duplicate" in pairs[pair] for pair in planted)


@settings(max_examples=10)
@given(case=leaking(), order=st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(case, order):
    table, pixels, features, _ = case
    rows = order.sample(range(len(table)), len(table))
    shuffled = found_in(table.loc[rows].reset_index(drop=True), pixels[rows], features[rows])
    assert shuffled == found_in(table, pixels, features)


def test_of_many_pairs_those_with_most_points_are_listed_and_the_rest_is_counted():
    table = a_catalogue(40, 30).assign(patient_id="one and the same")
    found = found_in(table, *some_images(table))
    assert found.counts["same_patient"] == Count(pairs=1200, test_images=30)
    assert (len(found.pairs), found.pairs_left_out) == (LISTED, 200)
    assert list(listed(found)) == sorted(listed(found))  # in the file by name: a near-tie moves nothing
    (block,) = found.blocks(Step("leakage", "", {}, (), ()))
    points = [int(row[-1]) for row in block.folded.rows]
    assert points == sorted(points, reverse=True)
    assert sorted(points) == sorted(pair.points for pair in found.pairs.values())
    assert points[0] > points[-1]  # those that are left out have no more in common


def test_the_threshold_is_the_highest_that_finds_the_wanted_share_of_the_copies(tmp_path):
    table = a_catalogue(copies=20)
    pixels, features = some_images(table)
    near = found_in(table, pixels, features, sensitivity=0.8).near_duplicates.search
    assert (near.set_on, near.copies) == (10, 10)
    assert near.threshold > FEWEST_POINTS
    stricter = found_in(table, pixels, features, sensitivity=0.5).near_duplicates.search
    assert stricter.threshold > near.threshold
    # The copies of every second original, by name, set the threshold; the others' say what it finds.
    order = sorted(f"train {number}" for number in range(20))
    files = [tmp_path / f"{name}.npy" for name in ("straight", "mirrored")]
    for file, points in zip(files, keypoints(pixels, np.ones(len(pixels), bool)), strict=True):
        np.save(file, points)
    seen = Seen(np.arange(len(table)), tmp_path / "vectors.npy", *files)
    pairs = np.array([[row_of(table, name), row_of(table, f"copy of {name.split()[1]}")] for name in order])
    shared = seen.matched(pairs, "")
    for search, share in ((near, 0.8), (stricter, 0.5)):
        # A few copies may not have their original among their nearest.
        set_on, found = (int((part >= search.threshold).sum()) for part in (shared[::2], shared[1::2]))
        own = search.sensitivity
        assert 10 * share <= set_on <= 10 * share + 2
        assert own.value == pytest.approx(found / 10, abs=0.2)
        low, high = proportion_confint(round(10 * own.value), 10, method="wilson")
        assert (own.low, own.high) == pytest.approx((low, high), abs=1e-6)


def test_copies_that_have_little_in_common_with_their_originals_make_no_duplicate_of_just_anything():
    table = a_catalogue(copies=10)
    pixels, features = some_images(table)
    for row in table.index[table["augmentation_of"] != ""]:
        pixels[row] = clouds(np.random.default_rng(int(row)))
    found = found_in(table, pixels, features)
    assert found.near_duplicates.search.threshold == FEWEST_POINTS
    assert found.near_duplicates.search.sensitivity.value == 0
    assert found.pairs == {}


def test_patients_that_leak_are_counted_one_by_one():
    table = a_catalogue()
    pixels, features = some_images(table)
    covid, others = (table.index[(table["split"] == "test") & (table["label"] == label)] for label in ("covid", "non"))
    table.loc[covid[:3], "patient_id"] = ["one", "one", "two"]
    table.loc[others[:2], "patient_id"] = ""
    for test in (*covid[:3], *others[:2]):
        table.loc[test, "sha256"] = "file of train 3"
    found = found_in(table, pixels, features)
    assert found.leaked["covid"] == Leaked(images=3, of=7, patients=2, of_patients=6)
    assert found.leaked["non"] == Leaked(images=2, of=13, patients=2, of_patients=13)
    said, *_ = found.sentences()
    assert "3 of 7 COVID test images, from 2 of 6 patients, and 2 of 13 others, from 2 of 13 patients, resemble" in said


def test_pairs_of_different_patients_that_reach_the_threshold_are_counted_and_expected_in_the_test():
    table = a_catalogue(copies=6)
    pixels, features = some_images(table)
    # One picture, filed in training under two patients with other brightness; and once under two names of one patient.
    pixels[3], features[3] = pixels[2] // 2, features[2]
    pixels[5], features[5] = pixels[4] // 2, features[4]
    table.loc[5, "patient_id"] = table.loc[4, "patient_id"]
    kinds = found_in(table, pixels, features).near_duplicates.search.kinds
    covid, wrong = (kinds[kind].false_alarms for kind in ("covid", "others"))
    assert (covid.found, covid.pairs) == (0, 45)  # ten images of COVID-19
    assert covid.expected.high == pytest.approx(70 * proportion_confint(0, 45, method="wilson")[1], abs=1e-5)
    pairs = 30 * 29 // 2 - 1 - 45
    low, high = proportion_confint(1, pairs, method="wilson")
    assert (wrong.found, wrong.pairs) == (1, pairs)
    for estimate, factor in ((wrong.per_million, 1e6), (wrong.expected, 530)):
        expected = (factor / pairs, factor * low, factor * high)
        assert (estimate.value, estimate.low, estimate.high) == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize(("planted", "counted"), [(0, 0), (1, 0), (2, 2)])
def test_pairs_count_only_where_there_are_more_than_chance_makes(planted, counted, monkeypatch):
    """Chance is measured on strangers in training: one pair of 390 makes 1.4 of the 530 of train and test."""
    monkeypatch.setattr(near_duplicates, "FEWEST_FOUND", 0)  # however few copies are found
    table = a_catalogue(copies=6)
    pixels, features = some_images(table)
    pixels[3], features[3] = pixels[2] // 2, features[2]
    for number in range(planted):
        row, other = row_of(table, f"test {number}"), row_of(table, f"train {number + 10}")
        assert not catalogue.covid(table)[[row, other]].all()
        pixels[row], features[row] = pixels[other] // 2, features[other]
    found = found_in(table, pixels, features)
    assert found.near_duplicates.search.kinds["others"].reached == planted
    assert found.counts["near_duplicate"].pairs == sum(part.images for part in found.leaked.values()) == counted
    assert ("so none is counted" in " ".join(found.sentences())) == (planted == 1)


def test_pairs_of_covid_images_are_judged_by_themselves():
    table = a_catalogue(copies=6)
    pixels, features = some_images(table)
    pixels[4], features[4] = pixels[2] // 2, features[2]  # strangers without COVID-19 make alarms of their own kind
    row, other = (catalogue.covid(table)[table["split"] == side].idxmax() for side in ("test", "train"))
    pixels[row], features[row] = pixels[other] // 2, features[other]
    kinds = found_in(table, pixels, features).near_duplicates.search.kinds
    assert [(kind.reached, kind.false_alarms.found, kind.chance_alone) for kind in kinds.values()] == [
        (1, 0, False),
        (0, 1, False),
    ]


def test_copies_of_one_image_alone_set_no_threshold():
    table = a_catalogue(copies=1)
    found = found_in(table, *some_images(table))
    assert found.near_duplicates.search is None
    assert "of two images" in found.near_duplicates.skipped


def test_without_copies_near_duplicates_are_not_looked_for_and_the_rest_is_still_found():
    table = a_catalogue(copies=0)
    pixels, features = some_images(table)
    pixels[row_of(table, "test 4")] = pixels[row_of(table, "train 6")]
    found = found_in(table, pixels, features)
    assert found.near_duplicates.search is None
    assert "augment.copies" in found.near_duplicates.skipped
    assert listed(found) == {("train 6", "test 4"): ["same_pixels"]}


@pytest.mark.parametrize("patient", ["", "the only one"])
def test_without_two_patients_the_rate_of_false_alarms_is_said_to_be_unknown(patient):
    table = a_catalogue(copies=2)
    table.loc[table["split"] == "train", "patient_id"] = patient
    near = found_in(table, *some_images(table)).near_duplicates.search
    assert (near.set_on, near.copies) == (1, 1)
    for kind in near.kinds.values():
        assert kind.false_alarms.pairs == 0
        assert "different patients" in kind.false_alarms.skipped


def test_an_image_that_stands_twice_in_training_is_no_false_alarm():
    table = a_catalogue()
    pixels, features = some_images(table)
    pixels[3], features[3] = pixels[2], features[2]
    kinds = found_in(table, pixels, features).near_duplicates.search.kinds.values()
    assert sum(kind.false_alarms.found for kind in kinds) == 0
    assert sum(kind.false_alarms.pairs for kind in kinds) == 29 * 28 / 2


def test_whitened_features_are_uncorrelated_and_of_length_one(tmp_path):
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(20000, 5)) @ (np.eye(5) + 0.5) + 3).astype(np.float32)
    vectors = whitened(features, tmp_path)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(vectors)), abs=1e-5)
    assert np.cov(vectors.T) * 5 == pytest.approx(np.eye(5), abs=0.05)


def test_features_that_never_vary_make_no_pair_alike(tmp_path):
    table = a_catalogue()
    pixels, features = some_images(table)
    found = found_in(table, pixels, np.ones_like(features))
    assert found.counts["near_duplicate"].pairs == 0
    features[:, 3:] = 0  # as a rectifier may leave them
    assert np.isfinite(whitened(features, tmp_path)).all()


def test_images_of_one_digest_are_those_of_equal_pixels():
    pixels = np.zeros((4, 3, 3, 3), np.uint8)
    pixels[1, 2, 2, 2], pixels[3, 2, 2, 2] = 1, 1
    first, second, third, fourth = digests(pixels)
    assert first == third != second == fourth


def test_a_search_that_misses_most_copies_counts_nothing(monkeypatch):
    table = a_catalogue(copies=6)
    pixels, features = some_images(table)
    row, other = row_of(table, "test 1"), row_of(table, "train 11")
    pixels[row], features[row] = pixels[other] // 2, features[other]
    counted = found_in(table, pixels, features)
    monkeypatch.setattr(near_duplicates, "FEWEST_FOUND", 1.1)
    blind = found_in(table, pixels, features)
    kinds, as_counted = (part.near_duplicates.search.kinds for part in (blind, counted))
    assert kinds["others"].reached == as_counted["others"].reached > 0
    assert blind.counts["near_duplicate"].pairs == sum(part.images for part in blind.leaked.values()) == 0
    assert "so none is counted" in " ".join(blind.sentences())


def test_each_image_is_compared_with_its_nearest_only_and_the_copies_say_what_that_loses():
    table = a_catalogue(copies=4)
    pixels, features = some_images(table)
    near, far = row_of(table, "test 1"), row_of(table, "test 2")
    for row, noise in ((near, np.float32(0.01)), (far, np.float32(100))):
        pixels[row], features[row] = pixels[11] // 2, features[11] + noise * features[row]
    every, one = (found_in(table, pixels, features, neighbours=most) for most in (10**6, 1))
    assert {test for _, test in listed(every)} == {"test 1", "test 2"}
    assert {test for _, test in listed(one)} == {"test 1"}
    assert one.near_duplicates.search.among_neighbours == 1
    features[row_of(table, "copy of 2")] = -features[2]
    lost = found_in(table, pixels, features, neighbours=1).near_duplicates.search
    assert (lost.neighbours, lost.among_neighbours) == (1, 0.75)


def test_neighbours_are_those_of_all_pairs_whatever_the_blocks(tmp_path, monkeypatch):
    features = np.random.default_rng(0).normal(size=(60, FEATURES)).astype(np.float32)
    vectors = whitened(features, tmp_path)
    order = np.random.default_rng(1).permutation(60)
    seen = Seen(order, tmp_path / "vectors.npy", tmp_path, tmp_path)
    among, rows = np.arange(0, 60, 2), np.arange(1, 60, 2)
    likeness = vectors[order[rows]] @ vectors[order[among]].T
    nearest = among[np.argsort(-likeness, axis=1)[:, :5]]
    pairs = np.column_stack([nearest.ravel(), np.repeat(rows, 5)])
    for size in (7, 1000):
        monkeypatch.setattr(near_duplicates, "BLOCK", size)
        monkeypatch.setattr(near_duplicates, "QUERIES", size + 1)
        np.testing.assert_array_equal(np.concatenate([*seen.candidates(among, rows, 5)]), pairs)


def test_blocks_of_a_few_images_give_the_same_result(monkeypatch):
    table = a_catalogue(copies=6)
    pixels, features = some_images(table)
    pixels[3], features[3] = pixels[2] // 2, features[2]
    row, other = row_of(table, "test 1"), row_of(table, "train 11")
    pixels[row], features[row] = pixels[other] // 2, features[other]
    whole = found_in(table, pixels, features)
    assert whole.near_duplicates.search.kinds["others"].false_alarms.found == 1
    monkeypatch.setattr(near_duplicates, "BLOCK", 4)
    monkeypatch.setattr(near_duplicates, "QUERIES", 5)
    assert found_in(table, pixels, features) == whole


@pytest.mark.parametrize("threads", [1, 4])
def test_of_images_that_are_equally_near_the_first_are_taken(threads, tmp_path):
    """Without more ado, scikit-learn takes others with another number of threads."""
    features = np.random.default_rng(0).normal(size=(500, FEATURES)).astype(np.float32)
    pictures = np.random.default_rng(1).permutation(np.repeat(np.arange(500), 3))  # each stands there three times
    vectors = whitened(features[pictures], tmp_path)
    seen, rows = Seen(np.arange(1500), tmp_path / "vectors.npy", tmp_path, tmp_path), np.arange(1500)
    with threadpool_limits(threads):
        near = seen.nearest(rows, rows[:600], 7)
    distance = np.round(2 - 2 * vectors[:600].astype(float) @ vectors.T, 9)
    np.testing.assert_array_equal(near, np.argsort(distance, axis=1, kind="stable")[:, :7])


@pytest.mark.parametrize(("looking", "looked_for", "found"), [("train 12", "train 10", 1), ("train 10", "train 12", 0)])
def test_a_pair_of_strangers_is_looked_for_from_one_side_as_a_pair_of_train_and_test_is(looking, looked_for, found):
    table = a_catalogue(copies=6)
    pixels, features = some_images(table)
    one, other, nearer = (row_of(table, name) for name in (looking, looked_for, "train 11"))
    pixels[one] = pixels[other] // 2
    features[one], features[nearer] = (features[other] + by * features[nearer] for by in np.float32([-0.1, 0.01]))
    kinds = found_in(table, pixels, features, neighbours=1).near_duplicates.search.kinds
    assert kinds["others"].false_alarms.found == found

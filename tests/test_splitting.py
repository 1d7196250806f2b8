from collections import Counter

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcovid import catalogue
from deepcovid.catalogue import LABELS
from deepcovid.settings.datasets import Counts, SplitSettings
from deepcovid.splitting import overlap, split_images
from tests.strategies import catalogues

seeds = st.integers(0, 2**32 - 1)


def settings(strategy, covid, non, seed=0, too_few="error"):
    counts = {name: Counts(train=pair[0], test=pair[1]) for name, pair in (("covid", covid), ("non", non))}
    return SplitSettings(strategy=strategy, seed=seed, too_few=too_few, **counts)


def originals(table):
    return table[table["augmentation_of"] == ""]


def enough(table, strategy):
    """Return per label how many images a split may ask for and surely get.

    By patient, the last one of the test side may leave out all images but one, and a patient with images of the other
    label may be needed on the other side.
    """
    rows = originals(table)
    if strategy == "image":
        return Counter(rows["label"])
    patient = rows["patient_id"].where(rows["patient_id"] != "", rows["image_id"])
    of_both = set(patient[rows["label"] == "covid"]) & set(patient[rows["label"] == "non"])
    free = rows[~patient.isin(of_both) | (rows["label"] == "covid")]
    largest = patient.groupby([rows["label"], patient]).size().groupby(level=0).max()
    return {label: (free["label"] == label).sum() - largest[label] + 1 for label in LABELS}


@st.composite
def splits(draw, strategy):
    """A catalogue and settings whose counts it has enough images for."""
    table = draw(catalogues(min_size=12).filter(lambda table: min(enough(table, strategy).values()) >= 2))
    wanted = {}
    for label, number in enough(table, strategy).items():
        total = draw(st.integers(2, number))
        train = draw(st.integers(1, total - 1))
        wanted[label] = (train, total - train)
    return table, settings(strategy, **wanted, seed=draw(seeds))


@given(case=splits("image") | splits("patient"))
def test_counts_are_exact_where_there_are_enough_images(case):
    table, wanted = case
    chosen, metrics = split_images(table, wanted)
    rows = originals(chosen)
    counts = Counter(zip(rows["label"], rows["split"], strict=True))
    for label in LABELS:
        expected = getattr(wanted, label)
        assert (counts[label, "train"], counts[label, "test"]) == (expected.train, expected.test)
        left_out = (originals(table)["label"] == label).sum() - expected.train - expected.test
        assert metrics[label] == {
            "train": expected.train,
            "test": expected.test,
            "scaled_down": 0,
            "left_out": left_out,
        }
    assert metrics["scaled_down"] == 0
    assert rows["image_id"].is_unique


@given(case=splits("patient"))
def test_no_patient_is_on_both_sides_over_both_labels(case):
    chosen, metrics = split_images(*case)
    known = originals(chosen)[originals(chosen)["patient_id"] != ""]
    assert (known.groupby("patient_id")["split"].nunique() <= 1).all()
    assert metrics["overlap"]["patients"] == 0


def test_split_by_image_does_part_patients():
    rows = [(f"{label} {number}", label, "one patient") for label in LABELS for number in range(4)]
    table = pd.DataFrame(rows, columns=["image_id", "label", "patient_id"])
    table = table.assign(augmentation_of="", source_image="", sha256="", published_split="")
    metrics = split_images(table, settings("image", (2, 2), (2, 2)))[1]
    assert metrics["overlap"]["patients"] == 1
    assert metrics["overlap"]["test_images_of_train_patients"] == 4


@given(case=splits("image") | splits("patient"))
def test_copies_come_along_with_train_originals_only(case):
    table, wanted = case
    chosen, metrics = split_images(table, wanted)
    train = set(chosen.loc[(chosen["split"] == "train") & (chosen["augmentation_of"] == ""), "image_id"])
    copies = chosen[chosen["augmentation_of"] != ""]
    assert set(copies["image_id"]) == set(table.loc[table["augmentation_of"].isin(train), "image_id"])
    assert set(copies["split"]) <= {"train"}
    assert metrics["copies"] == len(copies)


@given(case=splits("image") | splits("patient"))
def test_rows_come_back_unchanged_but_for_the_split(case):
    table, wanted = case
    before = {row["image_id"]: row for row in table.to_dict("records")}
    chosen = split_images(table, wanted)[0].drop(columns="split").to_dict("records")
    assert chosen == [before[row["image_id"]] for row in chosen]


@given(case=splits("image") | splits("patient"))
def test_the_same_seed_gives_the_same_split(case):
    first, second = (split_images(*case) for _ in range(2))
    pd.testing.assert_frame_equal(first[0], second[0])
    assert first[1] == second[1]


@given(case=splits("image") | splits("patient"), order=st.randoms(use_true_random=False))
def test_a_random_split_does_not_depend_on_the_order_of_rows(case, order):
    table, wanted = case
    shuffled = table.loc[order.sample(list(table.index), len(table))]
    sides = [split_images(part, wanted)[0].set_index("image_id")["split"].to_dict() for part in (table, shuffled)]
    assert sides[0] == sides[1]


@given(table=catalogues(), too_few=st.sampled_from(["error", "scale"]))
def test_test_only_takes_every_original_as_a_test_image_whatever_counts_are_wanted(table, too_few):
    chosen, metrics = split_images(table, settings("test-only", (1000, 1), (1, 1000), too_few=too_few))
    assert sorted(chosen["image_id"]) == sorted(originals(table)["image_id"])
    assert set(chosen["split"]) == {"test"}
    for label in LABELS:
        number = int((originals(table)["label"] == label).sum())
        assert metrics[label] == {"train": 0, "test": number, "scaled_down": 0, "left_out": 0}
    assert (metrics["test_only"], metrics["copies"], metrics["scaled_down"]) == (1, 0, 0)


@pytest.fixture
def table():
    """Twenty images a label, each of its own patient; the lists have ten on each side."""
    rows = [(f"{label} {number:02}", label, ["train", "test"][number % 2]) for label in LABELS for number in range(20)]
    table = pd.DataFrame(rows, columns=["image_id", "label", "published_split"])
    return table.assign(patient_id=table["image_id"], augmentation_of="", sha256=table["image_id"], source_image="")


@pytest.mark.parametrize("strategy", ["image", "patient", "published"])
def test_another_seed_gives_another_split(table, strategy):
    chosen = [split_images(table, settings(strategy, (5, 5), (5, 5), seed=seed))[0] for seed in (1, 2)]
    assert not chosen[0].equals(chosen[1])


@pytest.mark.parametrize("wanted", [10, 4])
def test_published_follows_the_lists_up_to_the_wanted_counts(table, wanted):
    chosen, metrics = split_images(table, settings("published", (wanted, wanted), (10, 10)))
    assert (chosen["split"] == chosen["published_split"]).all()
    assert metrics["covid"] == {"train": wanted, "test": wanted, "scaled_down": 0, "left_out": 20 - 2 * wanted}
    assert metrics["non"]["left_out"] == 0


@pytest.mark.parametrize("strategy", ["image", "patient", "published"])
def test_too_few_images_are_an_error_that_names_wanted_and_available(table, refused, strategy):
    available = "10 and 10 of 20" if strategy == "published" else "12 and 8 of 20"
    with refused("split: non wants 18 train and 12 test", f"strategy '{strategy}' has {available}", "too_few: scale"):
        split_images(table, settings(strategy, (10, 10), (18, 12)))


@pytest.mark.parametrize(("strategy", "train", "test"), [("image", 12, 8), ("patient", 12, 8), ("published", 10, 10)])
def test_too_few_images_are_scaled_where_that_is_allowed(table, strategy, train, test):
    chosen, metrics = split_images(table, settings(strategy, (10, 10), (18, 12), too_few="scale"))
    non = chosen[chosen["label"] == "non"]["split"]
    assert ((non == "train").sum(), (non == "test").sum()) == (train, test)
    assert metrics["non"] == {"train": train, "test": test, "scaled_down": 1, "left_out": 0}
    assert (metrics["covid"]["scaled_down"], metrics["scaled_down"]) == (0, 1)


def test_an_empty_side_is_an_error_even_where_scaling_is_allowed(table, refused):
    one_side = table[(table["label"] == "non") | (table["published_split"] == "train")]
    with refused("split: covid wants 10 train and 5 test", "has 10 and 0 of 10"):
        split_images(one_side, settings("published", (10, 5), (5, 5), too_few="scale"))


def test_overlap_is_counted_by_image_file_and_patient():
    columns = ["source_image", "sha256", "patient_id", "split", "augmentation_of"]
    rows = [
        ("a", "1", "p", "train", ""),
        ("b", "2", "p", "train", ""),
        ("c", "3", "q", "train", ""),
        ("d", "4", "", "train", ""),
        ("a", "1", "r", "test", ""),  # the same image
        ("e", "2", "s", "test", ""),  # the same file by another name
        ("f", "6", "p", "test", ""),  # the same patient, twice
        ("g", "7", "p", "test", ""),
        ("h", "", "", "test", ""),
        ("c flipped", "8", "h", "train", "c"),
        ("g flipped", "3", "q", "test", "g"),  # copies do not count
    ]
    assert overlap(pd.DataFrame(rows, columns=columns)) == {
        "images": 1,
        "files": 2,
        "patients": 1,
        "test_images_of_train_patients": 2,
        "images_without_patient": 2,
    }


def miniature(rows):
    """A catalogue from (label, patient) pairs."""
    table = pd.DataFrame(rows, columns=["label", "patient_id"])
    table["image_id"] = [f"image {number}" for number in range(len(table))]
    return catalogue.checked(table.assign(archive="a.zip", member=table["image_id"]), "here")


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        ([("covid", "A"), ("covid", "C"), ("non", "A"), ("non", "B")], {"train": 1, "test": 1}),
        ([("covid", "C"), ("covid", "D"), *[("non", "A")] * 5, ("non", "B")], {"train": 5, "test": 1}),
    ],
    ids=["a patient with both labels", "a patient with many images"],
)
def test_split_by_patient_finds_the_split_that_there_is(rows, counts, seed):
    covid = Counts(train=1, test=1)
    settings = SplitSettings(strategy="patient", seed=seed, covid=covid, non=Counts(**counts), too_few="error")
    _, found = split_images(miniature(rows), settings)
    assert {side: found["non"][side] for side in ("train", "test")} == counts


def test_scaling_leaves_no_side_empty_where_there_are_two_images():
    settings = SplitSettings(
        strategy="image", seed=0, covid=Counts(train=1, test=20), non=Counts(train=1, test=1), too_few="scale"
    )
    _, found = split_images(miniature([("covid", "")] * 12 + [("non", "")] * 2), settings)
    assert found["covid"] | {"left_out": 0} == {"train": 1, "test": 11, "scaled_down": 1, "left_out": 0}

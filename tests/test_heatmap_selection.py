"""Which images get heat maps."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcovid.heatmaps.selection import choose
from deepcovid.settings.datasets import HeatmapImages
from tests.strategies import labelled_scores

numbers = st.integers(0, 12)
wanted = st.builds(
    HeatmapImages, true_positives=st.one_of(st.just("all"), numbers), sample=st.integers(1, 12), worst=numbers,
    seed=st.integers(0, 50),
)  # fmt: skip


def table_of(positive, score):
    names = [f"image {number}" for number in range(len(score))]
    label = np.where(positive, "covid", "non")
    return pd.DataFrame({"image_id": names, "label": label, "patient_id": names, "score": score})


@given(images=labelled_scores(), options=wanted, cut_off=st.sampled_from([0.0, 0.2, 0.5, 1.0]))
def test_each_image_is_chosen_once_for_a_reason_that_is_true(images, options, cut_off):
    table = table_of(*images)
    found = choose(table, cut_off, options)
    assert found["image_id"].is_unique
    own = found.merge(table, on=["image_id", "label", "patient_id", "score"])
    assert len(own) == len(found)
    called, covid = found["score"] >= cut_off, found["label"] == "covid"
    for why, true in {
        "true positive": covid & called,
        "false positive": ~covid & called,
        "false negative": covid & ~called,
        "sample": ~covid,
    }.items():
        assert true[found["why"] == why].all()
    assert set(found["cut_off"]) == {cut_off}

    covid, called = table["label"] == "covid", table["score"] >= cut_off
    count = found["why"].value_counts()
    positives = int((covid & called).sum())
    limit = positives if options.true_positives == "all" else min(options.true_positives, positives)
    assert count.get("true positive", 0) == limit
    assert count.get("false positive", 0) == min(options.worst, int((~covid & called).sum()))
    assert count.get("false negative", 0) == min(options.worst, int((covid & ~called).sum()))
    assert count.get("sample", 0) <= options.sample
    assert found["why"].drop_duplicates().tolist() == [
        why for why in ("true positive", "false positive", "false negative", "sample") if why in count
    ]


@given(images=labelled_scores(), options=wanted)
def test_the_worst_are_the_furthest_on_the_wrong_side(images, options):
    table = table_of(*images)
    found = choose(table, 0.5, options)
    for why, label, sign in (("false positive", "non", -1), ("false negative", "covid", 1)):
        order = sign * found["score"][found["why"] == why]
        assert order.is_monotonic_increasing
        wrong = table[(table["label"] == label) & ((table["score"] >= 0.5) == (label == "non"))]
        others = sign * wrong["score"][~wrong["image_id"].isin(found["image_id"][found["why"] == why])]
        assert order.empty or others.empty or order.max() <= others.min()


def test_the_seed_decides_the_samples_and_repeats_them():
    table = table_of(np.arange(200) < 100, np.full(200, 0.9))
    options = HeatmapImages(true_positives=10, sample=10, worst=0, checked=0, seed=1)
    found = choose(table, 0.5, options)
    pd.testing.assert_frame_equal(found, choose(table, 0.5, options))
    other = choose(table, 0.5, options.model_copy(update={"seed": 2}))
    assert set(found["image_id"]) != set(other["image_id"])
    assert found["image_id"][found["why"] == "true positive"].tolist() != [f"image {n}" for n in range(10)]


def test_an_image_that_changes_sides_moves_no_more_than_one_of_a_sample():
    positive, score = np.arange(60) < 40, np.full(60, 0.9)
    options = HeatmapImages(true_positives=15, sample=0, worst=0, checked=0, seed=3)
    before = set(choose(table_of(positive, score), 0.5, options)["image_id"])
    for flipped in range(40):
        after = set(
            choose(table_of(positive, np.where(np.arange(60) == flipped, 0.1, score)), 0.5, options)["image_id"]
        )
        assert len(before - after) <= 1


def test_a_score_at_the_cut_off_is_called_covid():
    options = HeatmapImages(true_positives="all", sample=0, worst=5, checked=0, seed=0)
    found = choose(table_of(np.array([True, False]), np.array([0.5, 0.5])), 0.5, options)
    assert found["why"].tolist() == ["true positive", "false positive"]


def test_without_true_positives_there_are_the_others():
    options = HeatmapImages(true_positives="all", sample=1, worst=5, checked=0, seed=0)
    found = choose(table_of(np.array([True, False]), np.array([0.1, 0.2])), 0.5, options)
    assert found["why"].tolist()[0] == "false negative"
    assert set(found["why"]) <= {"false negative", "sample"}


def test_no_image_at_all_is_an_error_that_says_what_to_raise(refused):
    options = HeatmapImages(true_positives="all", sample=0, worst=0, checked=0, seed=0)
    with refused("none of 2 test images", "raise true_positives, sample or worst"):
        choose(table_of(np.array([True, False]), np.array([0.1, 0.9])), 0.5, options)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_score_that_is_no_number_is_refused(refused, bad):
    options = HeatmapImages(true_positives="all", sample=1, worst=1, checked=0, seed=0)
    with refused("a score is not a number", "learning rate"):
        choose(table_of(np.array([True, False]), np.array([0.6, bad])), 0.5, options)

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    confusion_matrix,
    recall_score,
    roc_auc_score,
)

from deepcovid.settings import EvaluateSettings
from deepcovid.statistics.intervals import auc_interval
from deepcovid.statistics.rates import at_sensitivity, evaluate, rates, rounded
from tests.strategies import labelled_scores

BOOTSTRAP = EvaluateSettings(bootstrap_samples=100, bootstrap_seed=1)
SPREAD = {"mean", "low", "high", "min", "max"}
KEYS = {
    "auc",
    "average_precision",
    "accuracy",
    "balanced_accuracy",
    "majority_accuracy",
    "threshold",
    "sensitivity",
    "specificity",
    "predicted_positive",
    "collapsed",
    "n_test.covid",
    "n_test.non",
    *(f"{name}.{end}" for name in ("auc_ci95", "sensitivity_ci95", "sensitivity_wilson95") for end in ("low", "high")),
    *(f"{name}.{end}" for name in ("specificity_ci95", "specificity_wilson95") for end in ("low", "high")),
    *(f"confusion.{cell}" for cell in ("tp", "fp", "fn", "tn")),
    *(f"at_sensitivity_98.{name}" for name in ("threshold", "sensitivity", "specificity")),
    *(
        f"over_seeds.{name}.{part}"
        for name in ("auc", "sensitivity", "specificity", "predicted_positive", "collapsed")
        for part in SPREAD
    ),
}
cut_offs = st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0]) | st.floats(0, 1)


def flat(value, path=""):
    """Return nested numbers as one dict by dotted path."""
    if not isinstance(value, dict):
        return {path.removeprefix("."): value}
    return {key: part for name, inner in value.items() for key, part in flat(inner, f"{path}.{name}").items()}


def measured(positive, *scores, cut_off=0.5):
    """Return the metrics of `scores`, one array a seed, each image of a patient of its own."""
    return evaluate(positive, np.stack(scores, axis=1), pd.Series([""] * len(positive)), cut_off, BOOTSTRAP)


@given(case=labelled_scores(), cut_off=cut_offs)
def test_rates_are_those_of_sklearn(case, cut_off):
    positive, score = case
    called = score >= cut_off
    own = rates(positive, score, cut_off)
    (tn, fp), (fn, tp) = confusion_matrix(positive, called, labels=[False, True])
    assert own["confusion"] == {"tp": tp, "fp": fp, "fn": fn, "tn": tn}
    assert own["predicted_positive"] == called.sum()
    assert own["sensitivity"] == pytest.approx(recall_score(positive, called))
    assert own["specificity"] == pytest.approx(recall_score(positive, called, pos_label=False))
    assert own["collapsed"] == (len(set(called)) == 1)


@given(case=labelled_scores(), wanted=st.sampled_from([0.5, 0.9, 0.98, 1.0]))
def test_at_sensitivity_is_the_highest_threshold_that_reaches_it(case, wanted):
    positive, score = case
    threshold = max(cut for cut in score if recall_score(positive, score >= cut) >= wanted)
    expected = {
        "threshold": threshold,
        "sensitivity": recall_score(positive, score >= threshold),
        "specificity": recall_score(positive, score >= threshold, pos_label=False),
    }
    assert at_sensitivity(positive, score, wanted) == pytest.approx(expected)


@given(case=labelled_scores(), cut_off=cut_offs)
def test_metrics_are_those_of_sklearn(case, cut_off):
    positive, score = case
    metrics = measured(positive, score, cut_off=cut_off)
    called = score >= cut_off
    majority = np.full(len(positive), positive.mean() >= 0.5)
    expected = {
        "auc": roc_auc_score(positive, score),
        "average_precision": average_precision_score(positive, score),
        "accuracy": accuracy_score(positive, called),
        "balanced_accuracy": balanced_accuracy_score(positive, called),
        "majority_accuracy": accuracy_score(positive, majority),
        "threshold": cut_off,
        "sensitivity": recall_score(positive, called),
        "specificity": recall_score(positive, called, pos_label=False),
    }
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert metrics["n_test"] == {"covid": positive.sum(), "non": (~positive).sum()}


@given(case=labelled_scores(), cut_off=cut_offs)
def test_metrics_are_finite_numbers_under_the_keys_that_readers_expect(case, cut_off):
    positive, score = case
    numbers = flat(measured(positive, score, 1 - score, cut_off=cut_off))
    assert set(numbers) >= KEYS
    assert all(type(number) in (int, float) and math.isfinite(number) for number in numbers.values())


@given(case=labelled_scores(), cut_off=cut_offs)
def test_intervals_contain_their_rate(case, cut_off):
    metrics = measured(*case, cut_off=cut_off)
    for name, kind in [(name, kind) for name in ("sensitivity", "specificity") for kind in ("ci95", "wilson95")]:
        around = metrics[f"{name}_{kind}"]
        assert 0 <= around["low"] <= metrics[name] <= around["high"] <= 1


def test_a_score_equal_to_the_cut_off_counts_as_covid():
    positive = np.array([True, False])
    assert rates(positive, np.array([0.5, 0.5]), 0.5)["confusion"] == {"tp": 1, "fp": 1, "fn": 0, "tn": 0}
    assert rates(positive, np.array([0.5, np.nextafter(0.5, 0)]), 0.5)["confusion"]["tn"] == 1


@pytest.mark.parametrize(("scores", "collapsed"), [([0.1, 0.2], 1), ([0.8, 0.9], 1), ([0.8, 0.2], 0)])
def test_calling_every_image_the_same_is_a_collapse(scores, collapsed):
    assert measured(np.array([True, False]), np.array(scores))["collapsed"] == collapsed


def test_first_seed_gives_the_numbers_and_all_give_the_spread():
    positive = np.array([True, True, False, False])
    right, wrong, all_negative = np.array([0.9, 0.8, 0.1, 0.2]), np.array([0.1, 0.2, 0.9, 0.8]), np.full(4, 0.3)
    metrics = measured(positive, right, wrong, all_negative)
    assert (metrics["auc"], metrics["sensitivity"], metrics["collapsed"]) == (1, 1, 0)
    assert (metrics["average_precision"], metrics["auc_ci95"]["low"]) == (1, 1)
    assert metrics["at_sensitivity_98"] == {"threshold": 0.8, "sensitivity": 1, "specificity": 1}
    assert metrics["over_seeds"] == {
        "heads": 3,
        "auc": {"mean": 0.5, "low": 0, "high": 1, "min": 0, "max": 1},
        "sensitivity": {"mean": 0.333333, "low": 0, "high": 1, "min": 0, "max": 1},
        "specificity": {"mean": 0.666667, "low": 0, "high": 1, "min": 0, "max": 1},
        "predicted_positive": {"mean": 1.333333, "low": 0, "high": 4, "min": 0, "max": 2},
        "collapsed": {"mean": 0.333333, "low": 0, "high": 1, "min": 0, "max": 1},
    }


def test_one_seed_has_no_interval_over_seeds():
    one = measured(np.array([True, False]), np.array([0.9, 0.1]))
    assert set(one["over_seeds"]["auc"]) == {"mean", "min", "max"}


def test_interval_of_the_auc_is_over_the_patients_of_the_images():
    positive = np.arange(40) < 20
    score = np.random.default_rng(2).random(40) + positive / 3
    patient = pd.Series([f"patient {number // 5}" for number in range(40)], index=range(7, 47))
    own = evaluate(positive, score[:, None], patient, 0.5, BOOTSTRAP)["auc_ci95"]
    expected = auc_interval(positive, score, patient, BOOTSTRAP.bootstrap_samples, BOOTSTRAP.bootstrap_seed)
    assert (own["low"], own["high"]) == pytest.approx(expected, abs=1e-6)
    assert own != measured(positive, score)["auc_ci95"]


@pytest.mark.parametrize("positive", [True, False])
def test_test_images_of_one_class_are_refused(refused, positive):
    with refused("evaluate: ", "of one class only", "widen the filter"):
        measured(np.full(3, positive), np.array([0.1, 0.5, 0.9]))


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_of_any_seed_that_is_not_a_number_is_refused(refused, score):
    with refused("evaluate: ", "not a number", "learning rate"):
        measured(np.array([True, False]), np.array([0.5, 0.5]), np.array([0.5, score]))


def test_rounding_reaches_nested_floats_and_leaves_whole_numbers():
    assert rounded({"a": {"b": np.float64(1 / 3), "c": 2}, "d": [2 / 3, "e"]}, digits=2) == {
        "a": {"b": 0.33, "c": 2},
        "d": [0.67, "e"],
    }


def test_the_reported_threshold_gives_the_reported_rates_when_applied():
    positive, score = np.array([True, False]), np.array([0.12345651, 0.1])
    found = evaluate(
        positive, score[:, None], pd.Series(["a", "b"]), 0.5, EvaluateSettings(bootstrap_samples=100, bootstrap_seed=0)
    )["at_sensitivity_98"]
    assert ((score >= found["threshold"]) & positive).sum() == found["sensitivity"] == 1

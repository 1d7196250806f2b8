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
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.estimate import Headline, read_result, write_result
from deepcovid.statistics.intervals import percentile_interval
from deepcovid.statistics.rates import (
    AtSensitivity,
    Confusion,
    Counts,
    RunResult,
    Spread,
    at_sensitivity,
    evaluate,
    headline,
    mean_over_units,
    rates,
    units_of,
)
from tests.strategies import labelled_scores

BOOTSTRAP = EvaluateSettings(bootstrap_samples=100, bootstrap_seed=1)
cut_offs = st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0]) | st.floats(0, 1)


def value_of(measure):
    """Return a number without its interval."""
    return getattr(measure, "value", measure)


def measured(positive, *scores, cut_off=0.5):
    """Return the metrics of `scores`, one array a seed, each image of a patient of its own."""
    bootstrap = Bootstrap.over_patients(positive, pd.Series([""] * len(positive)), BOOTSTRAP)
    return evaluate(np.stack(scores, axis=1), bootstrap, cut_off)


@given(case=labelled_scores(), cut_off=cut_offs)
def test_rates_are_those_of_sklearn(case, cut_off):
    positive, score = case
    called = score >= cut_off
    own = rates(positive, score, cut_off)
    (tn, fp), (fn, tp) = confusion_matrix(positive, called, labels=[False, True])
    assert own.confusion == Confusion(tp=int(tp), fp=int(fp), fn=int(fn), tn=int(tn))
    assert own.predicted_positive == called.sum()
    assert own.sensitivity == pytest.approx(recall_score(positive, called))
    assert own.specificity == pytest.approx(recall_score(positive, called, pos_label=False))
    assert own.collapsed == (len(set(called)) == 1)


@given(case=labelled_scores(), wanted=st.sampled_from([0.5, 0.9, 0.98, 1.0]))
def test_at_sensitivity_is_the_highest_threshold_that_reaches_it(case, wanted):
    positive, score = case
    threshold = max(cut for cut in score if recall_score(positive, score >= cut) >= wanted)
    expected = {
        "cut_off": threshold,
        "sensitivity": recall_score(positive, score >= threshold),
        "specificity": recall_score(positive, score >= threshold, pos_label=False),
    }
    assert dict(at_sensitivity(positive, score, wanted)) == pytest.approx(expected)


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
        "cut_off": cut_off,
        "sensitivity": recall_score(positive, called),
        "specificity": recall_score(positive, called, pos_label=False),
    }
    assert {name: value_of(getattr(metrics, name)) for name in expected} == pytest.approx(expected, abs=1e-6)
    assert metrics.n_test == Counts(covid=int(positive.sum()), non=int((~positive).sum()))


@given(case=labelled_scores(), cut_off=cut_offs)
def test_intervals_contain_their_rate(case, cut_off):
    metrics = measured(*case, cut_off=cut_off)
    for name, kind in [(name, kind) for name in ("sensitivity", "specificity") for kind in ("paper", "wilson")]:
        rate = getattr(metrics, name)
        around = getattr(rate, kind)
        assert 0 <= around.low <= rate.value <= around.high <= 1


def test_a_score_equal_to_the_cut_off_counts_as_covid():
    positive = np.array([True, False])
    assert rates(positive, np.array([0.5, 0.5]), 0.5).confusion == Confusion(tp=1, fp=1, fn=0, tn=0)
    assert rates(positive, np.array([0.5, np.nextafter(0.5, 0)]), 0.5).confusion.tn == 1


@pytest.mark.parametrize(("scores", "collapsed"), [([0.1, 0.2], 1), ([0.8, 0.9], 1), ([0.8, 0.2], 0)])
def test_calling_every_image_the_same_is_a_collapse(scores, collapsed):
    assert measured(np.array([True, False]), np.array(scores)).collapsed == collapsed


def test_the_median_head_gives_the_numbers_and_all_give_the_spread():
    positive = np.array([True, True, False, False])
    right, wrong, all_negative = np.array([0.9, 0.8, 0.1, 0.2]), np.array([0.1, 0.2, 0.9, 0.8]), np.full(4, 0.3)
    alone = measured(positive, right)
    assert (alone.auc.value, alone.sensitivity.value, alone.collapsed) == (1, 1, 0)
    assert alone.average_precision == 1
    assert alone.auc.low < 0.8  # two images of each class cannot say more
    assert alone.at_sensitivity_98 == AtSensitivity(cut_off=0.8, sensitivity=1, specificity=1)
    assert measured(positive, right, wrong).auc.value == 0  # of an even number, the lower in the middle
    metrics = measured(positive, right, wrong, all_negative)
    assert (metrics.auc.value, metrics.sensitivity.value, metrics.collapsed) == (0.5, 0, 1)
    assert metrics.over_seeds.model_dump(mode="json") == {
        "heads": 3,
        "auc": {"mean": {"value": 0.5, "low": 0, "high": 1}, "min": 0, "max": 1},
        "sensitivity": {"mean": {"value": 0.333333, "low": 0, "high": 1}, "min": 0, "max": 1},
        "specificity": {"mean": {"value": 0.666667, "low": 0, "high": 1}, "min": 0, "max": 1},
        "predicted_positive": {"mean": {"value": 1.333333, "low": 0, "high": 4}, "min": 0, "max": 2},
        "collapsed": {"mean": {"value": 0.333333, "low": 0.061492, "high": 0.79234}, "min": 0, "max": 1},  # Wilson's
    }


def test_the_interval_of_a_rate_is_a_bootstrap_over_patients():
    rng = np.random.default_rng(0)
    positive, score = np.arange(60) < 24, rng.random(60)
    patient = pd.Series([f"patient {number // 3}" for number in range(60)])
    bootstrap = Bootstrap.over_patients(positive, patient, BOOTSTRAP)
    metrics = evaluate(score[:, None], bootstrap, 0.4)
    drawn = [np.repeat(np.arange(60), sample.astype(int)) for sample in bootstrap.weights.T]
    for rate, label in ((metrics.sensitivity, 1), (metrics.specificity, 0)):
        values = [recall_score(positive[rows], score[rows] >= 0.4, pos_label=label) for rows in drawn]
        expected = np.quantile(values, [0.025, 0.975])
        assert (rate.patients.low, rate.patients.high) == pytest.approx(expected, abs=1e-6)


def test_a_rate_of_0_or_1_has_wilsons_interval_over_patients():
    positive = np.arange(12) < 4
    patient = pd.Series([f"patient {number // 2}" for number in range(12)])
    metrics = evaluate(np.full((12, 1), 0.1), Bootstrap.over_patients(positive, patient, BOOTSTRAP), 0.5)
    for rate, successes, patients in ((metrics.sensitivity, 0, 2), (metrics.specificity, 4, 4)):
        expected = proportion_confint(successes, patients, method="wilson")
        assert (rate.patients.low, rate.patients.high) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("names", "units"),
    [
        (["seed_4", "seed_0"], [4, 0]),
        (["seed_4_run_1", "seed_0_run_1"], [4, 0]),
        (["seed_4_run_1", "seed_0_run_1", "seed_4_run_0", "seed_0_run_0"], [1, 1, 0, 0]),
    ],
)
def test_heads_of_one_run_of_a_net_count_once_where_there_are_several(names, units):
    assert units_of(names) == units


def test_an_interval_over_runs_is_that_of_their_means():
    values, units = [0.5, 0.7, 0.8, 0.9], [0, 0, 1, 1]
    means = DescrStatsW([0.6, 0.85])
    found = mean_over_units(values, units)
    assert found.value == pytest.approx(0.725)
    low, high = means.tconfint_mean()
    assert (found.low, found.high) == pytest.approx((max(low, 0), min(high, 1)), abs=1e-6)
    assert mean_over_units(values, None) == mean_over_units(values, [3, 2, 1, 0])


def test_one_seed_has_no_interval_over_seeds():
    one = measured(np.array([True, False]), np.array([0.9, 0.1]))
    assert one.over_seeds.auc == Spread(min=1, max=1)


@given(cut_off=cut_offs, heads=st.integers(1, 3))
def test_the_headline_holds_what_the_result_does_and_heads_that_call_every_image_alike_are_counted(cut_off, heads):
    rng = np.random.default_rng(heads)
    positive, scores = np.arange(12) < 5, rng.random((12, heads))
    scores[:, -1] = 0.3
    result = measured(positive, *scores.T, cut_off=cut_off)
    alike = sum(len(set(column >= cut_off)) == 1 for column in scores.T)
    assert result.collapsed_heads == alike
    assert headline(result) == Headline(
        auc=result.auc.value,
        auc_low=result.auc.low,
        auc_high=result.auc.high,
        sensitivity=result.sensitivity.value,
        specificity=result.specificity.value,
        tp=result.confusion.tp,
        fn=result.confusion.fn,
        fp=result.confusion.fp,
        tn=result.confusion.tn,
    )


def test_a_result_reads_back_as_it_was_written_with_six_digits_and_the_exact_cut_off(tmp_path):
    result = measured(np.array([True, True, False]), np.array([0.9, 0.95, 0.1]), np.array([0.12345651, 0.9, 0.2]))
    write_result(tmp_path / "run.json", result)
    read = read_result(tmp_path / "run.json", RunResult)
    assert read == result
    assert read.at_sensitivity_98.cut_off == 0.12345651
    assert read.accuracy == 0.666667


def test_interval_of_the_auc_is_over_the_patients_of_the_images():
    positive = np.arange(40) < 20
    score = np.random.default_rng(2).random(40) + positive / 3
    patient = pd.Series([f"patient {number // 5}" for number in range(40)], index=range(7, 47))
    bootstrap = Bootstrap.over_patients(positive, patient, BOOTSTRAP)
    own = evaluate(score[:, None], bootstrap, 0.5).auc
    expected = percentile_interval(bootstrap.auc(score))
    assert (own.low, own.high) == pytest.approx(expected, abs=1e-6)
    assert own != measured(positive, score).auc


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_of_any_seed_that_is_not_a_number_is_refused(refused, score):
    with refused("evaluate: ", "not a number", "learning rate"):
        measured(np.array([True, False]), np.array([0.5, 0.5]), np.array([0.5, score]))


def test_the_reported_threshold_gives_the_reported_rates_when_applied():
    positive, score = np.array([True, False]), np.array([0.12345651, 0.1])
    found = measured(positive, score).at_sensitivity_98
    assert ((score >= found.cut_off) & positive).sum() == found.sensitivity == 1

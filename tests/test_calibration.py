import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.calibration import calibration, reliability
from deepcovid.statistics.estimate import Estimate
from deepcovid.statistics.intervals import wilson_interval
from tests.strategies import labelled_scores

BOOTSTRAP = EvaluateSettings(bootstrap_samples=100, bootstrap_seed=1)
counts = st.integers(2, 20)


def measured(positive, score, bins=10, patient=None):
    """Return the calibration of scores; unless said otherwise each image is of a patient of its own."""
    unknown = pd.Series([""] * len(positive))
    bootstrap = Bootstrap.over_patients(positive, unknown if patient is None else patient, BOOTSTRAP)
    return calibration(score, bootstrap, bins)


def ece_by_groups(positive, score, bins):
    """The expected calibration error as the papers write it, over intervals closed on the right."""
    groups = pd.DataFrame({"score": score, "covid": positive}).groupby(
        pd.cut(score, np.linspace(0, 1, bins + 1), include_lowest=True, labels=False)
    )
    return (groups.size() / len(score) * (groups["score"].mean() - groups["covid"].mean()).abs()).sum()


@given(case=labelled_scores(), bins=counts)
def test_reliability_is_the_curve_of_sklearn_with_bounds_counts_and_wilsons_interval(case, bins):
    positive, score = case
    observed, mean_score = calibration_curve(positive, score, n_bins=bins, strategy="uniform")
    own = list(reliability(positive, score, bins).values())
    assert [part.observed.value for part in own] == pytest.approx(observed, abs=1e-6)
    assert [part.mean_score for part in own] == pytest.approx(mean_score, abs=1e-6)
    assert sum(part.images for part in own) == len(score)
    for part in own:
        assert part.high - part.low == pytest.approx(1 / bins, abs=2e-6)
        assert part.low - 1e-6 <= part.mean_score <= part.high + 1e-6
        expected = wilson_interval(round(part.observed.value * part.images), part.images)
        assert (part.observed.low, part.observed.high) == pytest.approx(expected, abs=1e-6)


@given(case=labelled_scores(), bins=counts)
def test_brier_skill_and_ece_are_those_of_their_definitions(case, bins):
    positive, score = case
    own = measured(positive, score, bins)
    brier, always = np.mean((score - positive) ** 2), np.full(len(score), positive.mean())
    assert own.brier.value == pytest.approx(brier, abs=1e-6)
    assert own.brier_skill == pytest.approx(1 - brier / brier_score_loss(positive, always), abs=1e-6)
    assert own.ece.value == pytest.approx(ece_by_groups(positive, score, bins), abs=1e-6)
    assert 0 <= own.ece.value <= 1
    assert 0 <= own.brier.value <= 1
    assert own.brier_skill <= 1


@given(case=labelled_scores(), data=st.data())
def test_the_order_of_the_images_does_not_matter(case, data):
    positive, score = case
    order = np.array(data.draw(st.permutations(range(len(score)))))
    own, other = measured(positive, score), measured(positive[order], score[order])
    assert own.brier.value == pytest.approx(other.brier.value, abs=2e-6)
    assert own.ece.value == pytest.approx(other.ece.value, abs=2e-6)
    assert own.brier_skill == pytest.approx(other.brier_skill, abs=2e-6)


def test_scores_that_mean_what_they_say_have_no_calibration_error():
    tenths = np.repeat(np.arange(1, 10), 10)
    positive = np.tile(np.arange(10), 9) < tenths
    own = measured(positive, tenths / 10)
    assert own.ece.value == pytest.approx(0)
    assert own.brier.value == pytest.approx(np.mean(tenths / 10 * (1 - tenths / 10)), abs=1e-6)
    assert [part.observed.value for part in own.bins.values()] == [tenth / 10 for tenth in range(1, 10)]
    assert list(own.bins) == ["0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8"]  # 0.1 lies in 0 to 0.1


def test_certain_scores_are_best_or_worst_and_leave_no_room_for_chance():
    positive = np.arange(30) < 10
    right, wrong = measured(positive, positive * 1.0), measured(positive, ~positive * 1.0)
    none, all_of_it = Estimate(value=0, low=0, high=0), Estimate(value=1, low=1, high=1)
    assert (right.brier, right.ece) == (none, none)
    assert (wrong.brier, wrong.ece) == (all_of_it, all_of_it)
    assert right.brier_skill == 1
    assert list(right.bins) == ["0", "0.9"]


def test_always_saying_the_prevalence_has_no_skill_and_no_calibration_error():
    positive = np.arange(40) < 10
    own = measured(positive, np.full(40, 0.25))
    assert own.brier_skill == pytest.approx(0)
    assert own.ece.value == 0


def test_intervals_are_those_of_the_resampled_images():
    rng = np.random.default_rng(0)
    positive, score = np.arange(50) < 20, rng.uniform(size=50)
    patient = pd.Series([f"patient {number // 2}" for number in range(50)])
    drawn = Bootstrap.over_patients(positive, patient, BOOTSTRAP).weights.astype(int)
    resampled = [np.repeat(np.arange(50), weights) for weights in drawn.T]
    briers = [brier_score_loss(positive[rows], score[rows]) for rows in resampled]
    errors = [ece_by_groups(positive[rows], score[rows], 10) for rows in resampled]
    own = measured(positive, score, patient=patient)
    assert (own.brier.low, own.brier.high) == pytest.approx(np.quantile(briers, [0.025, 0.975]), abs=1e-6)
    assert (own.ece.low, own.ece.high) == pytest.approx(np.quantile(errors, [0.025, 0.975]), abs=1e-6)

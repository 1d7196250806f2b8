"""Predictive values, net benefit and calibration, against statsmodels and against counting."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from deepcovid.statistics.clinical import (
    calibration_in_the_large,
    calibration_slope,
    net_benefit,
    predictive_values,
    with_prior,
)


def scored(seed, slope=0.6, count=300):
    """Scores, labels that follow them with a slope, and the patient of each image."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1, 2, count)
    positive = rng.random(count) < expit(slope * odds - 0.3)
    return expit(odds), positive, pd.Series(rng.integers(0, 80, count)).astype(str)


@given(tp=st.integers(0, 50), fn=st.integers(1, 50), fp=st.integers(0, 50), tn=st.integers(1, 50))
def test_predictive_values_are_the_shares_of_a_table_of_that_prevalence(tp, fn, fp, tn):
    covid, others = tp + fn, fp + tn
    positive, negative = predictive_values(np.array(tp / covid), np.array(tn / others), covid / (covid + others))
    assert positive == pytest.approx(tp / (tp + fp)) if tp + fp else np.isnan(positive)
    assert negative == pytest.approx(tn / (tn + fn))


@given(seed=st.integers(0, 100), threshold=st.sampled_from([0.01, 0.1, 0.3, 0.5]))
def test_net_benefit_is_true_positives_less_weighted_false_ones(seed, threshold):
    score, positive, _ = scored(seed)
    called = score >= threshold
    counted = (called & positive).sum() - (called & ~positive).sum() * threshold / (1 - threshold)
    sensitivity, specificity = called[positive].mean(), (~called)[~positive].mean()
    found = net_benefit(sensitivity, specificity, positive.mean(), threshold)
    assert found == pytest.approx(counted / len(score))


@given(seed=st.integers(0, 100))
def test_intercept_and_slope_are_those_of_statsmodels_with_errors_by_patient(seed):
    score, positive, patient = scored(seed)
    groups, odds = pd.factorize(patient)[0], logit(score)
    binomial = sm.families.Binomial()
    for found, columns, offset in (
        (calibration_slope(score, positive, patient), sm.add_constant(odds), None),
        (calibration_in_the_large(score, positive, patient), np.ones(len(odds)), odds),
    ):
        model = sm.GLM(positive.astype(float), columns, family=binomial, offset=offset)
        fit = model.fit(cov_type="cluster", cov_kwds={"groups": groups})
        assert found.value == pytest.approx(fit.params[-1], abs=1e-6)
        assert found.error == pytest.approx(fit.bse[-1], rel=1e-5)


def test_there_is_no_slope_where_the_classes_are_told_apart_or_scores_are_alike():
    positive, patient = np.arange(20) < 5, pd.Series(map(str, range(20)))
    assert calibration_slope(np.where(positive, 0.9, 0.1), positive, patient) is None
    assert calibration_slope(np.where(positive, 0.1, 0.9), positive, patient) is None
    assert calibration_slope(np.full(20, 0.3), positive, patient) is None


def test_an_intercept_is_found_far_away_too():
    positive, patient = np.arange(2000) < 1, pd.Series(map(str, range(2000)))
    found = calibration_in_the_large(np.full(2000, 1.0), positive, patient)
    assert found.value == pytest.approx(logit(1 / 2000) - logit(1 - 1e-12), abs=1e-3)


@given(seed=st.integers(0, 50), old=st.floats(0.01, 0.9), new=st.floats(0.01, 0.9))
def test_resetting_the_prior_is_undone_by_resetting_it_back(seed, old, new):
    score, _, _ = scored(seed)
    moved = with_prior(score, old, new)
    np.testing.assert_allclose(with_prior(moved, new, old), score, atol=1e-9)
    assert (np.sign(moved - score) == np.sign(new - old)).all() or old == pytest.approx(new, abs=1e-6)

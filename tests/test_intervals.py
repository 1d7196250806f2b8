import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from deepcovid.statistics.intervals import auc_interval, mean_interval, normal_interval, wilson_interval

rates = st.integers(1, 5000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials)))


@given(rate=rates)
def test_wilson_interval_is_that_of_statsmodels(rate):
    assert wilson_interval(*rate) == pytest.approx(proportion_confint(*rate, method="wilson"), abs=1e-9)


@given(rate=rates)
def test_normal_interval_is_that_of_statsmodels_at_the_papers_z(rate):
    expected = proportion_confint(*rate, alpha=2 * norm.sf(1.96), method="normal")
    assert normal_interval(*rate) == pytest.approx(np.clip(expected, 0, 1), abs=1e-9)


@pytest.mark.parametrize(("successes", "rate"), [(0, 0.0), (100, 1.0)])
def test_only_the_normal_interval_has_no_width_at_a_rate_of_0_or_1(successes, rate):
    assert normal_interval(successes, 100) == (rate, rate)
    low, high = wilson_interval(successes, 100)
    assert high - low > 0.03


@given(values=st.lists(st.floats(0, 1), min_size=2, max_size=12))
def test_mean_interval_is_that_of_statsmodels_within_the_values_range(values):
    expected = np.array(values).mean().repeat(2) if len(set(values)) == 1 else DescrStatsW(values).tconfint_mean()
    assert mean_interval(values) == pytest.approx(np.clip(expected, 0, 1), abs=1e-9)


@given(auc=st.floats(0, 1), positives=st.integers(2, 200), negatives=st.integers(2, 3000))
def test_newcombes_interval_holds_the_areas_that_are_within_196_standard_errors(auc, positives, negatives):
    """Against a plain search over areas, with the standard error written as Hanley and McNeil have it."""
    areas = np.linspace(0, 1, 20001)
    mean = (positives + negatives) / 2
    one_positive, one_negative = areas / (2 - areas), 2 * areas**2 / (1 + areas)
    variance = areas * (1 - areas) + (mean - 1) * (one_positive + one_negative - 2 * areas**2)
    inside = areas[(auc - areas) ** 2 <= 1.96**2 * variance / (positives * negatives)]
    low, high = auc_interval(auc, positives, negatives)
    assert low <= auc <= high
    if 1e-6 < auc < 1 - 1e-6 or auc in (0, 1):
        assert (low, high) == pytest.approx((inside.min(), inside.max()), abs=1e-4)


def test_newcombes_interval_does_not_collapse_where_the_classes_are_told_apart_completely():
    low, high = auc_interval(1.0, 61, 2500)
    assert high == 1
    assert 0.9 < low < 0.99
    assert auc_interval(1.0, 30, 2500)[0] < low
    mirrored = auc_interval(0.0, 61, 2500)
    assert mirrored == pytest.approx((0, 1 - low), abs=1e-9)

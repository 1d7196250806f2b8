import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve

from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.statistics import roc_bands
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.roc_bands import FALSE_POSITIVE_RATES
from tests.strategies import labelled_scores


def sensitivities(positive, score, weight):
    """Return scikit-learn's curve at the band's false positive rates, the upper end where it is vertical."""
    false_positive, true_positive, _ = roc_curve(positive, score, sample_weight=weight, drop_intermediate=False)
    upper = pd.Series(true_positive).groupby(false_positive).max()
    at_corner = np.isin(FALSE_POSITIVE_RATES, upper.index)
    lower = pd.Series(true_positive).groupby(false_positive).min()
    result = np.empty(len(FALSE_POSITIVE_RATES))
    for place, rate in enumerate(FALSE_POSITIVE_RATES):
        if at_corner[place]:
            result[place] = upper[rate]
        else:
            left, right = upper.index[upper.index < rate].max(), upper.index[upper.index > rate].min()
            result[place] = np.interp(rate, [left, right], [upper[left], lower[right]])
    return result


@given(case=labelled_scores(max_size=30), data=st.data())
def test_sensitivity_is_that_of_sklearn_with_ties(case, data):
    positive, score = case
    row = st.lists(st.integers(0, 4), min_size=len(score), max_size=len(score)).map(np.array)
    weight = data.draw(row.filter(lambda weights: weights[positive].any() and weights[~positive].any())).astype(float)
    # Rates that are equal but for their last bit would be corners here and none there.
    tiny = np.float64(1e-9)
    own = roc_bands.sensitivities(score, Bootstrap(positive, weight[:, None]))[0]
    expected = sensitivities(positive, score, weight)
    rates = np.cumsum(weight[~positive][np.argsort(-score[~positive], kind="stable")]) / weight[~positive].sum()
    away = np.abs(FALSE_POSITIVE_RATES[:, None] - rates).min(axis=1) > tiny
    assert own[away] == pytest.approx(expected[away], abs=1e-9)


def roc_band(positive, score, patient, samples, seed):
    settings = EvaluateSettings(bootstrap_samples=samples, bootstrap_seed=seed)
    return roc_bands.roc_band(score, Bootstrap.over_patients(positive, patient, settings))


@pytest.fixture(scope="module")
def images():
    """Two hundred images of a hundred patients, a quarter positive, whose scores overlap."""
    rng = np.random.default_rng(4)
    positive = np.arange(200) < 50
    return positive, rng.normal(positive * 1.5), pd.Series([f"patient {number // 2}" for number in range(200)])


def test_the_band_is_about_the_curve_and_fixed_by_its_seed(images):
    positive, score, patient = images
    band = roc_band(*images, samples=400, seed=1)
    curve = roc_bands.sensitivities(score, Bootstrap(positive, np.ones((200, 1))))[0]
    assert (band["low"] <= curve + 1e-12).all()
    assert (band["high"] >= curve - 1e-12).all()
    assert (band["low"] < band["high"]).mean() > 0.5
    pd.testing.assert_frame_equal(band, roc_band(*images, samples=400, seed=1))
    assert not band.equals(roc_band(positive, score, patient, samples=400, seed=2))


def test_the_band_is_the_percentiles_of_the_bootstrap(images):
    positive, score, patient = images
    settings = EvaluateSettings(bootstrap_samples=250, bootstrap_seed=3)
    whole = roc_bands.sensitivities(score, Bootstrap.over_patients(positive, patient, settings))
    band = roc_band(*images, samples=250, seed=3)
    assert band["low"].to_numpy() == pytest.approx(np.quantile(whole, 0.025, axis=0))
    assert band["high"].to_numpy() == pytest.approx(np.quantile(whole, 0.975, axis=0))


def test_more_images_of_the_same_patients_do_not_narrow_the_band(images):
    positive, score, patient = images
    twice = roc_band(np.tile(positive, 2), np.tile(score, 2), pd.concat([patient, patient]), samples=200, seed=1)
    once = roc_band(*images, samples=200, seed=1)
    assert (twice["high"] - twice["low"]).mean() == pytest.approx((once["high"] - once["low"]).mean())


def test_perfect_scores_have_a_band_of_no_width():
    positive = np.array([True, True, False, False])
    band = roc_band(positive, positive.astype(float), pd.Series(["", "", "", ""]), samples=100, seed=0)
    assert (band[["low", "high"]] == 1).all(axis=None)

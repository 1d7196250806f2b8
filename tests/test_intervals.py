import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from deepcovid.statistics.intervals import (
    auc_interval,
    mean_interval,
    normal_interval,
    patient_weights,
    weighted_auc,
    weighted_specificity,
    wilson_interval,
)
from deepcovid.statistics.rates import at_sensitivity
from tests.strategies import labelled_scores

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


@st.composite
def image_weights(draw, positive):
    """How often each image is drawn, one to three samples, each with images of both labels."""
    row = st.lists(st.integers(0, 4), min_size=len(positive), max_size=len(positive)).map(np.array)
    both = row.filter(lambda weights: weights[positive].any() and weights[~positive].any())
    return np.array(draw(st.lists(both, min_size=1, max_size=3)), dtype=float)


@given(case=labelled_scores(), wanted=st.sampled_from([0.5, 0.9, 0.98, 1.0]), data=st.data())
def test_weighted_specificity_is_that_of_the_resampled_images(case, wanted, data):
    positive, score = case
    weights = data.draw(image_weights(positive))
    resampled = [np.repeat(np.arange(len(score)), row.astype(int)) for row in weights]
    expected = [at_sensitivity(positive[rows], score[rows], wanted).specificity for rows in resampled]
    assert weighted_specificity(positive, score, weights, wanted) == pytest.approx(expected, abs=1e-9)


@given(case=labelled_scores(), data=st.data())
def test_weighted_auc_is_that_of_sklearn_with_ties(case, data):
    positive, score = case
    weights = data.draw(image_weights(positive))
    expected = [roc_auc_score(positive, score, sample_weight=weight) for weight in weights]
    assert weighted_auc(positive, score, weights) == pytest.approx(expected, abs=1e-9)


@pytest.fixture
def images():
    """Sixty images, a third of them positive, whose scores overlap."""
    rng = np.random.default_rng(5)
    positive = np.arange(60) < 20
    return positive, rng.normal(positive.astype(float))


def names(numbers):
    return pd.Series([f"patient {number}" for number in numbers])


def interval(positive, score, patient, seed=0):
    return auc_interval(positive, score, patient, samples=1000, seed=seed)


def test_auc_interval_is_fixed_by_its_seed(images):
    patient = names(range(60))
    assert interval(*images, patient, seed=1) == interval(*images, patient, seed=1)
    assert interval(*images, patient, seed=1) != interval(*images, patient, seed=2)


def test_auc_interval_contains_the_auc_and_lies_within_0_and_1(images):
    low, high = interval(*images, names(range(60)))
    assert 0 <= low < roc_auc_score(*images) < high <= 1


def test_auc_interval_is_that_of_a_plain_bootstrap_over_patients(images):
    positive, score = images
    patient = np.arange(60) // 3  # three images a patient; one patient has images of both labels
    rng = np.random.default_rng(7)
    samples = []
    for _ in range(1000):
        drawn = []
        for label in (True, False):
            own = np.unique(patient[positive == label])
            chosen = rng.choice(own, len(own))
            drawn += [np.flatnonzero((patient == one) & (positive == label)) for one in chosen]
        rows = np.concatenate(drawn)
        samples.append(roc_auc_score(positive[rows], score[rows]))
    expected = np.quantile(samples, [0.025, 0.975])
    assert interval(positive, score, names(patient)) == pytest.approx(expected, abs=0.02)


def test_repeated_images_count_as_evidence_only_where_they_are_of_other_patients(images):
    positive, score = (np.repeat(part, 4) for part in images)
    low, high = interval(positive, score, names(np.repeat(range(60), 4)))
    of_others = interval(positive, score, names(range(240)))
    once = interval(*images, names(range(60)))
    assert high - low > 1.5 * (of_others[1] - of_others[0])
    assert (low, high) == pytest.approx(once, abs=1e-12)


def test_images_of_unknown_patients_are_each_of_their_own(images):
    patient = names(range(60))
    blank = pd.Series([""] * 60, index=range(100, 160))
    assert interval(*images, blank) == interval(*images, patient)
    assert interval(*images, names([0] * 60).where(patient.index >= 30, "")) != interval(*images, patient)


@given(case=labelled_scores(), data=st.data())
def test_a_bootstrap_sample_has_as_many_patients_of_each_label_as_there_are(case, data):
    positive, _ = case
    numbers = data.draw(st.lists(st.integers(0, 5), min_size=len(positive), max_size=len(positive)))
    weights = patient_weights(positive, names(numbers), samples=5, seed=0)
    for side in (positive, ~positive):
        once = [np.flatnonzero(side & (np.array(numbers) == number)) for number in set(np.array(numbers)[side])]
        assert all((weights[:, images] == weights[:, images[:1]]).all() for images in once)
        assert (sum(weights[:, images[0]] for images in once) == len(once)).all()


def test_perfect_scores_have_an_interval_of_one_point():
    positive = np.array([True, True, False, False])
    assert interval(positive, positive.astype(float), names(range(4))) == (1.0, 1.0)

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.intervals import percentile_interval
from deepcovid.statistics.rates import at_sensitivity
from tests.strategies import labelled_scores


@st.composite
def image_weights(draw, positive):
    """How often each image is drawn, one to three samples, each with images of both labels."""
    row = st.lists(st.integers(0, 4), min_size=len(positive), max_size=len(positive)).map(np.array)
    both = row.filter(lambda weights: weights[positive].any() and weights[~positive].any())
    return np.array(draw(st.lists(both, min_size=1, max_size=3)), dtype=float).T


@given(case=labelled_scores(), wanted=st.sampled_from([0.5, 0.9, 0.98, 1.0]), data=st.data())
def test_specificity_is_that_of_the_resampled_images(case, wanted, data):
    positive, score = case
    weights = data.draw(image_weights(positive))
    resampled = [np.repeat(np.arange(len(score)), sample.astype(int)) for sample in weights.T]
    expected = [at_sensitivity(positive[rows], score[rows], wanted).specificity for rows in resampled]
    assert Bootstrap(positive, weights).by_level(score).specificity(wanted) == pytest.approx(expected, abs=1e-9)


@given(case=labelled_scores(), data=st.data())
def test_auc_is_that_of_sklearn_with_ties(case, data):
    positive, score = case
    weights = data.draw(image_weights(positive))
    expected = [roc_auc_score(positive, score, sample_weight=sample) for sample in weights.T]
    assert Bootstrap(positive, weights).auc(score) == pytest.approx(expected, abs=1e-9)


@pytest.fixture
def images():
    """Sixty images, a third of them positive, whose scores overlap."""
    rng = np.random.default_rng(5)
    positive = np.arange(60) < 20
    return positive, rng.normal(positive.astype(float))


def names(numbers):
    return pd.Series([f"patient {number}" for number in numbers])


def interval(positive, score, patient, seed=0):
    settings = EvaluateSettings(bootstrap_samples=1000, bootstrap_seed=seed)
    return percentile_interval(Bootstrap.over_patients(positive, patient, settings).auc(score))


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
    settings = EvaluateSettings(bootstrap_samples=100, bootstrap_seed=0)
    weights = Bootstrap.over_patients(positive, names(numbers), settings).weights
    for side in (positive, ~positive):
        once = [np.flatnonzero(side & (np.array(numbers) == number)) for number in set(np.array(numbers)[side])]
        assert all((weights[images] == weights[images[:1]]).all() for images in once)
        assert (sum(weights[images[0]] for images in once) == len(once)).all()


def test_perfect_scores_have_an_interval_of_one_point():
    positive = np.array([True, True, False, False])
    assert interval(positive, positive.astype(float), names(range(4))) == (1.0, 1.0)


@pytest.mark.parametrize("positive", [True, False])
def test_images_of_one_class_are_refused(refused, positive):
    with refused("the test images are of one class only", "widen the filter or change the split"):
        interval(np.full(3, positive), np.array([0.1, 0.5, 0.9]), names(range(3)))


@given(case=labelled_scores(), data=st.data())
def test_means_are_those_of_the_resampled_images(case, data):
    positive, score = case
    weights = data.draw(image_weights(positive))
    expected = [[np.average(score, weights=sample)] for sample in weights.T]
    assert Bootstrap(positive, weights).mean(score[:, None]) == pytest.approx(np.array(expected))


@given(case=labelled_scores(), data=st.data())
def test_a_part_of_the_images_has_the_means_and_the_auc_of_its_own(case, data):
    positive, score = case
    weights = data.draw(image_weights(positive))
    among = np.array(data.draw(st.lists(st.booleans(), min_size=len(score), max_size=len(score))))
    bootstrap, own = Bootstrap(positive, weights), weights[among]
    drawn = own.sum(axis=0) > 0
    means = bootstrap.mean(score[:, None], among)
    assert np.isnan(means[~drawn]).all()
    assert means[drawn, 0] == pytest.approx(np.array([np.average(score[among], weights=each) for each in own.T[drawn]]))
    both = (own[positive[among]].sum(axis=0) > 0) & (own[~positive[among]].sum(axis=0) > 0)
    expected = [roc_auc_score(positive[among], score[among], sample_weight=each) for each in own.T[both]]
    assert bootstrap.by_level(score, among).auc() == pytest.approx(np.array(expected), abs=1e-9)

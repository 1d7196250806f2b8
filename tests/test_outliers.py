import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import mahalanobis

from deepcovid.heads.outliers import fit, fit_with_threshold
from deepcovid.settings.analyses import OutlierSettings

SETTINGS = OutlierSettings(components=4, share=0.05, folds=5, seed=3)


def gaussian(images, seed=0, length=12):
    """Draws from a Gaussian with four strong directions and noise."""
    rng = np.random.default_rng(seed)
    loadings = np.random.default_rng(99).standard_normal((4, length)) * 3
    return (rng.standard_normal((images, 4)) @ loadings + rng.standard_normal((images, length))).astype(np.float32)


def rows(patients, copies=None):
    table = pd.DataFrame({"patient_id": patients, "image_id": [f"image {number}" for number in range(len(patients))]})
    return table.assign(augmentation_of=copies or "")


@given(images=st.integers(9, 60), components=st.integers(1, 6))
def test_the_distance_is_mahalanobis_under_the_covariance_of_probabilistic_pca(images, components):
    features = gaussian(images)
    fitted = fit(features, components, seed=0)
    # Tipping and Bishop 1999, equations 7 and 8: the noise is the mean of the eigenvalues that are left.
    values, vectors = np.linalg.eigh(np.cov(features.astype(np.float64), rowvar=False))
    noise = values[:-components].mean()
    loadings = vectors[:, -components:] * np.sqrt(values[-components:] - noise)
    inverse = np.linalg.inv(loadings @ loadings.T + noise * np.eye(12))
    others = gaussian(5, seed=1)
    expected = [mahalanobis(row, features.mean(axis=0, dtype=np.float64), inverse) for row in others]
    np.testing.assert_allclose(fitted.distances(others), expected, rtol=1e-5)


def test_of_images_like_the_training_images_the_chosen_share_lies_beyond_the_threshold():
    features = gaussian(4000)
    fitted, threshold = fit_with_threshold(features, rows([f"p{number}" for number in range(4000)]), SETTINGS)
    others = fitted.distances(gaussian(20000, seed=5))
    assert (others > threshold).mean() == pytest.approx(SETTINGS.share, abs=0.01)


def test_an_image_is_measured_without_its_patient_and_a_copy_belongs_to_its_originals_patient():
    """Two images of a patient who is unlike all others: each makes the other usual, unless both are left out."""
    features, strict = gaussian(60), SETTINGS.model_copy(update={"share": 0.01})
    features[:2] = 40 * np.eye(12)[0] + features[:2] / 100
    apart = [f"p{number}" for number in range(60)]
    loose = fit_with_threshold(features, rows(apart), strict)[1]
    together = fit_with_threshold(features, rows(["p1", "p1", *apart[2:]]), strict)[1]
    as_copy = fit_with_threshold(features, rows(["", "", *apart[2:]], ["", "image 0", *[""] * 58]), strict)[1]
    unknown = fit_with_threshold(features, rows(["", "", *apart[2:]]), strict)[1]
    assert together > 2 * loose
    assert as_copy > 2 * unknown


def test_it_repeats_to_the_bit():
    features, table = gaussian(300, length=40), rows([f"p{number // 2}" for number in range(300)])
    one, two = (fit_with_threshold(features, table, SETTINGS) for _ in range(2))
    assert one[1] == two[1]
    assert all(np.array_equal(*pair) for pair in zip(one[0], two[0], strict=True))


@pytest.mark.parametrize(("images", "length", "axes"), [(3, 12, 2), (2, 12, 1), (1, 12, 0), (50, 3, 3)])
def test_there_are_no_more_axes_than_images_and_features_allow(images, length, axes):
    fitted = fit(gaussian(images, length=length), 4, seed=0)
    assert fitted.axes.shape == (axes, length)
    assert fitted.noise > 0
    assert np.isfinite(fitted.distances(gaussian(9, seed=1, length=length))).all()


def test_many_copies_of_few_images_have_few_axes():
    features = np.repeat(gaussian(3), 30, axis=0)
    fitted = fit(features, 10, seed=0)
    assert fitted.axes.shape == (2, 12)
    assert fitted.distances(features).max() < 2


def test_what_never_varies_in_training_is_far_away_when_it_does():
    features = gaussian(60)
    features[:, 3] = 0.25
    fitted, threshold = fit_with_threshold(features, rows([f"p{number}" for number in range(60)]), SETTINGS)
    usual = features[:1].copy()
    assert fitted.distances(usual)[0] < threshold
    usual[0, 3] = 1000
    assert fitted.distances(usual)[0] > threshold


def test_to_identical_images_only_their_like_are_like():
    features = np.full((20, 12), 0.3, dtype=np.float32)
    fitted, threshold = fit_with_threshold(features, rows([f"p{number}" for number in range(20)]), SETTINGS)
    assert fitted.axes.shape == (0, 12)
    assert fitted.distances(features[:1])[0] <= threshold
    assert fitted.distances(features[:1] + 0.01)[0] > threshold


def test_images_that_are_all_zero_are_no_error():
    fitted = fit(np.zeros((5, 12), dtype=np.float32), 4, seed=0)
    assert fitted.distances(np.zeros((1, 12), dtype=np.float32)).tolist() == [0]


def test_training_images_of_one_patient_are_refused(refused):
    with refused("all of the patient 'p1'", "train on more patients"):
        fit_with_threshold(gaussian(5), rows(["p1"] * 5), SETTINGS)

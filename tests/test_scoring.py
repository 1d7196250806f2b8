import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_auc_score

from deepcovid.heads.scoring import median_head, score

sizes = st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 6))


@given(data=st.data(), size=sizes)
def test_score_is_the_softmax_of_the_two_logits_at_covid(data, size):
    images, seeds, length = size
    values = st.floats(-4, 4, width=32)
    features, weight, bias = (
        data.draw(arrays(np.float32, shape, elements=values))
        for shape in ((images, length), (seeds, length, 2), (seeds, 2))
    )
    own = score(features, weight, bias)
    assert own.shape == (images, seeds)
    for seed in range(seeds):
        logits = torch.tensor(features).double() @ torch.tensor(weight[seed]).double() + torch.tensor(bias[seed])
        assert own[:, seed] == pytest.approx(logits.softmax(dim=1)[:, 0].numpy(), abs=1e-5)


def test_score_stays_a_number_for_logits_far_apart():
    features = np.array([[1e4], [-1e4]], dtype=np.float32)
    weight = np.array([[[1, -1]]], dtype=np.float32)
    assert score(features, weight, np.zeros((1, 2), dtype=np.float32)).tolist() == [[1], [0]]


@given(arrays(float, st.tuples(st.just(12), st.integers(1, 6)), elements=st.integers(0, 5)))
def test_the_median_head_has_the_median_area_as_sklearn_has_it(scores):
    positive = np.arange(12) % 3 == 0
    areas = [roc_auc_score(positive, column) for column in scores.T]
    shown = median_head(scores, positive)
    assert areas[shown] == sorted(areas)[(len(areas) - 1) // 2]
    if len(set(areas)) == 1:
        assert shown == (len(areas) - 1) // 2


def test_head_for_features_of_another_length_is_refused(refused):
    with refused("a head for 512 features cannot score 2048", "use the net it was trained with"):
        score(np.zeros((3, 2048), np.float32), np.zeros((1, 512, 2), np.float32), np.zeros((1, 2), np.float32))

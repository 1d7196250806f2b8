"""What maps depend on: random weights part by part, and pixels taken away in the order of the heat."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from deepcovid.heatmaps.sanity import (
    HEAD,
    PARTS,
    STEPS,
    areas,
    changed_by_heat,
    correlations,
    parts_of,
    randomised,
    sanity,
)
from deepcovid.nets.trunks import build, trunk
from deepcovid.nets.zoo import NETS
from deepcovid.settings.analyses import EvaluateSettings

SETTINGS = EvaluateSettings(bootstrap_samples=200, bootstrap_seed=0)


@pytest.mark.parametrize("model", NETS)
def test_a_nets_parts_hold_all_its_weights_once_from_the_output_to_the_input(model):
    net = trunk(model, build(model).state_dict())
    parts = parts_of(net)
    assert 2 <= len(parts) <= PARTS
    found = [id(own) for part in parts for module in part.modules for own in module.parameters()]
    assert sorted(found) == sorted(id(own) for own in net.parameters())
    names = {id(own): number for number, own in enumerate(net.parameters())}
    first = [names[id(next(part.modules[0].parameters()))] for part in parts]
    assert first == sorted(first, reverse=True)


def test_random_weights_come_one_part_after_another_and_the_net_itself_stays():
    net, random = (trunk("squeezenet1_0", build("squeezenet1_0").state_dict()) for _ in range(2))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    margin, changed = np.arange(512, dtype=np.float32), []
    for what, other, own in randomised(net, random, margin, 0):
        changed.append({name for name, value in other.state_dict().items() if not torch.equal(value, before[name])})
        assert (own != margin).all()
        assert (what == HEAD) == (not changed[-1])
    assert all(one < two for one, two in pairwise(changed))
    assert all(torch.equal(value, random.state_dict()[name]) for name, value in other.state_dict().items())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    twice = [[own.tolist() for _, _, own in randomised(net, random, margin, 0)] for _ in range(2)]
    assert twice[0] == twice[1]


@given(seed=st.integers(0, 1000))
def test_rank_correlations_are_those_of_ranks(seed):
    one, two = np.random.default_rng(seed).integers(0, 9, (2, 1, 6, 5)).astype(np.float32)
    (found,) = correlations(one, two)
    expected = np.corrcoef(rankdata(one), rankdata(two))[0, 1]
    assert found == pytest.approx(expected)
    assert correlations(one, one)[0] == pytest.approx(1)
    assert correlations(one, -one)[0] == pytest.approx(-1)
    assert np.isnan(correlations(one, np.zeros_like(one))[0])


def test_the_hottest_pixels_go_first_and_come_back_first():
    image = np.full((10, 10, 1), 200, np.uint8)
    heat = np.arange(100, dtype=np.float32).reshape(10, 10)
    deleted, inserted = changed_by_heat(image, heat, 128)
    assert deleted.shape == (STEPS + 1, 10, 10, 1)
    assert (deleted[0] == image).all()
    assert (deleted[-1] == 128).all()
    for step in range(STEPS + 1):
        gone = heat >= 100 - step * 100 / STEPS
        assert ((deleted[step, ..., 0] == 128) == gone).all()
        assert ((inserted[step, ..., 0] == 200) == gone).all()


def test_the_area_under_a_curve_is_a_mean_score():
    assert areas(np.full((2, 3, STEPS + 1), 0.4)) == pytest.approx(np.full((2, 3), 0.4))
    assert areas(np.linspace(0, 1, STEPS + 1)) == pytest.approx(0.5)


def rows(measure, values, method, what=""):
    names = [f"image {number}" for number in range(len(values))]
    known = {"image_id": names, "patient_id": names, "measure": measure, "what": what, "method": method}
    return pd.DataFrame(known | {"value": values})


def test_means_are_over_images_and_flat_maps_are_left_out():
    table = pd.concat(
        [
            rows("correlation", [0.5, np.nan, 0.7] * 5, "occlusion", HEAD),
            rows("correlation", [np.nan] * 15, "grad_cam", HEAD),
            rows("deletion", [0.1, 0.2, 0.3] * 5, "occlusion"),
            rows("insertion", [0.6, 0.7, 0.8] * 5, "occlusion"),
        ]
    )
    found = sanity(table, SETTINGS)
    assert (found.images, found.patients) == (15, 15)
    assert found.correlation[HEAD]["occlusion"].value == pytest.approx(0.6)
    assert found.correlation[HEAD]["grad_cam"] is None
    assert found.curves["occlusion"].deletion.value == pytest.approx(0.2)
    assert found.curves["occlusion"].insertion.low <= 0.7 <= found.curves["occlusion"].insertion.high
    few = sanity(table[table["image_id"].isin(["image 0", "image 2"])], SETTINGS)
    assert few.correlation[HEAD]["occlusion"] == pytest.approx(0.6)  # of two patients there is no interval
    assert sanity(table[:0], SETTINGS) is None

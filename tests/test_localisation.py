"""Maps against masks: the measures by hand, planted truths, and the baselines that know nothing."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from deepcovid.heatmaps.localisation import (
    CENTRE,
    OCCLUSION,
    RANDOM,
    Located,
    Measures,
    auc,
    baselines,
    heat_inside,
    localised,
    pointing_game,
)
from deepcovid.heatmaps.occlusion import Window, occlusion
from deepcovid.report import tables
from deepcovid.settings.analyses import EvaluateSettings, FeatureSettings
from deepcovid.sources.phantom.population import patient_images
from deepcovid.statistics.bootstrap import FEWEST_PATIENTS
from deepcovid.statistics.estimate import Estimate, read_result, write_result
from tests.phantoms import patient, phantom_source
from tests.radiographs import decode, framed

BOOTSTRAP = EvaluateSettings(bootstrap_samples=300, bootstrap_seed=1)


def corner(height=4, width=5):
    mask = np.zeros((height, width), bool)
    mask[:2, :2] = True
    return mask


def test_the_pointing_game_asks_where_the_maximum_lies():
    heat = np.zeros((4, 5), np.float32)
    heat[1, 1] = 1
    assert pointing_game(heat, corner()) == 1
    heat[3, 3] = 2
    assert pointing_game(heat, corner()) == 0


def test_tied_maxima_score_what_one_of_them_picked_by_chance_would():
    heat = np.full((4, 5), -1, np.float32)
    heat[1, :4] = 3
    assert pointing_game(heat, corner()) == 0.5
    assert pointing_game(np.zeros((4, 5), np.float32), corner()) == 4 / 20


def test_only_positive_heat_has_a_share_inside():
    heat = np.full((4, 5), -9, np.float32)
    heat[0, 0], heat[3, 3] = 3, 1
    assert heat_inside(heat, corner()) == 0.75
    assert np.isnan(heat_inside(np.minimum(heat, 0), corner()))


@given(seed=st.integers(0, 200), levels=st.integers(1, 5))
def test_the_auc_is_the_share_of_pairs_in_order_ties_counting_half(seed, levels):
    rng = np.random.default_rng(seed)
    heat, mask = rng.integers(0, levels, (4, 5)).astype(np.float32), corner()
    pairs = np.sign(heat[mask][:, None] - heat[~mask][None])
    assert auc(heat, mask) == pytest.approx(((pairs + 1) / 2).mean())


@given(seed=st.integers(0, 100), height=st.integers(3, 9), width=st.integers(3, 9))
def test_baselines_repeat_and_the_blob_is_hottest_in_the_middle(seed, height, width):
    found = baselines(3, height, width, seed)
    centre = found["centre"]
    assert centre.shape == found["random"].shape == (3, height, width)
    np.testing.assert_allclose(centre, centre[:, ::-1, ::-1])
    assert centre[0, height // 2, width // 2] == centre.max()
    assert centre[0, 0, 0] == centre.min()
    assert np.array_equal(found["random"], baselines(3, height, width, seed)["random"])
    assert not np.array_equal(found["random"][0], found["random"][1])


def half_masks(images):
    masks = np.zeros((images, 20, 20), bool)
    for number, mask in enumerate(masks):
        mask[number % 10 : number % 10 + 8, :10] = True
    return masks


def test_a_mean_its_interval_and_its_difference_to_the_centre():
    masks, rng = half_masks(24), np.random.default_rng(0)
    maps = rng.random((24, 20, 20)).astype(np.float32) + 0.3 * masks
    patient = pd.Series([f"p{number // 2}" for number in range(24)])
    found = localised({"heat": maps}, masks, patient, 5, BOOTSTRAP)
    assert (found.images, found.patients) == (24, 12)
    assert found.mask_share == pytest.approx(masks.mean(), abs=1e-6)
    assert set(found.methods) == {"heat", CENTRE, RANDOM}
    centre = baselines(24, 20, 20, 5)["centre"]
    for name, of in (("pointing_game", pointing_game), ("heat_inside", heat_inside), ("auc", auc)):
        own, others = (np.array([of(*pair) for pair in zip(part, masks, strict=True)]) for part in (maps, centre))
        got, less = getattr(found.methods["heat"], name), getattr(found.methods["heat"].minus_centre, name)
        assert got.value == pytest.approx(own.mean(), abs=1e-6)
        assert less.value == pytest.approx((own - others).mean(), abs=1e-6)
        # Patients are drawn: here each has two images, so their means are drawn.
        draws = own.reshape(12, 2).mean(axis=1)[np.random.default_rng(9).integers(0, 12, (4000, 12))].mean(axis=1)
        np.testing.assert_allclose((got.low, got.high), np.quantile(draws, [0.025, 0.975]), atol=0.03)
        assert less.low <= less.value <= less.high
    assert found.methods[CENTRE].minus_centre is None
    assert found == localised({"heat": maps}, masks, patient, 5, BOOTSTRAP)


def test_images_of_one_patient_count_as_one_draw():
    masks, rng = half_masks(20), np.random.default_rng(0)
    maps = rng.random((20, 20, 20)).astype(np.float32)

    def width(patient):
        found = localised({"heat": maps}, masks, pd.Series(patient), 5, BOOTSTRAP)
        area = found.methods[CENTRE].auc
        return found.patients, area.high - area.low

    (few, wide), (many, narrow) = width([f"p{n % 10}" for n in range(20)]), width([""] * 20)
    assert (few, many) == (10, 20)
    assert wide > narrow


def test_maps_without_positive_heat_are_counted_and_left_out_of_the_share():
    masks = half_masks(11)
    maps = np.where(masks, 1, 0).astype(np.float32)
    maps[10] = -1
    patient = pd.Series([f"p{number}" for number in range(11)])
    found = localised({"heat": maps}, masks, patient, 0, BOOTSTRAP).methods["heat"]
    assert found.without_heat == 1
    assert found.heat_inside == Estimate(value=1, low=1, high=1)
    assert found.pointing_game.value == pytest.approx((10 + masks[10].mean()) / 11, abs=1e-6)
    cold = localised({"heat": np.minimum(maps, 0)}, masks, patient, 0, BOOTSTRAP).methods["heat"]
    assert cold.without_heat == 11
    assert cold.heat_inside is cold.minus_centre.heat_inside is None


def test_one_patient_has_values_but_no_intervals(tmp_path):
    masks = half_masks(2)
    found = localised({"heat": masks.astype(np.float32)}, masks, pd.Series(["a", "a"]), 0, BOOTSTRAP)
    assert found.methods["heat"].auc == 1.0
    write_result(tmp_path / "located.json", found)
    assert read_result(tmp_path / "located.json", Located) == found


@pytest.mark.parametrize("patients", [FEWEST_PATIENTS - 1, FEWEST_PATIENTS])
def test_there_are_intervals_from_ten_patients_on_and_it_is_said_where_there_are_none(patients):
    masks = half_masks(patients)
    maps = np.random.default_rng(0).random(masks.shape, np.float32)
    found = localised({"heat": maps}, masks, pd.Series([f"{one}" for one in range(patients)]), 0, BOOTSTRAP)
    heat, enough = found.methods["heat"], patients >= FEWEST_PATIENTS
    for measured in (heat, heat.minus_centre):
        assert {type(getattr(measured, name)) for name in Measures.model_fields} == {Estimate if enough else float}
    named = found.model_copy(update={"methods": {"occlusion": heat}})
    assert (" to " in str(tables.located(named).rows)) == enough


def test_a_measure_that_few_patients_have_is_without_an_interval():
    masks, patients = half_masks(12), pd.Series([f"{one}" for one in range(12)])
    maps = np.random.default_rng(0).random(masks.shape, np.float32)
    maps[3:] -= 1  # no positive heat
    heat = localised({"heat": maps}, masks, patients, 0, BOOTSTRAP).methods["heat"]
    assert heat.without_heat == 9
    assert isinstance(heat.heat_inside, float)
    assert isinstance(heat.auc, Estimate)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_maps_that_are_not_finite_or_do_not_fit_the_masks_are_refused(refused, bad):
    masks, patient = half_masks(2), pd.Series(["a", "b"])
    with refused("heat: maps of shape (2, 20, 21) and masks of shape (2, 20, 20)"):
        localised({"heat": np.zeros((2, 20, 21), np.float32)}, masks, patient, 0, BOOTSTRAP)
    broken = np.zeros((2, 20, 20), np.float32)
    broken[1, 3, 4] = bad
    with refused("heat: a map is not finite", "make the maps anew"):
        localised({"heat": broken}, masks, patient, 0, BOOTSTRAP)


def test_noise_is_at_chance_within_its_interval():
    masks = half_masks(400)
    found = localised({}, masks, pd.Series([""] * 400), 4, BOOTSTRAP)
    noise, chance = found.methods[RANDOM], found.mask_share
    for measure, expected in (("pointing_game", chance), ("heat_inside", chance), ("auc", 0.5)):
        own = getattr(noise, measure)
        assert own.low <= expected <= own.high
    assert noise.pointing_game.high - noise.pointing_game.low < 0.1


@pytest.fixture(scope="module")
def phantoms():
    """COVID phantoms of 224 x 224 pixels with their lesions, as (images, masks)."""
    drawn = [patient_images(phantom_source(), patient(number, "covid"))[0] for number in range(10)]
    pairs = [[decode(phantom.file), np.asarray(framed(Image.fromarray(phantom.mask)))] for phantom in drawn]
    return [np.stack(parts) for parts in zip(*pairs, strict=True)]


def test_a_score_of_brightness_in_the_lesion_is_traced_to_it_and_noise_is_at_chance(phantoms):
    """What the score looks at is known: occlusion must find it, however little a lesion stands out."""
    pixels, masks = phantoms
    settings = FeatureSettings(device="cpu", precision="fp32", batch_size=50)
    maps = []
    for image, mask in zip(pixels, masks, strict=True):
        inside = mask.ravel()

        def score(features, inside=inside):
            return features.reshape(len(features), 3, -1)[:, 0, inside].astype(np.float64).sum(axis=1)

        # Darker than any lesion, so that brightness can only fall.
        maps += occlusion(nn.Flatten(), image[None, ..., None], score, Window(16, 16, 0), settings)
    found = localised({OCCLUSION: np.array(maps)}, masks, pd.Series([""] * len(masks)), 0, BOOTSTRAP)
    chance, own, noise = found.mask_share, found.methods[OCCLUSION], found.methods[RANDOM]
    assert own.pointing_game.value > 0.95
    assert own.heat_inside.low > 2.5 * chance
    assert own.auc.low > 0.95
    assert own.minus_centre.auc.low > 0.1
    assert noise.heat_inside.value == pytest.approx(chance, abs=0.005)
    assert noise.auc.value == pytest.approx(0.5, abs=0.01)

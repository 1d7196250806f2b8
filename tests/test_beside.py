"""Maps of images with and without COVID-19: what they have in common."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from deepcovid.heatmaps.beside import OTHER, OWN, WITH, Group, Mapped, MapsBeside, groups
from deepcovid.settings.analyses import EvaluateSettings

SETTINGS = EvaluateSettings(bootstrap_samples=200, bootstrap_seed=0)
SIDE = 12


def mapped(maps, patients=None):
    """Images with these maps by both methods, each of another patient if they are not named."""
    names = np.array(patients or [f"patient {number}" for number in range(len(maps))], dtype=object)
    maps = np.asarray(maps, dtype=np.float32)
    return Mapped({"occlusion": maps, "grad_cam": maps}, names, np.arange(len(maps)) % 2 == 0)


def random_maps(count, seed):
    return np.random.default_rng(seed).normal(size=(count, SIDE, SIDE))


def test_a_map_is_compared_with_the_mean_map_of_other_patients():
    covid = mapped(random_maps(4, 0), ["a", "a", "b", "c"])
    found = groups({WITH: covid, OWN: mapped(random_maps(12, 1))}, SETTINGS)
    maps = covid.maps["occlusion"]
    expected = [
        spearmanr(maps[place].ravel(), maps[others].mean(axis=0).ravel()).statistic
        for place, others in enumerate(([2, 3], [2, 3], [0, 1, 3], [0, 1, 2]))
    ]
    # Three patients are too few for an interval.
    assert found[WITH].alike["occlusion"] == pytest.approx(np.mean(expected), abs=1e-6)
    assert (found[WITH].images, found[WITH].patients, found[WITH].called) == (4, 3, 2)
    own = found[OWN].alike["occlusion"]
    assert own.low < own.value < own.high
    assert own.value == pytest.approx(
        np.mean([spearmanr(heat.ravel(), maps.mean(axis=0).ravel()).statistic for heat in random_maps(12, 1)]),
        abs=1e-6,
    )


def test_the_share_of_the_heat_in_the_middle_is_of_a_square_of_half_the_side():
    middle = np.zeros((SIDE, SIDE))
    middle[3:9, 3:9] = 1
    heat = np.stack([middle, 1 - middle, np.ones((SIDE, SIDE))] * 4)
    found = groups({WITH: mapped(random_maps(3, 0)), OTHER: mapped(heat)}, SETTINGS)[OTHER]
    assert found.middle["grad_cam"].value == pytest.approx((1 + 0 + 0.25) / 3)


def test_without_another_patient_with_covid_nothing_is_compared():
    found = groups({WITH: mapped(random_maps(2, 0), ["a", "a"])}, SETTINGS)[WITH]
    assert found.alike == {"occlusion": None, "grad_cam": None}


@pytest.mark.parametrize("count", [0, 1])
def test_few_images_with_covid_or_none_are_no_error(count):
    found = groups({WITH: mapped(random_maps(count, 0)), OWN: mapped(random_maps(3, 1))}, SETTINGS)
    assert found[WITH].images == count
    assert found[OWN].alike["occlusion"] is None or count


def group(alike):
    return Group(images=12, patients=12, called=3, alike={"occlusion": alike}, middle={"occlusion": None})


def test_the_sentence_has_all_three_groups_or_there_is_none():
    found = MapsBeside(heads="own", images="theirs", model="resnet18", recipe="paper", groups={})
    assert found.sentence() == ""
    full = found.model_copy(update={"groups": {WITH: group(0.61), OTHER: group(0.55), OWN: group(-0.2)}})
    assert "without COVID-19 of theirs correlate with it by 0.55" in full.sentence()
    assert "those of own by -0.20" in full.sentence()
    without = full.model_copy(update={"groups": full.groups | {OWN: group(None)}})
    assert without.sentence() == ""

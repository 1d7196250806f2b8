import hashlib
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import pearsonr

from deepcovid import sources
from deepcovid.fetching import mirror_folders
from deepcovid.settings import PhantomSource
from deepcovid.sources.phantom import lesions
from deepcovid.sources.phantom.anatomy import Patient, Pose, chest, ellipsoid
from deepcovid.sources.phantom.imaging import BONE, LUNG, PHOTONS, SOFT_TISSUE, Exposure, image
from deepcovid.sources.phantom.population import patient_images, population

SOURCE = PhantomSource(
    kind="phantom",
    seed=3,
    height=224,
    patients={"covid": 6, "normal": 4, "other": 6},
    repeat_share=0.5,
    views={"AP": 0.5, "PA": 0.2, "L": 0.2, "Axial": 0.1},
)
AVERAGE = Patient(size=1.0, width=1.0, depth=20.0, heart=1.0, ribs=1.0)


def pose(view):
    return Pose(view=view, rotation=0.0, shift=(0.0, 0.0), breath=0.9)


def test_an_ellipsoids_chords_add_up_to_its_volume():
    y, x = np.mgrid[-6:6:1200j, -6:6:1200j]
    volume = ellipsoid(x, y, (3.0, 4.0, 5.0)).sum() * (12 / 1199) ** 2
    assert volume == pytest.approx(4 / 3 * np.pi * 3 * 4 * 5, rel=1e-3)


def test_the_same_source_gives_the_same_bytes_whatever_the_workers(tmp_path):
    digests = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        table, provenance = sources.prepare(SOURCE, tmp_path / name, tmp_path, None)
        assert len(table) == provenance["images"]
        digests.add(hashlib.sha256((tmp_path / name / "phantom.zip").read_bytes()).hexdigest())
    one = [phantom.pixels for patient in population(SOURCE, 1) for phantom in patient]
    two = [phantom.pixels for patient in population(SOURCE, 2) for phantom in patient]
    assert all((a == b).all() for a, b in zip(one, two, strict=True))
    assert len(digests) == 1


def test_a_mirror_that_is_not_there_stops_no_phantom(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPCOVID_MIRROR", str(tmp_path / "nowhere"))
    table, _ = sources.prepare(SOURCE, tmp_path, tmp_path, mirror_folders())
    assert len(table) > 0


def test_another_seed_gives_other_images():
    other = SOURCE.model_copy(update={"seed": 4})
    assert (
        patient_images(SOURCE, 0, "covid")[0].pixels.shape != patient_images(other, 0, "covid")[0].pixels.shape
    ) or (patient_images(SOURCE, 0, "covid")[0].pixels != patient_images(other, 0, "covid")[0].pixels).any()


def test_the_heart_is_larger_on_an_ap_image_than_on_a_pa_one():
    area = {view: (chest(256, 256, AVERAGE, pose(view)).heart > 0).sum() for view in ("AP", "PA")}
    # Source 100 cm and heart 13 cm from the detector, against 180 and 5: magnified 1.149 and 1.029, squared.
    assert area["AP"] / area["PA"] == pytest.approx((100 / 87) ** 2 / (180 / 175) ** 2, rel=0.05)


def test_an_ap_image_is_noisier_than_a_pa_one():
    def noise(view):
        body, exposure = chest(256, 256, AVERAGE, pose(view)), Exposure(1.0, (1.0, 99.0), 1.0)
        takes = [image(np.random.default_rng([1, n]), body, view, exposure).astype(float) for n in range(2)]
        # Lung texture is redrawn too; noise is measured over the abdomen, where there is no lung.
        return np.std((takes[0] - takes[1])[235:, 100:150])

    assert PHOTONS["AP"] < PHOTONS["PA"]
    assert noise("AP") > 1.3 * noise("PA")


def test_transmission_follows_beer_and_lambert():
    body = chest(128, 128, AVERAGE, pose("Axial"))  # no scatter in this view
    flat = replace(body, lung=np.zeros_like(body.lung), bone=np.zeros_like(body.bone))
    shown = image(np.random.default_rng(0), flat, "Axial", Exposure(1e6, (0.0, 100.0), 1.0)).astype(float)
    expected = SOFT_TISSUE * flat.tissue
    assert pearsonr(shown.ravel(), expected.ravel()).statistic > 0.9999
    assert LUNG < SOFT_TISSUE < BONE


def test_lesions_of_covid_lie_in_both_lungs_towards_the_edge_and_the_base():
    body = chest(256, 256, AVERAGE, pose("AP"))
    drawn = [lesions.mask_of(lesions.covid(np.random.default_rng(n), body, 0.6)) for n in range(20)]
    for mask in drawn:
        assert not mask[body.lung <= 0].any()
        assert mask[body.x < 0].any()
        assert mask[body.x > 0].any()
    share = np.mean(drawn, axis=0)
    in_lung = body.lung > 2
    assert share[in_lung & (body.periphery > 0.5)].mean() > 2 * share[in_lung & (body.periphery < 0.2)].mean()
    assert share[in_lung & (body.y > 0)].mean() > share[in_lung & (body.y < -5)].mean()


@pytest.mark.parametrize("draw", [lesions.covid, lesions.consolidation, lesions.effusion, lesions.nodules])
def test_a_lesion_fills_no_more_lung_than_there_is(draw):
    body = chest(200, 220, AVERAGE, pose("AP"))
    lesion = draw(np.random.default_rng(0), body, 1.0)
    assert (lesion >= 0).all()
    assert (lesion <= body.lung + 1e-5).all()
    assert lesions.mask_of(lesion).any()


def test_the_catalogue_has_three_groups_repeats_laterals_and_slices_with_masks_beside(tmp_path):
    many = SOURCE.model_copy(update={"patients": {"covid": 30, "normal": 30, "other": 30}})
    rows = [p for patient in population(many, 2) for p in patient]
    assert {p.row["label"] for p in rows} == {"covid", "non"}
    assert {p.row["view"] for p in rows} == {"AP", "PA", "L", "Axial"}
    assert {p.row["modality"] for p in rows if p.row["view"] == "Axial"} == {"CT"}
    assert len({p.row["patient_id"] for p in rows}) == 90 < len(rows)
    for phantom in rows:
        assert phantom.mask.shape == phantom.pixels.shape
        if phantom.row["finding"] == "No Finding":
            assert not phantom.mask.any()
        elif phantom.row["view"] in ("AP", "PA"):
            assert phantom.mask.any()

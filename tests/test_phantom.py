import hashlib
from collections import Counter
from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr

from deepcovid import sources
from deepcovid.fetching import mirror_folders
from deepcovid.sources.phantom import lesions, population
from deepcovid.sources.phantom.anatomy import Patient, Pose, chest, ellipsoid
from deepcovid.sources.phantom.imaging import BONE, LUNG, PHOTONS, SOFT_TISSUE, Exposure, image
from deepcovid.sources.phantom.population import patient_images, planned
from deepcovid.sources.phantom.processing import MACHINES, Processing, drawn, processed
from tests.checkouts import settings_of
from tests.phantoms import GROUPS, counts, patient, phantom_source, pixels_of

APART = {"covid": "A", "normal": "B", "other": "B"}
SWAPPED = {"covid": "B", "normal": "A", "other": "A"}
VIEWS = {"AP": 0.5, "PA": 0.2, "L": 0.2, "Axial": 0.1}
SOURCE = phantom_source(
    height=128,
    images={"train": counts(4, 4, 4), "test": counts(4, 3, 3)},
    collections=APART,
    lesion=0.5,
    shortcut=1.0,
    repeat_share=0.5,
    views=VIEWS,
)
PLAIN = Processing(0.0, 0.0, 1.0, 0.0, marker=False, writing=False, size=1.0, quality=92)
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
    patients = planned(SOURCE)
    assert len(patients) > population.TOGETHER  # more than one worker gets at a time
    one = list(population.population(patients, SOURCE, workers=1))
    two = list(population.population(patients, SOURCE, workers=2))
    for alone, shared in zip(one, two, strict=True):
        for a, b in zip(alone, shared, strict=True):
            assert (a.row, a.file, a.mask.tobytes()) == (b.row, b.file, b.mask.tobytes())
    assert len(digests) == 1


def test_a_mirror_that_is_not_there_stops_no_phantom(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPCOVID_MIRROR", str(tmp_path / "nowhere"))
    table, _ = sources.prepare(SOURCE, tmp_path, tmp_path, mirror_folders())
    assert len(table) > 0


def test_another_seed_gives_other_patients_with_other_images():
    one, other = (patient_images(phantom_source(seed=seed), patient(0, "covid"))[0] for seed in (3, 4))
    assert one.file != other.file
    assert one.row["patient_id"] != other.row["patient_id"]
    assert one.row["image_id"] != other.row["image_id"]


def of_view(patients, view="AP"):
    """Numbers of images of a view, by side and group."""
    found = Counter()
    for each in patients:
        found[each.side, each.group] += each.views.count(view)
    return found


def test_the_numbers_are_the_papers_to_the_image(params):
    patients = planned(settings_of(params).dataset["phantom"].source)
    found = of_view(patients)
    assert {key: found["train", key] for key in GROUPS} == {"covid": 84, "normal": 700, "other": 1300}
    assert {key: found["test", key] for key in GROUPS} == {"covid": 100, "normal": 1700, "other": 1300}
    assert [found[side, "normal"] + found[side, "other"] for side in ("train", "test")] == [2000, 3000]
    assert len(patients) < found.total()  # some have several images
    assert [each.number for each in patients] == list(range(len(patients)))  # each patient is on one side
    assert all(of_view(patients, view).total() > 0 for view in ("PA", "L", "Axial"))


sizes = st.builds(counts, st.integers(1, 9), st.integers(0, 9), st.integers(1, 9))


@given(
    train=sizes,
    test=sizes,
    seed=st.integers(0, 2**32 - 1),
    repeat_share=st.floats(0, 1),
    frontal=st.floats(0.1, 1),
)
def test_numbers_are_exact_whoever_is_drawn_and_no_patient_is_on_both_sides(train, test, seed, repeat_share, frontal):
    views = {"AP": frontal, "L": 1 - frontal}
    source = phantom_source(seed=seed, images={"train": train, "test": test}, repeat_share=repeat_share, views=views)
    patients = planned(source)
    found = of_view(patients)
    for side, wanted in (("train", train), ("test", test)):
        assert {group: found[side, group] for group in GROUPS} == wanted
    assert [each.number for each in patients] == list(range(len(patients)))
    assert all(1 <= len(each.views) <= 3 for each in patients)


def test_the_catalogue_has_the_wanted_images_on_their_sides(tmp_path):
    table, _ = sources.prepare(SOURCE, tmp_path, tmp_path, None)
    found = table[table["view"] == "AP"].groupby(["published_split", "label"]).size().to_dict()
    assert found == {("train", "covid"): 4, ("train", "non"): 8, ("test", "covid"): 4, ("test", "non"): 6}
    assert (table.groupby("patient_id")["published_split"].nunique() == 1).all()
    assert (table["collection"] == np.where(table["label"] == "covid", "A", "B")).all()
    assert table["patient_id"].str.startswith("phantom-3-").all()


@pytest.mark.parametrize(("dial", "values"), [("lesion", (0.0, 0.3, 1.0)), ("shortcut", (0.0, 1.0, 2.0))])
@pytest.mark.parametrize("group", GROUPS)
def test_a_dial_changes_no_patient(group, dial, values):
    """Patients, views, sexes, ages and findings; and nothing but what the dial is about."""
    sets = [
        [phantom for each in few(group) for phantom in patient_images(SOURCE.model_copy(update={dial: value}), each)]
        for value in values
    ]
    for same in zip(*sets, strict=True):
        first = same[0]
        assert all(phantom.row == first.row for phantom in same)
        files = {phantom.file for phantom in same}
        masks = {phantom.mask.sum() for phantom in same}
        if dial == "shortcut":
            assert len(files) == (3 if first.row["collection"] == "A" else 1)
            assert all(bool(mask) == bool(first.mask.any()) for mask in masks)
        else:
            assert len(files) == (1 if first.row["finding"] == "No Finding" else 3)
            assert len({phantom.mask.shape for phantom in same}) == 1
            assert not first.mask.any()


def few(group):
    """Some patients of a group, with two images each."""
    return [patient(number, group, ("AP", "PA")) for number in range(4)]


@pytest.fixture
def seen(monkeypatch):
    """What the functions that draw are called with, by their names in population.py: the first arguments."""
    calls = {"chest": [], "image": [], "processed": []}
    for name, taken in calls.items():
        original = getattr(population, name)

        def call(*arguments, taken=taken, original=original):
            result = original(*arguments)
            taken.append((*arguments, result))
            return result

        monkeypatch.setattr(population, name, call)
    return calls


@pytest.mark.parametrize("group", GROUPS)
def test_without_lesions_the_rays_meet_a_healthy_chest_and_no_mask_shows_anything(seen, group):
    source = SOURCE.model_copy(update={"lesion": 0.0})
    drawn_phantoms = [phantom for each in few(group) for phantom in patient_images(source, each)]
    assert len(drawn_phantoms) == 8
    assert not any(phantom.mask.any() for phantom in drawn_phantoms)
    for (*_, healthy), (_, shown, *_) in zip(seen["chest"], seen["image"], strict=True):
        assert all(np.array_equal(one, other) for one, other in zip(astuple(healthy), astuple(shown), strict=True))
    hearts = {body.heart for _, _, body, *_ in seen["chest"]}
    seen["chest"].clear()
    for each in few(group):
        patient_images(phantom_source(), each)
    enlarged = {body.heart for _, _, body, *_ in seen["chest"]} - hearts
    findings = {phantom.row["finding"] for phantom in drawn_phantoms}
    assert bool(enlarged) == ("Cardiomegaly" in findings)


def test_without_lesions_a_covid_and_a_normal_patient_of_one_number_have_one_chest(seen):
    source = phantom_source(lesion=0.0)
    for group in ("covid", "normal"):
        patient_images(source, patient(5, group))
    (_, covid, *_), (_, normal, *_) = seen["image"]
    assert all(np.array_equal(one, other) for one, other in zip(astuple(covid), astuple(normal), strict=True))


@pytest.mark.parametrize("collection", ["A", "B"])
def test_the_processing_does_not_depend_on_the_label(seen, collection):
    """Border, marker, writing and all the rest: of one collection, and of one number, they are the same."""
    source = SOURCE.model_copy(update={"collections": dict.fromkeys(GROUPS, collection), "shortcut": 2.0})
    of_groups = {}
    for group in GROUPS:
        for number in range(20):
            patient_images(source, patient(number, group))
        of_groups[group] = [processing for _, processing, _ in seen["processed"]]
        seen["processed"].clear()
    assert of_groups["covid"] == of_groups["normal"] == of_groups["other"]
    assert len({part.marker for part in of_groups["covid"]}) == 2


@pytest.mark.parametrize(("shortcut", "alike"), [(0.0, True), (0.5, False), (1.0, False)])
@pytest.mark.parametrize("group", GROUPS)
def test_the_collections_are_alike_where_the_dial_says_so(group, shortcut, alike):
    apart, swapped = (
        patient_images(SOURCE.model_copy(update={"shortcut": shortcut, "collections": collections}), few(group)[0])
        for collections in (APART, SWAPPED)
    )
    for one, other in zip(apart, swapped, strict=True):
        assert (one.file == other.file) == alike
        assert {one.row["collection"], other.row["collection"]} == {"A", "B"}


def test_what_collection_a_does_again_grows_with_the_dial():
    for seed in range(20):
        own, *again = (
            drawn(np.random.default_rng(seed), MACHINES[seed % 4], "A", shortcut) for shortcut in (0.0, 0.5, 1.0, 2.0)
        )
        assert own == drawn(np.random.default_rng(seed), MACHINES[seed % 4], "B", 2.0)
        sharpened, contrasts = ([getattr(part, name) for part in (own, *again)] for name in ("sharpening", "contrast"))
        for values in (sharpened, contrasts):
            steps = np.array(values) - values[0]
            assert steps == pytest.approx(steps[2] * np.array([0, 0.5, 1, 2]))
            assert steps[2] > 0
        assert [part.quality for part in (own, *again)] == sorted(
            (part.quality for part in (own, *again)), reverse=True
        )


def test_an_image_that_nothing_is_done_to_stays_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (128, 140), dtype=np.uint8)
    assert np.array_equal(processed(pixels, PLAIN), pixels)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (
            {"border": 0.05},
            lambda row, column: np.minimum(np.minimum(row, 199 - row), np.minimum(column, 219 - column)),
        ),
        ({"marker": True}, lambda row, column: np.maximum(row, column)),
        ({"writing": True}, lambda row, column: np.maximum(199 - row, (219 - column) / 2)),
    ],
    ids=["border", "marker", "writing"],
)
def test_border_marker_and_writing_stand_at_the_edge(change, where):
    pixels = np.full((200, 220), 100, np.uint8)
    changed = processed(pixels, replace(PLAIN, **change)) != pixels
    distance = where(*np.mgrid[:200, :220])
    assert changed.any()
    assert not changed[distance >= 40].any()
    if "border" in change:
        assert np.array_equal(changed, distance < 10)


def test_an_image_is_stored_in_another_size_and_its_mask_too():
    pixels = np.full((200, 220), 100, np.uint8)
    assert processed(pixels, replace(PLAIN, size=1.25)).shape == (250, 275)
    source = phantom_source(collections=dict.fromkeys(GROUPS, "A"), shortcut=1.0)
    heights = set()
    for number in range(5):
        (phantom,) = patient_images(source, patient(number, "covid"))
        assert phantom.mask.shape == pixels_of(phantom).shape
        heights.add(len(phantom.mask))
    assert len(heights) > 1


def test_the_heart_is_larger_on_an_ap_image_than_on_a_pa_one():
    area = {view: (chest(256, 256, AVERAGE, pose(view)).heart > 0).sum() for view in ("AP", "PA")}
    # Source 100 cm and heart 13 cm from the detector, against 180 and 5: magnified 1.149 and 1.029, squared.
    assert area["AP"] / area["PA"] == pytest.approx((100 / 87) ** 2 / (180 / 175) ** 2, rel=0.05)


def test_an_ap_image_is_noisier_than_a_pa_one():
    def noise(view):
        body, exposure = chest(256, 256, AVERAGE, pose(view)), Exposure(1.0, (1.0, 99.0), 1.0, 0.0)
        takes = [image(np.random.default_rng([1, n]), body, view, exposure).astype(float) for n in range(2)]
        # Lung texture is redrawn too; noise is measured over the abdomen, where there is no lung.
        return np.std((takes[0] - takes[1])[235:, 100:150])

    assert PHOTONS["AP"] < PHOTONS["PA"]
    assert noise("AP") > 1.3 * noise("PA")


def test_transmission_follows_beer_and_lambert():
    body = chest(128, 128, AVERAGE, pose("Axial"))  # no scatter in this view
    flat = replace(body, lung=np.zeros_like(body.lung), bone=np.zeros_like(body.bone))
    shown = image(np.random.default_rng(0), flat, "Axial", Exposure(1e6, (0.0, 100.0), 1.0, 0.0)).astype(float)
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


def test_the_catalogue_has_three_groups_repeats_laterals_and_slices_with_masks_beside():
    counted = {"train": counts(10, 10, 10), "test": counts(5, 5, 5)}
    patients = planned(SOURCE.model_copy(update={"images": SOURCE.images.model_validate(counted), "lesion": 1.0}))
    full = SOURCE.model_copy(update={"lesion": 1.0})
    rows = [phantom for phantoms in population.population(patients, full, 2) for phantom in phantoms]
    assert {p.row["label"] for p in rows} == {"covid", "non"}
    assert {p.row["view"] for p in rows} == {"AP", "PA", "L", "Axial"}
    assert {p.row["modality"] for p in rows if p.row["view"] == "Axial"} == {"CT"}
    assert len({p.row["patient_id"] for p in rows}) == len(patients) < len(rows)
    assert {p.row["finding"] for p in rows} == {"COVID-19", "No Finding", *lesions.OTHER_FINDINGS}
    for phantom in rows:
        assert phantom.mask.shape == pixels_of(phantom).shape
        if phantom.row["finding"] == "No Finding":
            assert not phantom.mask.any()
        elif phantom.row["view"] in ("AP", "PA"):
            assert phantom.mask.any()

"""The same heads on changed images: the changes, what they do to log-odds, and how a phantom's score splits."""

import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy.ndimage import gaussian_filter

from deepcovid.audits.changed import OTHER_FRAME, Changed, OfNet, figure, parts, shift
from deepcovid.drawing.steps import Step
from deepcovid.images.changes import as_sharp_as, blurred, centre, composed, saved_again, without_margins
from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.sources.phantom.population import patient_images, planned
from deepcovid.sources.phantom.redrawn import Variant, redrawn
from deepcovid.statistics.bootstrap import FEWEST_PATIENTS
from stages._changed import of_other_patients
from tests.phantoms import phantom_source

SETTINGS = EvaluateSettings(bootstrap_samples=200, bootstrap_seed=0)
KEYS = [(True, True), (True, False), (False, True), (False, False)]
PATIENTS = pd.Series([f"p{number // 2}" for number in range(40)])


def noise(count=2, channels=1, side=32):
    return np.random.default_rng(0).integers(0, 256, (count, side, side, channels), dtype=np.uint8)


def test_composed_images_have_the_middle_of_one_and_the_frame_of_the_other():
    inside, outside = noise(), 255 - noise()
    mask = centre(32, 0.75)
    assert mask.sum() == 24**2
    found = composed(inside, outside, np.broadcast_to(mask, (2, 32, 32)))
    assert (found[:, mask] == inside[:, mask]).all()
    assert (found[:, ~mask] == outside[:, ~mask]).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_images_saved_again_are_what_pillow_reads_back(channels):
    images = noise(channels=channels)
    for image, found in zip(images, saved_again(images, 60), strict=True):
        stream = io.BytesIO()
        Image.fromarray(image.squeeze()).save(stream, "JPEG", quality=60)
        assert (np.asarray(Image.open(stream)) == found.squeeze()).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_blurring_keeps_the_mean_and_takes_what_is_fine(channels):
    images = noise(channels=channels)
    found = blurred(images, 2)
    assert (found.shape, found.dtype) == (images.shape, np.uint8)
    assert found.mean() == pytest.approx(images.mean(), abs=1)
    assert found.std() < images.std() / 3
    assert (blurred(np.full_like(images, 7), 2) == 7).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_without_margins_the_middle_fills_the_image(channels):
    images = np.zeros((1, 40, 40, channels), np.uint8)
    images[:, 4:36, 4:36] = 200
    assert (without_margins(images, 0.1) == 200).all()
    assert (without_margins(noise(channels=channels), 0) == noise(channels=channels)).all()


def test_a_shift_is_the_mean_difference_with_an_interval_over_patients():
    rng = np.random.default_rng(0)
    before, after = rng.normal(size=(2, 40))
    found = shift(before, after, PATIENTS, 0.5, SETTINGS)
    assert (found.images, found.patients) == (40, 20)
    assert found.before == pytest.approx(before.mean(), abs=1e-6)
    assert found.change.value == pytest.approx((after - before).mean(), abs=1e-6)
    deviation = pd.Series(after - before).groupby(PATIENTS).mean().std() / np.sqrt(20)
    assert (found.change.high - found.change.low) / 2 == pytest.approx(1.96 * deviation, rel=0.25)
    assert (found.called_before, found.called) == ((before >= 0.5).sum(), (after >= 0.5).sum())


def test_of_few_patients_there_is_no_interval_and_that_is_said():
    few = FEWEST_PATIENTS - 1
    one = shift(np.zeros(few), np.ones(few), PATIENTS[::2][:few], 0.5, SETTINGS)
    assert one.change is None
    found = Changed(recipe="paper", nets={"resnet18": OfNet(shifts={OTHER_FRAME: one})})
    assert list(found.sentences()) == []
    (block,) = found.blocks(Step("changed", "", {}, (), ()))
    assert block.folded.rows[0][3] == f"fewer than {FEWEST_PATIENTS} patients"


numbers = arrays(np.float64, 40, elements=st.floats(-20, 20))


@given(values=st.tuples(numbers, numbers, numbers, numbers))
def test_disease_and_collection_add_up_to_the_whole(values):
    found = parts(dict(zip(KEYS, values, strict=True)), PATIENTS, SETTINGS)
    assert found.whole.value == pytest.approx((values[0] - values[3]).mean(), abs=1e-5)
    assert found.disease.value + found.collection.value == pytest.approx(found.whole.value, abs=1e-5)


def test_a_score_of_the_disease_alone_has_no_part_of_the_collection():
    ill = np.linspace(1, 3, 40)
    found = parts(dict(zip(KEYS, (ill, ill, 0 * ill, 0 * ill), strict=True)), PATIENTS, SETTINGS)
    assert found.disease == found.whole
    assert found.collection.value == found.collection.low == found.collection.high == 0


def test_a_phantom_drawn_again_is_the_same_but_for_what_was_changed():
    source = phantom_source(seed=3, shortcut=1.0)
    patients = [one for one in planned(source) if one.group == "covid" and "AP" in one.views][:2]
    rows = [phantom for one in patients for phantom in patient_images(source, one)]
    names = [phantom.row["image_id"] for phantom in rows]
    own = rows[0].row["collection"]
    other = "B" if own == "A" else "A"
    found = redrawn(source, names, [Variant(True, own), Variant(False, own), Variant(True, other)])
    assert found[Variant(True, own)] == [phantom.file for phantom in rows]
    for phantom, healthy, processed in zip(rows, found[Variant(False, own)], found[Variant(True, other)], strict=True):
        ill, well = (np.asarray(Image.open(io.BytesIO(file)), float) for file in (phantom.file, healthy))
        assert ill.shape == well.shape
        difference = np.abs(ill - well)
        assert difference[phantom.mask].mean() > 5 * difference[~phantom.mask].mean()
        assert processed != phantom.file


def test_the_figure_has_a_row_per_change_and_per_part():
    own = OfNet(
        shifts={OTHER_FRAME: shift(np.zeros(40), np.linspace(-2, 0, 40), PATIENTS, 0.5, SETTINGS)},
        parts=parts(
            dict.fromkeys([(True, True), (True, False), (False, True), (False, False)], np.ones(40)), PATIENTS, SETTINGS
        ),
    )
    (axis,) = figure(own).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == [
        OTHER_FRAME,
        "of the disease",
        "of the collection",
    ]
    assert [text.get_text() for text in axis.texts] == ["-1.00", "+0.00", "+0.00"]
    (empty,) = figure(OfNet(shifts={})).axes
    assert [*empty.get_yticklabels(), *empty.texts] == []
    found = Changed(recipe="paper", nets={"resnet18": own})
    (first,) = found.sentences()
    assert "the lesions make +0.00 (+0.00 to +0.00) and the collection +0.00" in first
    assert Changed.model_validate_json(found.model_dump_json(exclude_none=True)) == found


def test_each_image_gets_a_partner_of_another_patient():
    patients = pd.Series(["a", "a", "a", "b", "c", "c"])
    places = of_other_patients(patients)
    assert (patients.to_numpy()[places] != patients.to_numpy()).all()


@given(seed=st.integers(0, 200), channels=st.sampled_from([1, 3]))
def test_fine_detail_is_as_strong_as_the_others_and_the_rest_stays(seed, channels):
    rng = np.random.default_rng(seed)
    images, others = (
        rng.integers(*bounds, (3, 40, 40, channels), dtype=np.uint8) for bounds in ((90, 160), (110, 150))
    )
    found = as_sharp_as(images, others, 2)

    def strength(pixels):
        fine = pixels - blurred_float(pixels)
        return fine.std(axis=(1, 2, 3))

    def blurred_float(pixels):
        return gaussian_filter(pixels.astype(float), (0, 2, 2, 0))

    np.testing.assert_allclose(strength(found), strength(others), rtol=0.05)
    assert np.abs(blurred_float(found) - blurred_float(images)).mean() < 1.5
    flat = np.full_like(images, 7)
    assert (as_sharp_as(flat, others, 2) == 7).all()
    assert (as_sharp_as(images, images, 2) == images).all()

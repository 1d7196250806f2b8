import io
import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score

from deepcovid import catalogue
from deepcovid.audits.acquisition import Acquisition
from deepcovid.audits.baselines import (
    FIGURES,
    Baseline,
    Baselines,
    Best,
    Input,
    baseline,
    best_of,
    figures,
    fitted_scores,
    frame,
    histogram,
    sharpness,
    thumbnail,
)
from deepcovid.heads.head_files import read_head
from deepcovid.images.resizing import resize_and_crop, saved_alike
from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.estimate import Estimate, Headline, read_result
from stages._baselines import baselines
from stages.train import train_stage
from tests.checkouts import edit_params, parameters
from tests.radiographs import png
from tests.trained import random_weights

SIDE = 224
BOOTSTRAP = EvaluateSettings(bootstrap_samples=100, bootstrap_seed=1)
greys = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).integers(0, 256, (2, SIDE, SIDE)))


def table(split, label):
    """A catalogue with a patient an image."""
    rows = pd.DataFrame({"split": split, "label": label})
    rows["image_id"] = [f"image {number}" for number in rows.index]
    rows = rows.assign(archive="images.zip", member=rows["image_id"], patient_id=rows["image_id"])
    return catalogue.checked(rows, "test")


def grey(pixels):
    return np.asarray(pixels, dtype=np.float32)


def test_sharpness_of_a_ramp_is_its_slope_along_rows():
    ramp = np.broadcast_to(0.5 * np.arange(SIDE), (1, SIDE, SIDE))
    assert sharpness(grey(ramp)) == pytest.approx(np.array([[0.5, 0, 0]]), abs=1e-5)


def test_sharpness_of_a_chessboard_is_its_contrast_and_twice_that_at_the_second_difference():
    board = 10 * (np.indices((SIDE, SIDE)).sum(axis=0) % 2)
    assert sharpness(grey(board[None])) == pytest.approx(np.array([[10, 10, 20]]))


@given(images=greys, brighter=st.integers(1, 50))
def test_sharpness_knows_no_brightness_and_a_turned_image_swaps_rows_and_columns(images, brighter):
    own = sharpness(grey(images))
    assert sharpness(grey(images + brighter)) == pytest.approx(own, rel=1e-4)
    assert sharpness(grey(images.transpose(0, 2, 1))) == pytest.approx(own[:, [1, 0, 2]], rel=1e-4)


@given(images=arrays(np.uint8, (3, 4, 4)))
def test_histogram_is_that_of_numpy_for_each_image(images):
    expected = [np.histogram(image, bins=32, range=(0, 256))[0] / 16 for image in images]
    assert histogram(grey(images)) == pytest.approx(np.array(expected))


@given(images=greys, side=st.sampled_from([8, 16]))
def test_thumbnail_is_pillows_box_reduction(images, side):
    expected = [np.asarray(Image.fromarray(grey(image)).reduce(SIDE // side)).ravel() for image in images]
    assert thumbnail(grey(images), side) == pytest.approx(np.array(expected), rel=1e-4)


@pytest.mark.parametrize(("row", "column", "seen"), [(7, 100, True), (100, 216, True), (8, 215, False)])
def test_frame_sees_the_outer_eight_pixels_and_no_others(row, column, seen):
    dark = np.zeros((1, SIDE, SIDE))
    spot = dark.copy()
    spot[0, row, column] = 255
    numbers = frame(grey(spot))
    assert numbers.shape == (1, 108)
    assert numbers.sum() == pytest.approx(255 / 64 if seen else 0)


@pytest.mark.parametrize("side", [64, 96, 512])
def test_figures_take_images_of_every_size(side):
    found = figures([np.zeros((2, side, side, 1), np.uint8)])
    frame_squares = 4 * (side // 8 - 1)
    assert [numbers.shape for numbers in found.values()] == [(2, 3), (2, 32), (2, 64), (2, 256), (2, frame_squares)]


@given(images=greys, size=st.integers(1, 3), data=st.data())
def test_figures_average_colours_and_do_not_depend_on_the_batches(images, size, data):
    same = np.repeat(images[..., None].astype(np.uint8), 3, axis=3)
    grey_only, coloured = (
        figures([batch for batch in np.split(pixels, range(size, 2, size)) if len(batch)])
        for pixels in (same[..., :1], np.concatenate([same, same]))
    )
    for name in FIGURES:
        assert coloured[name][:2] == pytest.approx(grey_only[name], rel=1e-4)
        assert coloured[name][2:] == pytest.approx(grey_only[name], rel=1e-4)
    red = same.copy()
    red[..., 1:] = 0
    assert figures([red])["thumbnail-8"] == pytest.approx(grey_only["thumbnail-8"] / 3, rel=1e-4)


def test_a_difference_in_sharpness_alone_is_seen_by_sharpness_alone():
    """Squares of 2 x 2 pixels hold the same two levels in both classes, as a chessboard or as two bars."""
    rng = np.random.default_rng(0)
    covid = np.arange(300) % 2 == 0
    levels = rng.integers(80, 180, (300, SIDE // 2, SIDE // 2, 2), dtype=np.uint8)
    board, bars = levels[..., [0, 1, 1, 0]], levels[..., [0, 0, 1, 1]]
    cells = np.where(covid[:, None, None, None], board, bars).reshape(300, SIDE // 2, SIDE // 2, 2, 2)
    pixels = cells.transpose(0, 1, 3, 2, 4).reshape(300, SIDE, SIDE, 1)
    rows = table(np.repeat(["train", "test"], 150), np.where(covid, "covid", "non"))
    areas = {
        name: roc_auc_score(covid[150:], fitted_scores(numbers, rows))
        for name, numbers in figures(np.array_split(pixels, 5)).items()
    }
    assert areas.pop("sharpness") == 1
    assert len(areas) == 4
    assert all(0.35 < area < 0.65 for area in areas.values()), areas


@pytest.fixture
def separable():
    """Numbers of which the first goes with the label, and their catalogue."""
    rng = np.random.default_rng(1)
    rows = table(np.tile(["train", "train", "test"], 20), np.repeat(["covid", "non"], 30))
    numbers = rng.normal(size=(60, 3))
    numbers[:, 0] += 2 * (rows["label"] == "covid")
    return numbers, rows


def test_scores_are_larger_for_covid_and_do_not_depend_on_units_or_row_order(separable):
    numbers, rows = separable
    scores = fitted_scores(numbers, rows)
    positive = (rows["label"] == "covid")[rows["split"] == "test"]
    assert roc_auc_score(positive, scores) > 0.8
    assert fitted_scores(numbers * [1e3, 1e-3, 1] + 5, rows) == pytest.approx(scores, abs=1e-4)
    order = np.argsort(rows["split"].to_numpy() == "test", kind="stable")[::-1]
    assert fitted_scores(numbers[order], rows.iloc[order])[::-1] == pytest.approx(scores, abs=1e-4)


def test_augmented_copies_and_test_images_are_not_fitted_on(separable):
    numbers, rows = separable
    scores = fitted_scores(numbers, rows)
    copy = rows.iloc[:1].assign(image_id="copy", augmentation_of="image 0")
    with_copy = fitted_scores(np.vstack([numbers, [[1e3] * 3]]), pd.concat([rows, copy], ignore_index=True))
    np.testing.assert_array_equal(with_copy, scores)
    changed = numbers.copy()
    changed[2] += 9  # the first test image
    np.testing.assert_array_equal(fitted_scores(changed, rows)[1:], scores[1:])


def test_scores_of_no_test_image_are_refused(separable, refused):
    numbers, rows = separable
    with refused("baselines: there are no test images", "change the split"):
        fitted_scores(numbers, rows.assign(split="train"))


@pytest.mark.parametrize("side", ["train", "test"])
def test_images_of_one_class_are_refused(separable, refused, side):
    numbers, rows = separable
    rows.loc[rows["split"] == side, "label"] = "non"
    with refused(f"the {side}", "images are of one class only", "change the split"):
        fitted_scores(numbers, rows)
        Bootstrap.of(rows[catalogue.in_test(rows)], BOOTSTRAP)


def test_an_entry_has_the_median_heads_area_and_the_spread_of_all():
    positive = np.arange(40) < 20
    scores = np.random.default_rng(2).normal(positive[:, None].astype(float), size=(40, 3))
    patient = pd.Series([f"patient {number}" for number in range(40)])
    areas = [roc_auc_score(positive, column) for column in scores.T]
    bootstrap = Bootstrap.over_patients(positive, patient, BOOTSTRAP)
    net = baseline(Input("a net", "untrained", 512), scores, bootstrap)
    assert net.auc.value == pytest.approx(np.median(areas), abs=1e-6)
    assert net.auc.low < net.auc.value < net.auc.high
    over = net.over_seeds
    assert (over.min, over.max, over.mean) == pytest.approx((min(areas), max(areas), np.mean(areas)), abs=1e-6)
    median = [areas.index(np.median(areas))]
    one = baseline(Input("one", "hand-made", 3), scores[:, median], bootstrap)
    assert one.over_seeds is None
    assert one.auc == net.auc


def test_entries_are_kept_by_name():
    areas = {"b": ("untrained", 0.9), "a": ("pipeline", 0.99), "c": ("hand-made", 0.7)}
    entries = {
        name: Baseline(title=name, kind=kind, numbers=1, auc=Estimate(value=auc, low=auc - 0.1, high=auc + 0.1))
        for name, (kind, auc) in areas.items()
    }
    best = Best(title="b", of=2, auc=Estimate(value=0.9, low=0.85, high=1.0))
    found = Baselines(recipe="paper", baselines=entries, best=best, short_side=320)
    assert list(found.model_dump()["baselines"]) == ["b", "a", "c"]  # by name, not by AUC: a near-tie moves nothing
    assert found.headline() == Headline(auc=0.9, auc_low=0.85, auc_high=1.0)


def test_the_interval_of_the_best_allows_for_the_choice():
    positive = np.arange(60) < 25
    rng = np.random.default_rng(4)
    scores = {f"guess {number}": rng.normal(size=60) for number in range(20)}
    patient = pd.Series([f"patient {number // 2}" for number in range(60)])
    bootstrap = Bootstrap.over_patients(positive, patient, BOOTSTRAP)
    best, drawn = best_of(scores, bootstrap)
    areas = {title: roc_auc_score(positive, score) for title, score in scores.items()}
    assert best.title == max(areas, key=areas.get)
    assert best.of == 20
    assert best.auc.value == pytest.approx(max(areas.values()), abs=1e-6)
    rows = [np.repeat(np.arange(60), sample.astype(int)) for sample in bootstrap.weights.T]
    expected = [max(roc_auc_score(positive[row], score[row]) for score in scores.values()) for row in rows]
    assert drawn == pytest.approx(expected)
    low, high = np.quantile(expected, [0.025, 0.975])
    own, twice = bootstrap.auc_estimate(scores[best.title]), 2 * best.auc.value
    expected = min(own.low, twice - high), max(own.high, twice - low)
    assert (best.auc.low, best.auc.high) == pytest.approx(expected, abs=2e-6)
    assert best.auc.low < own.low  # the best of guesses is above one half by the choice alone
    assert best.auc.low < 0.6


def test_images_saved_alike_have_one_short_side_at_most_and_one_compression():
    """Two editions of one picture, a large one and a small one, are hardly told apart any more."""
    rng = np.random.default_rng(0)
    large = Image.fromarray(np.uint8(gaussian_filter(rng.uniform(0, 255, (600, 800)), 2) * 3 % 256))
    small = large.resize((400, 300), Image.Resampling.BILINEAR)
    plain, alike = resize_and_crop(SIDE), saved_alike(300, resize_and_crop(SIDE))
    apart, left = (
        np.abs(np.diff([np.asarray(framing(picture), float) for picture in (large, small)], axis=0)).mean()
        for framing in (plain, alike)
    )
    assert left < apart / 5
    stream = io.BytesIO()
    small.save(stream, "JPEG")
    assert alike(small) == plain(Image.open(stream))
    tiny = small.resize((200, 150))
    assert alike(tiny).size == (SIDE, SIDE)


@pytest.fixture
def trained(checkout, monkeypatch):
    """A checkout with trained heads; an untrained net has left the very vectors that they were trained on."""

    def edit(values):
        values["models"], values["audited_models"], values["replays"] = ["squeezenet1_1"], ["squeezenet1_1"], []
        values["recipe"]["paper"]["epochs"], values["evaluate"]["bootstrap_samples"] = 4, 100
        values["dataset"]["phantom"] |= {"seeds": 2, "resplits": 2, "image_size": SIDE}

    edit_params(checkout, edit)
    monkeypatch.chdir(checkout)
    rng = np.random.default_rng(3)
    rows = table(np.repeat(["train", "test"], 30), np.tile(["covid", "non", "non"], 20))
    copies = rows[:3].assign(image_id=["copy 0", "copy 1", "copy 2"], augmentation_of=rows["image_id"][:3])
    rows = pd.concat([rows, copies], ignore_index=True)
    data = checkout / "data/phantom"
    for folder in ("features/squeezenet1_1", "weights", "spare"):
        (data / folder).mkdir(parents=True)
    catalogue.write(data / "images.csv", rows)
    pixels = rng.integers(0, 256, (63, SIDE, SIDE, 1), dtype=np.uint8)
    np.save(data / "pixels.npy", pixels)
    (data / "raw").mkdir()
    with zipfile.ZipFile(data / "raw/images.zip", "w") as archive:
        for member, image in zip(rows["member"][:60], pixels, strict=False):
            archive.writestr(member, png(image[..., 0]))
    features = rng.normal(size=(63, 512)).astype(np.float32)
    for name in ("images", "untrained"):
        np.save(data / f"features/squeezenet1_1/{name}.npy", features)
    np.save(data / "features/squeezenet1_1/spare.npy", features[:0])
    rows[:0].to_csv(data / "spare/images.csv", index=False)
    random_weights(data / "weights/squeezenet1_1.safetensors")  # the train stage hashes them
    train_stage(parameters(), "phantom")
    (data / "handed_on/audited").mkdir(parents=True)  # as the stage evaluate does
    scores = data / "scores/frozen/squeezenet1_1/paper.csv"
    shutil.copyfile(scores, data / "handed_on/audited/squeezenet1_1-paper.csv")
    return checkout


def test_the_train_stage_says_which_head_is_the_median_one(trained):
    head = read_head(trained / "data/phantom/heads/frozen/squeezenet1_1/paper.safetensors")
    scores = pd.read_csv(trained / "data/phantom/scores/frozen/squeezenet1_1/paper.csv")
    areas = [roc_auc_score(scores["label"] == "covid", scores[f"seed_{seed}"]) for seed in head.seeds]
    assert areas[head.shown] == min(areas)  # of two, the lower


@pytest.mark.parametrize(
    ("source", "weights"),
    [
        ("imagenet", "ImageNet weights"),
        ("~/weights", "weights of a file"),
    ],
)
def test_the_stage_trains_untrained_nets_as_the_train_stage_does(trained, source, weights):
    edit_params(trained, lambda values: values["dataset"]["phantom"]["weights"].update(source=source))
    baselines(parameters(), "phantom")
    found = read_result(trained / "results/phantom/baselines.json", Baselines)
    entries = found.baselines
    assert found.recipe == "paper"
    alike = [f"{name}-alike" for name in FIGURES]
    assert list(entries) == [*FIGURES, *alike, "untrained-squeezenet1_1", "squeezenet1_1"]
    assert found.short_side == SIDE
    assert all(entries[name].auc != entries[f"{name}-alike"].auc for name in ("sharpness", "histogram"))
    taken = read_result(trained / "results/phantom/acquisition.json", Acquisition)
    without_net = list(taken.ways()) + [one for one in entries.values() if one.kind != "pipeline"]
    assert found.best.of == len(without_net)
    assert found.best.auc.value == max(way.auc.value for way in without_net)
    assert read_result(trained / "metrics/audits/phantom/acquisition.json", Headline) == taken.headline()
    assert {name: entries[name].numbers for name in FIGURES} == {
        "sharpness": 3,
        "histogram": 32,
        "thumbnail-8": 64,
        "thumbnail-16": 256,
        "frame": 108,
    }
    untrained, net = entries["untrained-squeezenet1_1"], entries["squeezenet1_1"]
    assert (net.kind, net.title) == ("pipeline", f"SqueezeNet 1.1, {weights}")
    assert (untrained.kind, untrained.title) == ("untrained", "SqueezeNet 1.1, random weights")
    assert (untrained.auc, untrained.over_seeds, untrained.numbers) == (net.auc, net.over_seeds, net.numbers)
    assert untrained.above_best is None
    assert net.above_best.value == pytest.approx(net.auc.value - found.best.auc.value, abs=2e-6)
    assert net.above_best.low < net.above_best.value < net.above_best.high
    assert read_result(trained / "metrics/audits/phantom/baselines.json", Headline) == found.headline()


@pytest.mark.parametrize(
    ("source", "audited", "title"),
    [
        ("imagenet", [], "SqueezeNet 1.1, ImageNet weights"),
        ("random", ["squeezenet1_1"], "SqueezeNet 1.1, random weights of the pipeline"),
    ],
)
def test_without_audited_nets_or_with_random_ones_there_is_no_untrained_row(trained, source, audited, title):
    def edit(values):
        values["audited_models"] = audited
        values["dataset"]["phantom"]["weights"]["source"] = source

    edit_params(trained, edit)
    (trained / "data/phantom/features/squeezenet1_1/untrained.npy").unlink()
    baselines(parameters(), "phantom")
    found = read_result(trained / "results/phantom/baselines.json", Baselines)
    assert "untrained-squeezenet1_1" not in found.baselines
    assert found.baselines["squeezenet1_1"].title == title

"""Images of another size than 224 pixels, from decoding to a prediction; and what refuses to mix sizes."""

import io
import json
import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from deepcovid import catalogue, load_head
from deepcovid.audits.changed import OTHER_FRAME, Changed
from deepcovid.commands import main
from deepcovid.images.decoding import decode
from deepcovid.images.resizing import resize_and_crop, resized
from deepcovid.nets.zoo import NETS
from deepcovid.settings.analyses import Net
from deepcovid.statistics.estimate import Headline, read_result
from stages import paths
from stages._changed import changed
from stages._hidden import known_lesions
from stages.augment import augment
from stages.download import download
from stages.evaluate import hand_on
from stages.features import features
from stages.heatmaps import heatmaps
from stages.localisation import localisation
from stages.replay import replay_stage
from stages.split import split
from stages.train import train_stage
from stages.weights import weights_stage
from tests.checkouts import copy_of_checkout, edit_params, parameters, smaller

pytestmark = pytest.mark.pipeline

MODEL, CROPPED, SIZE = "squeezenet1_1", "failed-reproduction-cropped", 96


def edit(values):
    smaller(values)
    for nets in ("models", "audited_models", "heatmapped_models", "replayed_models"):
        values[nets] = [MODEL]
    values["recipes"], values["replays"] = ["paper"], [CROPPED]
    values["features"]["device"] = "cpu"
    values["dataset"]["phantom"]["image_size"] = SIZE
    values["dataset"]["phantom"]["heatmaps"] |= {"window": 48, "stride": 48}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A checkout in which the stages up to the maps ran on a few phantoms of 96 x 96 pixels."""
    folder = copy_of_checkout(tmp_path_factory.mktemp("size") / "checkout")
    edit_params(folder, edit)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        own = parameters()
        for stage in (download, split, augment, weights_stage):
            stage(own, "phantom")
        features(own, "phantom", MODEL)
        train_stage(own, "phantom")
        replay_stage(own, "phantom", MODEL, CROPPED)
        hand_on(own, "phantom")
        for stage in (heatmaps, localisation):
            stage(own, "phantom", MODEL)
        changed(own, "phantom")
    return folder


@pytest.fixture
def here(made, monkeypatch):
    monkeypatch.chdir(made)
    return made / "data/phantom"


def test_pixels_maps_and_masks_have_the_size_and_the_files_of_heads_say_it(here):
    table = catalogue.read(here / "images.csv")
    assert np.load(here / "pixels.npy").shape == (len(table), SIZE, SIZE, 1)
    for method in ("occlusion", "grad_cam"):
        assert np.load(here / f"heatmaps/{MODEL}/{method}.npy").shape[1:] == (SIZE, SIZE)
    lesions = known_lesions("phantom", table, SIZE)
    assert lesions.shape[1:] == (SIZE, SIZE)
    assert lesions.any((1, 2)).all()
    assert len(pd.read_csv(paths.replayed("phantom", MODEL, CROPPED, "scores"))) == (table["split"] == "test").sum()


@pytest.mark.parametrize(
    ("seed", "left"),
    [
        (None, {"images.npy", "spare.npy", "hidden.npy"}),
        (0, {"images.npy", "spare.npy", "hidden.npy", "untrained.npy"}),
    ],
)
def test_a_pass_without_training_is_made_of_weights_that_are_not_random(made, tmp_path, monkeypatch, seed, left):
    """Random weights are untrained already: such a data set has no seed for the pass."""
    monkeypatch.chdir(shutil.copytree(made, tmp_path / "copy"))
    own = parameters()
    assert own.audit_passes[MODEL].untrained_seed is None
    passes = own.audit_passes[MODEL].model_copy(update={"untrained_seed": seed})
    features(own.model_copy(update={"audit_passes": {MODEL: passes}}), "phantom", MODEL)
    assert {path.name for path in (tmp_path / f"copy/data/phantom/features/{MODEL}").iterdir()} == left


def test_the_raw_files_get_the_scores_that_the_pipeline_gave_them(here):
    table = catalogue.read(here / "images.csv").query("split == 'test'")
    with zipfile.ZipFile(here / "raw/phantom.zip") as archive:
        contents = [archive.read(name) for name in table["member"]]
    head = load_head(here / f"heads/frozen/{MODEL}/paper.safetensors", device="cpu")
    assert head.image_size == head.transform["crop"] == SIZE
    written = pd.read_csv(here / f"scores/frozen/{MODEL}/paper.csv")
    predicted = head.predict([Image.open(io.BytesIO(content)) for content in contents])
    np.testing.assert_allclose(predicted["score"], written["seed_0"], atol=1e-5)
    pixels = np.load(here / "pixels.npy")[table.index, ..., 0]
    np.testing.assert_array_equal(pixels, [decode(content, resize_and_crop(SIZE)) for content in contents])


def test_changed_images_are_scored_by_the_head_that_the_pipeline_shows(here):
    """Of the images as they are, the log-odds are those of the score table."""
    found = read_result(paths.results("phantom", "changed"), Changed).nets[MODEL].shifts
    written = pd.read_csv(here / f"scores/frozen/{MODEL}/paper.csv")
    ill = written[written["label"] == "covid"]
    head = load_head(here / f"heads/frozen/{MODEL}/paper.safetensors", device="cpu")
    score = ill[f"seed_{head.file.seeds[head.file.shown]}"]
    for shift in (found[OTHER_FRAME], found["COVID-19, processed as collection B"]):
        assert shift.before == pytest.approx(np.log(score / (1 - score)).mean(), abs=1e-4)
        assert shift.called_before == (score >= 0.5).sum()
        assert (shift.images, shift.patients, shift.change) == (len(ill), ill["patient_id"].nunique(), None)
    headline = read_result(paths.audit_metrics("phantom") / f"changed/{MODEL}.json", Headline)
    assert headline.tp + headline.fn == len(ill)


def test_predict_takes_the_size_from_the_head_its_window_too(here, tmp_path, capsys):
    Image.fromarray(np.load(here / "pixels.npy")[0, ..., 0]).save(tmp_path / "a.png")
    head = here / f"heads/frozen/{MODEL}/paper.safetensors"
    line = ["predict", str(tmp_path / "a.png"), "--head", str(head), "--device", "cpu", "--json"]
    maps = ["--heatmap", str(tmp_path / "maps"), "--stride", "48", "--window"]
    with pytest.raises(SystemExit, match="the window's side is 112 pixels, more than an image of 96 x 96 has"):
        main([*line, *maps, "112"])
    assert main([*line, *maps, "96"]) == 0
    assert json.loads(capsys.readouterr().out)["head"]["transform"]["resize"] == SIZE
    assert (tmp_path / "maps/a.png.png").is_file()


@pytest.mark.parametrize(
    "run",
    [
        lambda own: weights_stage(own, "phantom"),
        lambda own: features(own, "phantom", MODEL),
        lambda own: train_stage(own, "phantom"),
        lambda own: replay_stage(own, "phantom", MODEL, CROPPED),
        lambda own: heatmaps(own, "phantom", MODEL),
    ],
    ids=["weights", "features", "train", "replay", "heatmaps"],
)
def test_pixels_of_another_size_are_refused_and_what_was_there_stays(here, refused, run):
    own = parameters().model_copy(update={"image_size": 112})
    before = {path: path.stat().st_mtime_ns for path in here.rglob("*")}
    with refused(
        "data/phantom/pixels.npy: images of 96 x 96 pixels, but dataset.phantom.image_size is 112; run `dvc repro`"
    ):
        run(own)
    assert {path: path.stat().st_mtime_ns for path in here.rglob("*") if path != here} == {
        path: time for path, time in before.items() if path != here
    }


def test_maps_of_another_size_are_refused(here, refused):
    own = parameters().model_copy(update={"image_size": 112})
    with refused(f"data/phantom/heatmaps/{MODEL}/occlusion.npy: float32 (", " x 112 x 112)", "dvc repro"):
        localisation(own, "phantom", MODEL)


def test_a_size_that_a_net_cannot_take_is_refused_before_any_weights_are_made(made, tmp_path, monkeypatch, refused):
    monkeypatch.setitem(NETS, "vit_b_16", Net(title="ViT", last_layer="heads.head", last_stage="conv_proj"))
    shutil.copy(made / "params.yaml", tmp_path)
    edit_params(tmp_path, lambda values: values["models"].append("vit_b_16"))
    monkeypatch.chdir(tmp_path)
    with refused("the net vit_b_16 cannot take images of 96 x 96 pixels", "choose another image_size"):
        weights_stage(parameters(), "phantom")
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [64, 224])
def test_resizing_is_that_of_decoding_and_leaves_images_of_that_size_alone(channels, size):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, SIZE, SIZE, channels), dtype=np.uint8)
    found = resized(images, size)
    expected = [np.asarray(resize_and_crop(size)(Image.fromarray(image.squeeze()))) for image in images]
    assert found.dtype == np.uint8
    assert np.array_equal(found, np.reshape(expected, found.shape))
    assert resized(images, SIZE) is images

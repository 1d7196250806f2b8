import io
import os
import subprocess
import sys
import threading
import zipfile
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
import torch
import torchvision
from PIL import Image
from torchvision import transforms

import deepcovid
from deepcovid import load_head
from deepcovid.errors import BadImageError
from deepcovid.files import sha256_of
from deepcovid.heads.prediction import attempts, weights_near
from stages.augment import augment
from stages.download import download
from stages.features import features
from stages.split import split
from stages.train import train_stage
from stages.weights import weights_stage
from tests.checkouts import copy_of_checkout, edit_params, parameters, smaller
from tests.radiographs import dicom, jpeg, noise, png
from tests.trained import MODEL, random_head, random_weights, trained_folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The path of a random head, with its weights where the pipeline has them."""
    return trained_folder(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def head(trained):
    return load_head(trained, device="cpu", batch_size=3)


def expected(pixels):
    """P(covid) of both heads by torchvision's own transform and net; SqueezeNet's features are channel means."""
    transform = transforms.Compose(
        [
            transforms.Resize(224),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    torch.manual_seed(0)
    net = torchvision.models.get_model(MODEL).eval()
    with torch.inference_mode():
        image = transform(Image.fromarray(pixels).convert("RGB"))
        found = net.features(image[None]).mean((2, 3)).double()
    heads = random_head()
    logits = found @ torch.tensor(heads.weight).double() + torch.tensor(heads.bias).double()[:, None]
    return logits.softmax(-1)[:, 0, 0].numpy()


def test_every_kind_of_image_is_scored_as_torchvisions_transform_and_net_have_it(head, tmp_path):
    grey, colour = noise(1, (300, 260)), noise(2, (240, 280, 3))
    (tmp_path / "a.dcm").write_bytes(dicom(grey, WindowCenter=128, WindowWidth=256))
    Image.fromarray(colour).save(tmp_path / "b.png")
    images = [str(tmp_path / "a.dcm"), tmp_path / "b.png", Image.fromarray(grey), colour, grey]
    scores = head.score(images)
    assert scores.shape == (5,)
    both = [expected(grey), expected(colour)]
    shown = head.file.shown
    # The window of the DICOM file is half a grey level off.
    assert scores[0] == pytest.approx(both[0][shown], abs=0.02)
    assert scores[1:].tolist() == pytest.approx([both[n][shown] for n in (1, 0, 1, 0)], abs=1e-5)
    predicted = head.predict(images[1:])
    assert predicted["score_min"].to_numpy() == pytest.approx([min(both[n]) for n in (1, 0, 1, 0)], abs=1e-5)
    assert predicted["score_max"].to_numpy() == pytest.approx([max(both[n]) for n in (1, 0, 1, 0)], abs=1e-5)


def test_the_decision_is_at_the_recipes_cut_off_and_the_warning_at_the_threshold(trained):
    pictures = [noise(seed, (64, 64)) // (seed + 1) for seed in range(8)]
    head = load_head(trained, device="cpu")
    table = head.predict(pictures)
    head.cut_off, head.threshold = (float(np.sort(table[name])[3]) for name in ("score", "distance"))
    again = head.predict(pictures)
    assert again["called"].tolist() == ["covid" if score >= head.cut_off else "non" for score in table["score"]]
    assert again["unlike"].tolist() == [distance > head.threshold for distance in table["distance"]]
    assert (again["called"] == "covid").sum() == 5  # at the cut-off is covid
    assert again["unlike"].sum() == 4  # at the threshold is like


def test_a_head_says_what_it_is(head, trained):
    assert (head.model, head.recipe, head.dataset, head.cut_off) == (MODEL, "paper", "phantom", 0.3)
    assert (head.classes, head.seeds) == (("covid", "non"), [4, 0])
    assert head.weights_sha256 == sha256_of(trained.parents[3] / f"weights/{MODEL}.safetensors")
    assert head.transform["resize"] == head.transform["crop"] == 224
    assert "under the recipe paper, trained on phantom; called covid from a score of 0.3 on" in head.about


def test_the_batch_size_does_not_change_what_is_predicted_nor_does_colour_in_the_batch(trained, head):
    pictures = [noise(seed, (50, 60)) for seed in range(7)]
    together = load_head(trained, device="cpu", batch_size=32).predict([*pictures, noise(9, (50, 60, 3))])
    alone = head.predict(iter(pictures))
    pd.testing.assert_frame_equal(together[:7], alone, rtol=1e-4)


def test_the_same_opened_file_may_be_there_several_times(head, tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(0, (900, 900)))
    with Image.open(tmp_path / "a.jpg") as picture:
        scores = head.score([picture] * 3)
    assert scores.tolist() == pytest.approx(head.score([tmp_path / "a.jpg"] * 3).tolist(), abs=1e-5)


def test_an_opened_file_that_turns_out_damaged_is_named(head):
    content = bytearray(png(noise(0, (60, 60))))
    content[content.index(b"IDAT") - 2] = 0  # of the length that the chunk says it has
    with pytest.raises(BadImageError, match=r"^image 0: cannot be used .*broken PNG"):
        head.score([Image.open(io.BytesIO(content))])


def test_no_images_are_no_error(head):
    assert head.score([]).shape == (0,)
    assert head.predict([]).columns.tolist() == head.predict([noise()]).columns.tolist()


@pytest.mark.parametrize(
    ("picture", "why"),
    [
        (noise(0, (300, 300, 4)), "hand over uint8"),
        (noise(0, (300,)), "hand over uint8"),
        (noise(0, (0, 300)), "hand over uint8"),
        (noise(0, (300, 300)).astype(np.float32), "an array of float32"),
        (noise(0, (20, 300)), "less than 32 a side"),
        (Image.fromarray(noise(0, (64, 64, 4)), "CMYK"), "convert it to 8-bit grey or RGB"),
        (Image.fromarray(noise(0, (64, 64)).astype(np.uint16)), "more than 8 bits"),
    ],
    ids=["four channels", "one dimension", "empty", "floats", "small", "CMYK", "16 bits"],
)
def test_an_image_that_cannot_be_used_is_named_by_its_place_with_the_reason(head, picture, why):
    with pytest.raises(BadImageError, match=f"^image 1: .*{why}"):
        head.score([noise(), picture])


def test_a_file_that_cannot_be_used_is_named(head, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no image")
    with pytest.raises(BadImageError, match=f"^{path}: not an image"):
        head.score([path])
    with pytest.raises(FileNotFoundError, match=r"absent\.png"):
        head.score([tmp_path / "absent.png"])
    with pytest.raises(BadImageError, match=f"^{tmp_path}: not a file"):
        head.score([tmp_path])


@pytest.mark.parametrize(
    "one", ["chest.png", Image.new("L", (50, 50)), np.zeros((50, 40), np.uint8), np.zeros((50, 40, 3), np.uint8)]
)
def test_a_single_image_in_place_of_several_is_a_type_error(head, one):
    with pytest.raises(TypeError, match="put it in a list"):
        head.score(one)
    with pytest.raises(TypeError, match="a path, a PIL image or a uint8 array, not int"):
        head.score([3])


def test_missing_weights_are_refused_with_where_they_were_looked_for(tmp_path, refused):
    path = trained_folder(tmp_path)
    where = tmp_path / f"data/phantom/weights/{MODEL}.safetensors"
    elsewhere = where.rename(tmp_path / "elsewhere")
    with refused(path, where, "--weights", "dvc repro weights@phantom`"):
        load_head(path)
    assert load_head(path, elsewhere, "cpu").score([noise()]).shape == (1,)
    with refused(path, "none.safetensors"):
        load_head(path, tmp_path / "none.safetensors")


def test_the_nearest_weights_above_a_head_are_its_own(tmp_path, refused):
    path = trained_folder(tmp_path)
    near = path.parent.parent / f"weights/{MODEL}.safetensors"
    near.parent.mkdir()
    near.write_bytes(b"other")
    with refused(path, near, "get the weights they were trained on"):
        load_head(path)
    near.unlink()
    assert load_head(path, device="cpu").model == MODEL


def test_weights_are_looked_for_above_a_head_near_the_root_of_the_file_system():
    assert weights_near(Path("/head.safetensors"), MODEL) == Path(f"/weights/{MODEL}.safetensors")
    assert weights_near(Path("/a/b/c/d/e/f"), MODEL) == Path(f"/a/b/weights/{MODEL}.safetensors")


def test_other_weights_are_refused_with_both_hashes(tmp_path, refused):
    path, other = trained_folder(tmp_path, weights_sha256="ab" * 32), tmp_path / "other.safetensors"
    random_weights(other)
    with refused(path, "ab" * 32, sha256_of(other), "get the weights they were trained on"):
        load_head(path, other)


def test_options_that_make_no_sense_are_refused(trained, refused):
    with refused(trained, "device", "(got 'gpu')"):
        load_head(trained, device="gpu")
    with refused(trained, "batch_size", "(got 0)"):
        load_head(trained, batch_size=0)


def test_a_device_that_is_not_there_is_refused_with_the_option(trained, refused, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for device in ("cuda", "cuda:7", "cuda:99"):
        with refused(device, "--device", "choose auto or cpu"):
            load_head(trained, device=device)
    with refused(trained, "device: ", "(got 'cuda:99999999999999999999')"):
        load_head(trained, device="cuda:99999999999999999999")


def test_what_is_no_file_is_no_head(tmp_path, refused):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with refused(path, "not a file; name a head file"):
            load_head(path)


def test_a_head_forged_for_other_weights_is_refused_with_their_file(tmp_path, refused):
    nets, stray, junk = tmp_path / "net", tmp_path / "stray", tmp_path / "junk"
    random_weights(nets, "resnet18")
    stray.write_bytes(safetensors.numpy.save({"weight": np.zeros(3)}))
    junk.write_bytes(b"junk")
    for weights in (nets, stray, junk):
        path = trained_folder(tmp_path, weights_sha256=sha256_of(weights))
        with refused(weights, f"not weights of {MODEL}", "train stage"):
            load_head(path, weights)


def test_importing_the_package_imports_no_torch():
    code = "import sys, deepcovid; assert 'torch' not in sys.modules; from deepcovid import load_head; load_head"
    assert subprocess.run([sys.executable, "-c", code + "; assert 'torch' in sys.modules"], check=False).returncode == 0
    with pytest.raises(AttributeError, match="has no attribute 'load_heads'"):
        deepcovid.load_heads  # noqa: B018


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """A checkout in which the stages up to the heads ran on a small phantom."""

    def edit(values):
        smaller(values)
        values["models"], values["recipes"], values["replays"] = [MODEL], ["paper"], []
        values["features"]["device"] = "cpu"

    folder = copy_of_checkout(tmp_path_factory.mktemp("pipeline"))
    edit_params(folder, edit)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for stage in (download, split, augment, weights_stage):
            stage(parameters(), "phantom")
        features(parameters(), "phantom", MODEL)
        train_stage(parameters(), "phantom")
    return folder / "data/phantom"


@pytest.mark.pipeline
def test_the_raw_files_get_the_scores_that_the_pipeline_gave_them(pipeline):
    table = pd.read_csv(pipeline / "images.csv", keep_default_na=False).query("split == 'test'")
    with zipfile.ZipFile(pipeline / "raw/phantom.zip") as archive:
        pictures = [Image.open(io.BytesIO(archive.read(name))) for name in table["member"]]
    head = load_head(pipeline / f"heads/frozen/{MODEL}/paper.safetensors", device="cpu")
    written = pd.read_csv(pipeline / f"scores/frozen/{MODEL}/paper.csv")
    assert written["image_id"].tolist() == table["image_id"].tolist()
    predicted = head.predict(pictures)
    np.testing.assert_allclose(predicted["score"], written["seed_0"], atol=1e-5)
    np.testing.assert_allclose(predicted["score_max"], written[["seed_0", "seed_1"]].max(axis=1), atol=1e-5)


@pytest.mark.pipeline
def test_noise_is_unlike_the_training_images_and_test_images_are_like_them(pipeline):
    rows = (pd.read_csv(pipeline / "images.csv")["split"] == "test").to_numpy()
    head = load_head(pipeline / f"heads/frozen/{MODEL}/paper.safetensors", device="cpu")
    table = head.predict(np.load(pipeline / "pixels.npy")[rows][..., 0])
    assert table["unlike"].mean() < 0.2
    assert head.predict([noise(), Image.open(io.BytesIO(jpeg(1, (head.image_size, head.image_size))))])["unlike"].all()


def test_no_thread_is_left_while_a_batch_is_used():
    before = threading.active_count()
    batches = attempts((partial(noise, number) for number in range(5)), 2)
    assert [len(batch) for batch in islice(batches, 2)] == [2, 2]
    assert threading.active_count() == before

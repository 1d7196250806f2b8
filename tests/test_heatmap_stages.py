"""The stages heatmaps and localisation on a few phantoms; no pixel of a patient reaches git."""

import shutil
import zipfile
from contextlib import chdir
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from deepcovid import catalogue
from deepcovid.files import write_csv
from deepcovid.heads.head_files import read_head, write_head
from deepcovid.heads.scoring import score, score_table
from deepcovid.heatmaps.beside import OTHER, OWN, WITH, MapsBeside
from deepcovid.heatmaps.localisation import GRAD_CAM, RANDOM, NetHeat, NotLocated, auc
from deepcovid.images import masks
from deepcovid.images.decoding import decoded_images, write_images
from deepcovid.images.resizing import resize_and_crop
from deepcovid.nets.features import extract, normalised
from deepcovid.nets.trunks import trunk, write_state
from deepcovid.nets.weights import random_state
from deepcovid.settings.analyses import FeatureSettings
from deepcovid.sources.phantom import source as phantom
from deepcovid.statistics.estimate import read_result
from stages import paths
from stages.heatmaps import heatmaps
from stages.heatmaps_beside import heatmaps_beside
from stages.localisation import file_name, localisation
from tests.checkouts import copy_of_checkout, edit_params, parameters
from tests.phantoms import counts, phantom_source
from tests.trained import random_head

pytestmark = pytest.mark.pipeline

MODEL = "squeezenet1_1"
SIDE, WINDOW, STRIDE = 96, 48, 24  # pixels; nine places of the window
SCORES = paths.handed_on("phantom", "explained") / MODEL / "scores.csv"
CPU = FeatureSettings(device="cpu", precision="fp32", batch_size=20)


def edit(values):
    values["models"], values["heatmapped_models"] = [MODEL], [MODEL]
    values["recipes"], values["replays"] = ["paper"], []
    values["features"] |= {"device": "cpu", "batch_size": 20}
    values["evaluate"]["bootstrap_samples"] = 100
    images = {"true_positives": 2, "sample": 2, "worst": 1, "seed": 3}
    for dataset in ("phantom", "cohen"):
        values["dataset"][dataset]["image_size"] = SIDE
        values["dataset"][dataset]["heatmaps"] = {"window": WINDOW, "stride": STRIDE, "fill": 128, "images": images}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A checkout with what the stages before left: ten phantoms and an untrained head that calls half of them covid."""
    folder = copy_of_checkout(tmp_path_factory.mktemp("heatmaps") / "checkout")
    edit_params(folder, edit)
    data = folder / "data/phantom"
    source = phantom_source(seed=2, images={"train": counts(), "test": counts(6, 2, 2)})
    phantom.fetch(source, data / "raw", folder, [])
    table = catalogue.checked(phantom.catalogue(data / "raw", folder), "phantom")
    images = decoded_images(table, data / "raw", {}, resize_and_crop(SIDE))
    write_images(images, data / "pixels.npy", data / "images.csv", table.columns, SIDE)
    table = catalogue.read(data / "images.csv").assign(split="test")
    catalogue.write(data / "images.csv", table)
    pixels = np.load(data / "pixels.npy")
    state = random_state(MODEL, 0, normalised(torch.from_numpy(pixels)))
    (data / "weights").mkdir()
    write_state(data / f"weights/{MODEL}.safetensors", MODEL, state)
    (features,) = extract(trunk(MODEL, state), [pixels], CPU)
    torch.manual_seed(1)
    weight = torch.randn(2, features.shape[1], 2)
    margin = torch.from_numpy(features) @ (weight[0, :, 0] - weight[0, :, 1])
    bias = torch.zeros(2, 2)
    bias[0, 1] = margin.median()  # ties with the cut-off: called covid
    weight, bias = weight.flip(0), bias.flip(0)  # the second head is shown
    weight, bias = weight / margin.std(), bias / margin.std()
    (folder / paths.handed_on("phantom", "explained") / MODEL).mkdir(parents=True)
    head = random_head(weight=weight.numpy(), bias=bias.numpy())
    write_head(folder / paths.handed_on("phantom", "explained") / MODEL / "head.safetensors", head)
    scores = score(features, weight.numpy(), bias.numpy())
    write_csv(folder / SCORES, score_table(table, scores, ["seed_5", "seed_6"]), digits=17)
    return folder


@pytest.fixture(scope="module")
def mapped(prepared, tmp_path_factory):
    """A copy of it in which the stage heatmaps ran."""
    folder = shutil.copytree(prepared, tmp_path_factory.mktemp("mapped") / "checkout")
    with chdir(folder):
        traced("phantom")
    return folder


@pytest.fixture
def ready(prepared, tmp_path, monkeypatch):
    """The folder that tests work in, before the stage heatmaps."""
    folder = shutil.copytree(prepared, tmp_path / "ready")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def after(mapped, tmp_path, monkeypatch):
    """The same, after it."""
    folder = shutil.copytree(mapped, tmp_path / "ready")
    monkeypatch.chdir(folder)
    return folder


def traced(dataset):
    """Run the stage heatmaps."""
    heatmaps(parameters(dataset), dataset, MODEL)


def located(dataset):
    """Run the stage localisation and return what it measured."""
    localisation(parameters(dataset), dataset, MODEL)
    return read_result(paths.results(dataset, f"heatmaps/{MODEL}"), NetHeat)


def as_patients(folder):
    """Let the same images be real ones: those of the data set cohen, without lesion masks."""
    data = shutil.copytree(folder / "data/phantom", folder / "data/cohen")
    table = catalogue.read(data / "images.csv").assign(mask="")
    catalogue.write(data / "images.csv", table)
    file = data / f"handed_on/explained/{MODEL}/head.safetensors"
    write_head(file, replace(read_head(file), dataset="cohen"))
    return data


def test_maps_are_written_with_why_each_image_was_chosen(after):
    folder = after / f"data/phantom/heatmaps/{MODEL}"
    rows = pd.read_csv(folder / "images.csv", float_precision="round_trip")
    assert rows.columns.tolist() == ["image_id", "label", "patient_id", "score", "cut_off", "why"]
    scores = pd.read_csv(after / SCORES).set_index("image_id")
    np.testing.assert_allclose(rows["score"], scores["seed_6"][rows["image_id"]], rtol=1e-12)
    assert set(rows["why"]) >= {"true positive", "sample"}
    occlusion, grad_cam = (np.load(folder / f"{name}.npy") for name in ("occlusion", "grad_cam"))
    for maps in (occlusion, grad_cam):
        assert maps.shape == (len(rows), SIDE, SIDE)
        assert maps.dtype == np.float32
        assert np.isfinite(maps).all()
    assert grad_cam.min() == 0 < grad_cam.max()

    # The corner of a stride is covered by the first window alone: the shown head's score with it there.
    pixels = np.load(after / "data/phantom/pixels.npy")
    own = catalogue.read(after / "data/phantom/images.csv")
    number = len(rows) - 1
    image = pixels[own.index[own["image_id"] == rows["image_id"][number]]].copy()
    image[:, :WINDOW, :WINDOW] = 128
    state = random_state(MODEL, 0, normalised(torch.from_numpy(pixels)))
    (features,) = extract(trunk(MODEL, state), [image], CPU)
    head = read_head(after / paths.handed_on("phantom", "explained") / MODEL / "head.safetensors")
    covered = score(features, head.weight, head.bias)[0, 1]
    assert np.ptp(occlusion[number, :STRIDE, :STRIDE]) == 0
    assert occlusion[number, 0, 0] == pytest.approx(rows["score"][number] - covered, abs=1e-5)


def test_where_the_heat_lies_is_measured_on_detected_covid_images(after):
    net = located("phantom")
    assert (net.model, net.recipe, net.window, net.stride, net.fill) == (MODEL, "paper", WINDOW, STRIDE, 128)
    folder = after / f"data/phantom/heatmaps/{MODEL}"
    rows = pd.read_csv(folder / "images.csv")
    assert net.chosen == {why.replace(" ", "_"): n for why, n in rows["why"].value_counts().items()}
    own = (rows["label"] == "covid") & (rows["score"] >= 0.5)
    assert net.lesions.images == own.sum() > 0
    heat, areas = np.load(folder / "grad_cam.npy"), []
    with zipfile.ZipFile(after / "data/phantom/raw/phantom.zip") as archive:
        for number in rows.index[own]:
            mask = Image.open(archive.open(f"masks/{rows['image_id'][number]}.png")).convert("L")
            side = (SIDE, round(SIDE * mask.height / mask.width)) if mask.width < mask.height else None
            side = side or (round(SIDE * mask.width / mask.height), SIDE)
            mask = mask.resize(side, Image.Resampling.BILINEAR)
            left, top = (side[0] - SIDE) // 2, (side[1] - SIDE) // 2
            areas.append(auc(heat[number], np.asarray(mask)[top : top + SIDE, left : left + SIDE] > 127))
    assert net.lesions.methods[GRAD_CAM].auc == pytest.approx(np.mean(areas), abs=0.01)
    assert net.lungs == NotLocated(skipped="the masks of phantoms are of lesions")


def test_where_lung_masks_are_among_the_raw_files_the_heat_in_the_lungs_is_measured(ready):
    data = as_patients(ready)
    table = catalogue.read(data / "images.csv").assign(source=masks.SOURCE)
    catalogue.write(data / "images.csv", table)
    with zipfile.ZipFile(data / "raw" / masks.ARCHIVE, "w") as archive:
        archive.writestr("metadata.csv", "")
    traced("cohen")
    net = located("cohen")
    assert net.lesions == NotLocated(skipped="no chosen COVID image that is detected has a lesion mask")
    assert net.lungs.skipped.startswith("no chosen COVID image that is detected is among the 517 with")
    with (
        zipfile.ZipFile(data / "raw" / masks.ARCHIVE, "w") as archive,
        zipfile.ZipFile(data / "raw/phantom.zip") as source,
    ):
        for name, image in zip(table["source_image"], table["image_id"], strict=True):
            if f"masks/{image}.png" in source.namelist():
                archive.writestr(f"x/{masks.FOLDER}/{name}_mask.png", source.read(f"masks/{image}.png"))
    net = located("cohen")
    rows = pd.read_csv(data / f"heatmaps/{MODEL}/images.csv")
    assert net.lungs.images == (rows["label"] == "covid").mul(rows["score"] >= rows["cut_off"]).sum() > 0
    assert 0 < net.lungs.mask_share < 0.5
    assert net.lungs.methods[RANDOM].heat_inside == pytest.approx(net.lungs.mask_share, abs=0.01)


def test_every_chosen_image_has_its_overlay_and_the_plot_for_git_is_small(after):
    located("phantom")
    rows = pd.read_csv(after / f"data/phantom/heatmaps/{MODEL}/images.csv")
    pictures = sorted(path.name for path in (after / f"data/phantom/overlays/{MODEL}").iterdir())
    assert pictures == [*(file_name(n, name) for n, name in enumerate(rows["image_id"])), "montage-01.png"]
    plot = paths.picture("phantom", MODEL)
    assert plot.stat().st_size < 600_000
    assert "Software" not in Image.open(plot).info


def picture_for_git(folder, dataset, change):
    """The bytes of the plot, after `change` was applied to the pixels that the localisation stage reads."""
    path = folder / f"data/{dataset}/pixels.npy"
    before = np.load(path)
    np.save(path, change(before))
    located(dataset)
    np.save(path, before)
    return paths.picture(dataset, MODEL).read_bytes()


def test_nothing_of_a_patients_pixels_reaches_the_plot_for_git(after):
    as_patients(after)
    traced("cohen")
    synthetic, other = (picture_for_git(after, "phantom", change) for change in (np.copy, np.invert))
    assert synthetic != other  # the test sees pixels where there are some
    real, other = (picture_for_git(after, "cohen", change) for change in (np.copy, np.invert))
    assert real == other
    own = after / f"data/cohen/overlays/{MODEL}"
    assert (own / "montage-01.png").read_bytes() != paths.picture("cohen", MODEL).read_bytes()


def test_a_net_that_detects_nothing_has_maps_and_pictures_all_the_same(ready):
    path = ready / SCORES
    scores = pd.read_csv(path)
    write_csv(path, scores.assign(seed_6=0.1), digits=17)
    as_patients(ready)
    for dataset in ("phantom", "cohen"):
        traced(dataset)
        net = located(dataset)
        assert net.lesions == NotLocated(skipped="no chosen COVID image that is detected has a lesion mask")
        assert net.chosen["false_negative"] == 1
        assert paths.picture(dataset, MODEL).stat().st_size > 1000


def test_maps_of_images_without_covid_of_both_collections_stand_side_by_side(after, refused):
    theirs = shutil.copytree(after / "data/phantom", after / "data/phantom-external")
    heatmaps_beside(parameters("phantom"), "phantom", MODEL, "phantom-external")
    target = paths.results("phantom", f"heatmaps/{MODEL}-beside-phantom-external")
    found = read_result(target, MapsBeside)
    rows = pd.read_csv(after / f"data/phantom/heatmaps/{MODEL}/images.csv")
    assert {name: own.images for name, own in found.groups.items()} == {
        WITH: ((rows["label"] == "covid") & (rows["score"] >= 0.5)).sum(),
        OTHER: 2,
        OWN: (rows["why"] == "sample").sum(),
    }
    # A head calls an image what it calls it in the table of its scores.
    scores, table = pd.read_csv(after / SCORES), catalogue.read(theirs / "images.csv")
    others = table["image_id"][table["label"] == "non"]
    called = scores.set_index("image_id")["seed_6"][others] >= 0.5
    assert 0 <= found.groups[OTHER].called <= called.sum()
    picture = paths.beside("phantom", MODEL, "phantom-external")
    first = picture.read_bytes()
    assert len(first) < 200_000
    heatmaps_beside(parameters("phantom"), "phantom", MODEL, "phantom-external")
    assert picture.read_bytes() == first

    edit_params(after, lambda values: values["dataset"]["phantom"]["heatmaps"]["images"].update(sample=0))
    heatmaps_beside(parameters("phantom"), "phantom", MODEL, "phantom-external")
    assert read_result(target, MapsBeside).groups == {}
    edit_params(after, lambda values: values["dataset"]["phantom"]["heatmaps"]["images"].update(sample=2))
    catalogue.write(theirs / "images.csv", table.assign(label="covid"))
    before = target.read_bytes()
    with refused("--images phantom-external: no image without COVID-19"):
        heatmaps_beside(parameters("phantom"), "phantom", MODEL, "phantom-external")
    assert target.read_bytes() == before


def test_a_net_that_does_not_run_has_empty_outputs(ready, capsys):
    edit_params(ready, lambda values: values.update(models=["resnet18"]))
    assert parameters().heatmapped_models == []
    for stage in (heatmaps, localisation):
        stage(parameters(), "phantom", MODEL)
    for name in (f"data/phantom/heatmaps/{MODEL}", f"data/phantom/overlays/{MODEL}"):
        assert not list((ready / name).iterdir())
    for name in (f"results/phantom/heatmaps/{MODEL}.json", f"plots/heatmaps/phantom/{MODEL}.png"):
        assert (ready / name).read_bytes() == b""
    said = capsys.readouterr().err.splitlines()
    assert [line.startswith(f"nothing to do: {MODEL} is not named in models") for line in said] == [True, True]


def test_maps_of_other_images_are_refused(after, refused):
    path = after / f"data/phantom/heatmaps/{MODEL}/occlusion.npy"
    np.save(path, np.load(path)[1:])
    with refused(f"data/phantom/heatmaps/{MODEL}", "dvc repro"):
        located("phantom")
    assert not paths.picture("phantom", MODEL).exists()
    assert not paths.results("phantom", f"heatmaps/{MODEL}").exists()


def test_scores_or_pixels_of_other_images_are_refused(ready, refused):
    path = ready / "data/phantom/pixels.npy"
    pixels = np.load(path)
    np.save(path, pixels[1:])
    with refused("data/phantom/pixels.npy: ", "a row for each of data/phantom/images.csv", "dvc repro"):
        traced("phantom")
    np.save(path, pixels)
    scores = pd.read_csv(ready / SCORES)
    scores["image_id"] = scores["image_id"] + "x"
    write_csv(ready / SCORES, scores)
    with refused(SCORES, "do not match the 10 test images of data/phantom/images.csv", "dvc repro"):
        traced("phantom")
    assert not (ready / "data/phantom/heatmaps").exists()


@pytest.mark.parametrize("name", ["cohen/a b.jpg", "../../etc/passwd", "ä" * 300, "C:\\x", ""])
def test_a_file_name_is_safe_and_no_two_are_the_same(name):
    made = file_name(7, name)
    assert made.isascii()
    assert len(made) < 130
    assert not set(made) & set('/\\:*?"<>| ')
    assert file_name(8, name) != made

"""Outputs that were emptied, cut or garbled: the stage that reads one refuses it in a line with name and remedy."""

import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from deepcovid.errors import UserError, describe
from deepcovid.passes import forked
from deepcovid.recorded import digest_of
from stages import paths
from stages._baselines import baselines
from stages._changed import changed
from stages._hidden import hidden
from stages._leakage import leakage
from stages._resolved import read_settings
from stages.audits import audits
from stages.augment import augment
from stages.collection import collection
from stages.download import download
from stages.evaluate import evaluate_stage
from stages.external_features import external_features
from stages.features import features
from stages.heatmaps import heatmaps
from stages.heatmaps_beside import heatmaps_beside
from stages.ladder import ladder_stage
from stages.localisation import localisation
from stages.plots import plots
from stages.replay import replay_stage
from stages.report import report
from stages.split import split
from stages.train import train_stage
from stages.weights import weights_stage
from tests.checkouts import copy_of_checkout, edit_params, parameters, smaller

pytestmark = pytest.mark.pipeline

MODEL, REPLAYED, OTHERS = "squeezenet1_1", "failed-reproduction-replayed", "phantom-external"
NET = ("phantom", MODEL)


def edit(values):
    smaller(values)
    for nets in ("models", "audited_models", "heatmapped_models", "replayed_models"):
        values[nets] = [MODEL]
    values["features"]["device"] = "cpu"
    values["dataset"]["phantom"]["heatmaps"] |= {"window": 32, "stride": 32}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """What phantom runs with, in a checkout in which the stages ran whose outputs others read, with a dvc.lock."""
    folder = copy_of_checkout(tmp_path_factory.mktemp("damage") / "checkout")
    edit_params(folder, edit)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        own = parameters()
        for dataset in ("phantom", OTHERS):
            for stage in (download, split, augment):
                stage(parameters(dataset), dataset)
        weights_stage(own, "phantom")
        features(own, *NET)
        train_stage(own, "phantom")
        replay_stage(own, *NET, REPLAYED)
        external_features(own, "phantom", OTHERS)
        evaluate_stage(own, "phantom")
        ladder_stage(own, "phantom")
        heatmaps(own, *NET)
        made = [path for name in ("data", "provenance", "results") for path in Path(name).rglob("*") if path.is_file()]
        outs = [{"path": str(path), "md5": digest_of(path), "size": path.stat().st_size} for path in made]
        YAML().dump({"stages": {"made": {"cmd": "all of it", "outs": outs}}}, Path("dvc.lock"))
        yield own


def empty(content):
    return b""


def cut(content):
    return content[: len(content) // 2 + 1].rstrip(b"\n")


def half(content):
    """Half the lines, or half the rows of an array."""
    if content.startswith(b"\x93NUMPY"):
        return content[: len(content) // 2]
    lines = content.splitlines(keepends=True)
    return b"".join(lines[: len(lines) // 2 + 1])


def garbled(content):
    return np.random.default_rng(0).bytes(len(content))


def noise(content):
    """Other numbers behind the header of an array, or of weights."""
    start = 128 if content.startswith(b"\x93NUMPY") else 8 + int.from_bytes(content[:8], "little")
    return content[:start] + np.random.default_rng(0).bytes(len(content) - start)


def in_words(content):
    """A table whose last value is no number."""
    return content.rstrip(b"\n") + b"x\n"


TABLE = (empty, cut, half, garbled)
NUMBERS = (*TABLE, in_words)
ARRAY = (empty, cut, garbled)
FLOATS = (*ARRAY, noise)
JSON = (empty, cut, garbled)
DATA, THEIRS = Path("data/phantom"), Path("data") / OTHERS
HANDED = DATA / "handed_on"
SCORES, LOG = (DATA / f"{what}/frozen/{MODEL}/paper.csv" for what in ("scores", "training"))
REPLAY = Path(f"results/replayed/phantom/{MODEL}-{REPLAYED}-scores.csv")
MAPS = DATA / f"heatmaps/{MODEL}"
# Each output that a stage reads, and how it may be damaged.
READ = {
    split: {DATA / "catalogue.csv": TABLE, "provenance/phantom/data.json": JSON},
    augment: {DATA / "split.csv": TABLE, "results/phantom/split.json": JSON, DATA / "raw/phantom.zip": (empty, cut)},
    weights_stage: {DATA / "images.csv": TABLE, DATA / "pixels.npy": ARRAY},
    features: {
        DATA / "images.csv": TABLE,
        DATA / "pixels.npy": ARRAY,
        DATA / "spare/images.csv": TABLE,
        DATA / "spare/pixels.npy": ARRAY,
        DATA / f"weights/{MODEL}.safetensors": FLOATS,
    },
    train_stage: {
        DATA / "images.csv": TABLE,
        DATA / "pixels.npy": ARRAY,
        DATA / "spare/images.csv": TABLE,
        DATA / f"features/{MODEL}/images.npy": FLOATS,
        DATA / f"features/{MODEL}/spare.npy": FLOATS,
        DATA / f"weights/{MODEL}.safetensors": ARRAY,
    },
    replay_stage: {
        DATA / "images.csv": TABLE,
        DATA / "pixels.npy": ARRAY,
        DATA / f"weights/{MODEL}.safetensors": FLOATS,
    },
    evaluate_stage: {
        DATA / "images.csv": TABLE,
        SCORES: NUMBERS,
        LOG: NUMBERS,
        REPLAY: NUMBERS,
        str(REPLAY).replace("scores", "log"): NUMBERS,
        f"results/phantom/resplit/{MODEL}/splits.csv": NUMBERS,
        f"results/phantom/resplit/{MODEL}/halves.csv": (empty, cut, garbled, in_words),
        DATA / f"heads/frozen/{MODEL}/paper.safetensors": FLOATS,
        DATA / f"weights/{MODEL}.safetensors": FLOATS,
        DATA / f"external/{OTHERS}/images.csv": TABLE,
        DATA / f"external/{OTHERS}/{MODEL}.npy": ARRAY,
    },
    ladder_stage: {
        DATA / "images.csv": TABLE,
        DATA / f"features/{MODEL}/images.npy": FLOATS,
        HANDED / f"replayed/{MODEL}-{REPLAYED}.csv": NUMBERS,
    },
    leakage: {
        DATA / "images.csv": TABLE,
        DATA / "pixels.npy": ARRAY,
        DATA / f"features/{MODEL}/images.npy": FLOATS,
    },
    baselines: {
        DATA / "images.csv": TABLE,
        DATA / "pixels.npy": ARRAY,
        DATA / f"features/{MODEL}/images.npy": FLOATS,
        HANDED / f"audited/{MODEL}-paper.csv": NUMBERS,
    },
    hidden: {
        DATA / "images.csv": TABLE,
        DATA / f"features/{MODEL}/images.npy": FLOATS,
        DATA / f"features/{MODEL}/hidden.npy": FLOATS,
    },
    changed: {
        DATA / "images.csv": TABLE,
        DATA / "pixels.npy": ARRAY,
        DATA / f"weights/{MODEL}.safetensors": FLOATS,
        HANDED / f"audited/{MODEL}-paper.safetensors": FLOATS,
    },
    external_features: {
        THEIRS / "images.csv": TABLE,
        THEIRS / "pixels.npy": ARRAY,
        DATA / f"weights/{MODEL}.safetensors": FLOATS,
    },
    collection: {
        DATA / f"external/{OTHERS}/images.csv": TABLE,
        DATA / "images.csv": TABLE,
        DATA / f"external/{OTHERS}/{MODEL}.npy": ARRAY,
        DATA / f"features/{MODEL}/images.npy": FLOATS,
    },
    heatmaps: {
        DATA / "images.csv": TABLE,
        DATA / "pixels.npy": ARRAY,
        HANDED / f"explained/{MODEL}/scores.csv": NUMBERS,
        HANDED / f"explained/{MODEL}/head.safetensors": FLOATS,
        DATA / f"weights/{MODEL}.safetensors": FLOATS,
    },
    heatmaps_beside: {
        THEIRS / "images.csv": TABLE,
        THEIRS / "pixels.npy": ARRAY,
        DATA / "images.csv": TABLE,
        MAPS / "images.csv": TABLE,
        MAPS / "occlusion.npy": FLOATS,
        HANDED / f"explained/{MODEL}/head.safetensors": FLOATS,
        DATA / f"weights/{MODEL}.safetensors": FLOATS,
    },
    localisation: {
        DATA / "images.csv": TABLE,
        DATA / "pixels.npy": ARRAY,
        MAPS / "images.csv": TABLE,
        MAPS / "grad_cam.npy": FLOATS,
        MAPS / "sanity.csv": NUMBERS,
    },
    report: {
        SCORES: NUMBERS,
        LOG: NUMBERS,
        REPLAY: NUMBERS,
        "results/phantom/runs.json": JSON,
        "provenance/phantom/data.json": JSON,
    },
    plots: {
        "results/phantom/curves/runs/roc.csv": TABLE,
        "results/phantom/curves/runs/training.csv": NUMBERS,
        "results/phantom/curves/ladder.csv": NUMBERS,
        "results/phantom/calibration.json": JSON,
    },
}
CASES = [
    pytest.param(stage, Path(path), damage, id=f"{stage.__name__}-{path}-{damage.__name__}")
    for stage, files in READ.items()
    for path, kinds in files.items()
    for damage in kinds
]


def started(stage, own):
    """Run a stage by itself, with the options that it takes; `own` is what the data set runs with."""
    if stage is plots:
        return stage(read_settings())
    options = {
        **dict.fromkeys((features, heatmaps, localisation), (MODEL,)),
        **dict.fromkeys((external_features, collection), (OTHERS,)),
        heatmaps_beside: (MODEL, OTHERS),
        replay_stage: (MODEL, REPLAYED),
    }
    return partial(stage, own, "phantom")(*options.get(stage, ()))


@pytest.mark.parametrize(("stage", "path", "damage"), CASES)
def test_a_damaged_output_is_refused_in_a_line_that_names_it(study, stage, path, damage):
    content = path.read_bytes()
    assert damage(content) != content
    path.write_bytes(damage(content))
    try:
        with pytest.raises(UserError) as caught:
            started(stage, study)
    finally:
        path.write_bytes(content)
    message = describe(caught.value)
    assert str(path) in message
    assert "dvc repro" in message or "again" in message
    assert "\n" not in message


def test_a_whole_study_is_read(study):
    for stage in (split, augment, evaluate_stage, ladder_stage, heatmaps, localisation):
        started(stage, study)
    assert paths.results("phantom", f"heatmaps/{MODEL}").is_file()


def test_what_a_killed_audit_left_of_its_work_is_written_over_and_removed(study):
    left = paths.unfinished("audits", "phantom", MODEL)
    left.mkdir(parents=True)
    for name in ("vectors", "straight", "mirrored"):
        (left / f"{name}.npy").write_bytes(b"cut")
    leakage(study, "phantom")
    assert paths.results("phantom", "leakage").is_file()
    assert not left.exists()


def test_an_audit_that_ends_with_another_leaves_nothing(study, refused, monkeypatch):
    left = paths.unfinished("audits", "phantom", MODEL)

    def at_work(*_):
        left.mkdir(parents=True)
        time.sleep(60)

    def failing(*_):
        while not left.exists():
            time.sleep(0.01)
        raise UserError("no luck")

    monkeypatch.setattr("stages.audits.AUDITS", (at_work, failing))
    monkeypatch.setattr(forked, "cpu_count", lambda: 2)
    with refused("no luck"):
        audits(study, "phantom")
    assert not left.exists()

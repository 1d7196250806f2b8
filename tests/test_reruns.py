"""What an edit reruns: the real dvc.yaml and the real stage `resolve`, with stubs in place of the other commands.

A stub leaves the same outputs whenever it runs, so that a stage reruns only for what it tracks itself.
"""

import json
import os
import re
import shlex
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from stages import _fingerprints
from tests.checkouts import ROOT, copy_of_checkout, edit_params, run

EVERY_STAGE = {stage for stage in YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"] if "test-set" not in stage}
# Files that a stage reads out of a folder that another leaves.
INSIDE = {
    "/weights": [f"{net}.safetensors" for net in ("resnet18", "squeezenet1_1")],
    "/features/": ["images.npy"],
    "/heads/frozen/": ["paper.safetensors"],
    "/scores/frozen/": ["paper.csv"],
}


def two_nets(values):
    values["models"] = ["resnet18", "squeezenet1_1"]
    values["recipes"] = ["paper", "failed-reproduction"]
    values["replays"] = ["failed-reproduction-replayed"]


def stub(path):
    """Return a shell command that leaves an output, a folder unless its name has a suffix."""
    inside = next((names for part, names in INSIDE.items() if part in path), ["file"])
    files = [path] if re.search(r"\.\w+$", path) else [f"{path}/{name}" for name in inside]
    return " && ".join(f"mkdir -p {shlex.quote(str(Path(file).parent))} && echo x > {file}" for file in files)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """A repository in which the stubs ran once."""
    folder = copy_of_checkout(tmp_path_factory.mktemp("reruns") / "checkout")
    edit_params(folder, two_nets)
    yaml = YAML()
    whole = yaml.load(folder / "dvc.yaml")
    for name, stage in whole["stages"].items():
        if name != "resolve":
            outs = [next(iter(out)) if isinstance(out, dict) else out for out in stage["outs"]]
            stage["cmd"] = " && ".join(stub(out) for out in outs)
    yaml.dump(whole, folder / "dvc.yaml")
    run(["git", "init", "-q"], folder)
    assert reproduced(folder) >= {"resolve", "report@phantom", "train@phantom-resnet18"}
    return folder


def reproduced(folder):
    """Run `dvc repro` and return the stages that ran."""
    before, path = Path.cwd(), os.environ["PATH"]
    os.chdir(folder)
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{path}"
    try:
        with Repo() as repository:
            return {stage.addressing for stage in repository.reproduce()}
    finally:
        os.chdir(before)
        os.environ["PATH"] = path


@pytest.fixture
def edited(pipeline):
    """A function that changes a file of the pipeline with a function of its text; the file is put back at the end."""
    kept = {}

    def edit(name, change):
        path = pipeline / name
        kept.setdefault(path, path.read_text("utf-8"))
        path.write_text(change(path.read_text("utf-8")), "utf-8")
        return reproduced(pipeline)

    yield edit
    for path, text in kept.items():
        path.write_text(text, "utf-8")
    reproduced(pipeline)


def without_matrix(stages):
    return {stage.split("@")[0] for stage in stages}


def test_a_second_repro_runs_nothing_but_resolve(pipeline):
    assert reproduced(pipeline) == {"resolve"}


def test_comments_and_docstrings_rerun_nothing(pipeline):
    def reworded(text):
        return re.sub(r'"""(.)', r'"""Once more: \1', "# a comment\n" + text)

    files = [path for room in ("deepcovid", "stages") for path in (pipeline / room).rglob("*.py")]
    kept = {path: path.read_text("utf-8") for path in files}
    try:
        for path, text in kept.items():
            path.write_text(reworded(text), "utf-8")
        assert reproduced(pipeline) == {"resolve"}
    finally:
        for path, text in kept.items():
            path.write_text(text, "utf-8")


@pytest.mark.parametrize(
    ("module", "constant", "stages"),
    [
        ("stages/split.py", "x = 1", {"split"}),
        ("deepcovid/splitting.py", "x = 1", {"split"}),
        ("deepcovid/images/augmentation.py", "x = 1", {"augment"}),
        ("deepcovid/nets/weights.py", "x = 1", {"weights", "features"}),
        ("deepcovid/heads/replay.py", "x = 1", {"replay"}),
        ("deepcovid/heads/schedules.py", "x = 1", {"train", "replay", "ladder", "baselines", "hidden"}),
        ("deepcovid/statistics/curves.py", "x = 1", {"evaluate", "report"}),
        ("deepcovid/heatmaps/occlusion.py", "x = 1", {"heatmaps"}),
        ("deepcovid/sources/phantom/anatomy.py", "x = 1", {"download"}),
        ("deepcovid/audits/keypoints.py", "x = 1", {"leakage"}),
        ("deepcovid/files.py", "x = 1", EVERY_STAGE - {"external"}),
        ("deepcovid/settings.py", "x = 1", EVERY_STAGE - {"external"}),
    ],
)
def test_an_edit_reruns_the_stages_that_use_the_module(edited, module, constant, stages):
    ran = without_matrix(edited(module, lambda text: f"{text}\n{constant}\n"))
    assert ran - {"report", "plots"} == (stages | {"resolve"}) - {"report", "plots"}
    assert "report" in ran  # its page shows every stage's code
    assert {"plots"} & ran == {"plots"} & stages


def test_a_net_more_makes_no_other_nets_stages_stale(edited, pipeline):
    def one_more(text):
        return text.replace(
            "NETS = {", 'NETS = {\n    "alexnet": Net(title="A", last_layer="classifier", last_stage="features"),'
        )

    assert without_matrix(edited("deepcovid/nets/zoo.py", one_more)) == {"resolve"}
    ran = edited("params.yaml", lambda text: text.replace("- squeezenet1_1\n", "- squeezenet1_1\n- alexnet\n", 1))
    assert {"features@phantom-alexnet", "train@phantom-alexnet"} <= ran
    assert not {
        stage for stage in ran if stage.startswith(("features@", "train@", "replay@")) and "alexnet" not in stage
    }


def test_a_parameter_reruns_the_stages_that_track_it(edited):
    ran = edited("params.yaml", lambda text: text.replace("components: 64", "components: 63"))
    assert without_matrix(ran) == {"resolve", "train", "report"}


def test_a_recipe_reruns_the_heads_and_no_net(edited):
    ran = without_matrix(edited("params.yaml", lambda text: text.replace("epochs: 150", "epochs: 149", 1)))
    assert ran == {"resolve", "train", "ladder", "report"}


def test_naming_nets_alone_passes_over_the_lists_that_name_others(edited, pipeline):
    ran = edited("params.yaml", lambda text: text.replace("- resnet18\n", "", 1))
    assert "features@phantom-squeezenet1_1" not in ran
    resolved = json.loads((pipeline / "resolved/phantom.json").read_text())["parameters"]
    assert resolved["models"] == ["squeezenet1_1"]
    assert resolved["audited_models"] == resolved["heatmapped_models"] == []
    assert not resolved["nets"]["resnet18"]["runs"]


@pytest.mark.parametrize("name", ["audited_models", "heatmapped_models", "replayed_models", "replays"])
def test_an_empty_list_switches_its_part_off(edited, name):
    ran = edited("params.yaml", lambda text: re.sub(rf"^{name}:.*\n(- .*\n)+", f"{name}: []\n", text, flags=re.M))
    assert "resolve" in ran


@pytest.fixture
def faked(pipeline, tmp_path, monkeypatch):
    """A function that makes a package seem to be installed with other metadata."""

    def fake(package, metadata):
        folder = tmp_path / f"{package}-99.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\n{metadata}")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    yield fake
    monkeypatch.undo()
    reproduced(pipeline)


def test_a_new_version_of_a_package_reruns_the_stages_that_use_it(pipeline, faked):
    faked("captum", "Version: 99.0\n")
    assert without_matrix(reproduced(pipeline)) == {"resolve", "heatmaps", "report"}


def test_a_package_without_a_version_is_refused_before_anything_runs(pipeline, faked):
    faked("captum", "")
    result = run([sys.executable, "-m", "stages.resolve"], pipeline)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith("error: captum: not installed, or without a version; install it again")


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [("parameters", "seeds", [7, 8]), ("code", "split", "0"), ("packages", "split", "pandas 0")],
)
def test_a_resolved_file_that_was_edited_by_hand_is_refused(pipeline, part, key, value):
    path = pipeline / "resolved/phantom.json"
    text = path.read_text()
    try:
        values = json.loads(text)
        values[part][key] = value
        path.write_text(json.dumps(values))
        result = run([sys.executable, "-m", "stages.split", "--dataset", "phantom"], pipeline)
    finally:
        path.write_text(text)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith(f"error: resolved/phantom.json: {part}.{key} is not what params.yaml")
    assert "`dvc repro`" in result.stderr


def test_what_a_stage_reads_of_the_parameters_is_what_it_tracks():
    """By the names in the code of its script and of the helpers beside it."""
    for name, stage in YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"].items():
        if name in ("resolve", "plots", "report"):
            continue
        script = re.search(r"stages\.(\w+)", stage["cmd"])[1]
        ours = [
            module
            for module in _fingerprints.modules_of(script)
            if module.startswith("stages.") and "._r" not in module
        ]
        read = {part for module in ours for part in parameters_read(module)}
        (tracked,) = (keys for entry in stage["params"] for keys in entry.values())
        assert {key.split(".")[1] for key in tracked if key.startswith("parameters.")} == read, name
        assert {f"code.{script}", f"packages.{script}"} <= set(tracked), name


def parameters_read(module):
    return re.findall(r"\bparameters\.(\w+)", (ROOT / f"{module.replace('.', '/')}.py").read_text("utf-8"))


def test_fingerprints_follow_every_import():
    """An import that the walk cannot follow would leave results stale."""
    for path in [*(ROOT / "deepcovid").rglob("*.py"), *(ROOT / "stages").rglob("*.py")]:
        text = path.read_text("utf-8")
        assert not re.search(r"\b(import_module|__import__|exec|eval|runpy)\s*\(", text), path

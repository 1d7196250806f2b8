"""What an edit makes stale: the real dvc.yaml and the real stage `resolve`, with stubs in place of the other commands.

The stubs run once. After an edit `resolve` runs, and DVC says which stages' own parameters or files have changed. Where
many modules are tried, their fingerprints are compared instead: each stage tracks its own (tests/test_dvc_yaml.py).
"""

import inspect
import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from deepcovid.parameters import Parameters
from stages import _fingerprints
from tests.checkouts import PATH, ROOT, copy_of_checkout, edit_params, run

# The scripts of the stages that are of one data set.
EVERY_STAGE = {
    re.search(r"stages\.(\w+)", entry["cmd"])[1]
    for stage, entry in YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"].items()
    if stage not in ("resolve", "plots", "dials")
}
ALWAYS = {"plots", "report"}  # the page shows every stage's parameters and code; the plots are of all data sets
TRAINING = {"train", "ladder", "audits", "collection"}  # under the paper's recipe
# Files that a stage reads out of a folder that another leaves.
INSIDE = {
    "/weights": [f"{net}.safetensors" for net in ("resnet18", "squeezenet1_1")],
    "/handed_on/explained": ["resnet18/head.safetensors"],
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
    result = run([sys.executable, "-m", "dvc", "repro"], folder, PATH=PATH)
    assert result.returncode == 0, result.stderr
    return folder


def resolve(folder):
    return run([sys.executable, "-m", "stages.resolve"], folder)


def stale(folder):
    """Return the stages that DVC would run, `resolve` aside, those that follow from others aside."""
    result = resolve(folder)
    assert result.returncode == 0, result.stderr
    with Repo(folder) as repository:
        return {name.rsplit(":", 1)[-1] for name in repository.status()} - {"resolve"}


@pytest.fixture
def edited(pipeline):
    """A function that changes a file of the pipeline with a function of its text; the file is put back at the end."""
    kept = {}

    def edit(name, change):
        path = pipeline / name
        kept.setdefault(path, path.read_text("utf-8"))
        changed = change(kept[path])
        assert changed != kept[path]
        path.write_text(changed, "utf-8")
        return stale(pipeline)

    resolved = {path: path.read_text("utf-8") for path in (pipeline / "resolved").iterdir()}
    yield edit
    for path, text in (kept | resolved).items():
        path.write_text(text, "utf-8")


def without_matrix(stages):
    return {stage.split("@")[0] for stage in stages}


def test_a_second_repro_runs_nothing_but_resolve(pipeline):
    assert stale(pipeline) == set()


def test_comments_and_docstrings_rerun_nothing(pipeline):
    def reworded(text):
        return re.sub(r'"""(.)', r'"""Once more: \1', "# a comment\n" + text)

    files = [path for room in ("deepcovid", "stages") for path in (pipeline / room).rglob("*.py")]
    kept = {path: path.read_text("utf-8") for path in files}
    try:
        for path, text in kept.items():
            path.write_text(reworded(text), "utf-8")
        assert stale(pipeline) == set()
    finally:
        for path, text in kept.items():
            path.write_text(text, "utf-8")


@pytest.fixture(scope="module")
def fingerprints(pipeline):
    """A function that returns the fingerprint of each stage's code, with the pipeline's modules as they now are."""
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(_fingerprints, "ROOT", pipeline)
    caches = (_fingerprints.code_of, _fingerprints.packages_of, _fingerprints.modules_of, _fingerprints.module_at)

    def take():
        for cached in caches:
            cached.cache_clear()
        return {stage: _fingerprints.code_of(stage) for stage in _fingerprints.stages()}

    yield take
    monkeypatch.undo()
    for cached in caches:
        cached.cache_clear()


@pytest.fixture(scope="module")
def code(fingerprints):
    """The fingerprints before any edit."""
    return fingerprints()


@pytest.mark.parametrize(
    ("module", "stages"),
    [
        ("stages/split.py", {"split", "external_images"}),
        ("deepcovid/splitting.py", {"split", "external_images", "train"}),
        ("deepcovid/images/augmentation.py", {"augment", "external_images"}),
        ("deepcovid/nets/weights.py", {"weights", "features", "heatmaps", "heatmaps_beside"}),
        ("deepcovid/heads/replay.py", {"replay"}),
        ("deepcovid/heads/schedules.py", TRAINING | {"replay"}),
        ("deepcovid/statistics/curves.py", {"evaluate"}),
        ("deepcovid/heatmaps/occlusion.py", {"heatmaps", "heatmaps_beside"}),
        ("deepcovid/sources/phantom/anatomy.py", {"download", "external_images", "audits"}),
        ("deepcovid/audits/keypoints.py", {"audits"}),
        ("deepcovid/files.py", EVERY_STAGE),
        ("deepcovid/settings/datasets.py", EVERY_STAGE),
    ],
)
def test_an_edit_changes_the_code_of_the_stages_that_use_the_module(pipeline, fingerprints, code, module, stages):
    path = pipeline / module
    text = path.read_text("utf-8")
    path.write_text(f"{text}\nx = 1\n", "utf-8")
    try:
        after = fingerprints()
    finally:
        path.write_text(text, "utf-8")
    changed = {stage for stage in code if code[stage] != after[stage]}
    assert changed & EVERY_STAGE - {"report"} == stages - {"report"}


def test_an_edit_reruns_the_stages_whose_code_it_changes(edited):
    found = without_matrix(edited("deepcovid/heads/schedules.py", lambda text: f"{text}\nx = 1\n"))
    assert found == TRAINING | {"replay"} | ALWAYS


def test_a_net_more_makes_no_other_nets_stages_stale(edited):
    """The heads of all nets are trained in one stage, which remembers those that it trained (test_train_stage.py)."""
    line = 'NETS = {\n    "alexnet": Net(title="AlexNet", last_layer="classifier", last_stage="features"),'
    assert edited("deepcovid/nets/zoo.py", lambda text: text.replace("NETS = {", line)) == set()
    found = edited("params.yaml", lambda text: text.replace("- squeezenet1_1\n", "- squeezenet1_1\n- alexnet\n", 1))
    of_nets = {stage for stage in found if stage.startswith(("features@", "replay@", "heatmaps@"))}
    assert of_nets == {"features@phantom-alexnet"}


def test_a_parameter_reruns_the_stages_that_track_it(edited):
    found = edited("params.yaml", lambda text: text.replace("components: 64", "components: 63"))
    assert without_matrix(found) == {"train"} | ALWAYS


def test_a_recipe_reruns_the_heads_and_no_net(edited):
    found = edited("params.yaml", lambda text: text.replace("    epochs: 150", "    epochs: 149", 1))
    assert without_matrix(found) == {"train"} | ALWAYS  # the ladder names other recipes
    found = edited("params.yaml", lambda text: text.replace("    epochs: 100", "    epochs: 99", 1))
    assert without_matrix(found) == TRAINING | {"evaluate"} | ALWAYS  # the paper's are those that a reviewer asks about


def test_naming_nets_alone_passes_over_the_lists_that_name_others(edited, pipeline):
    edited("params.yaml", lambda text: text.replace("- resnet18\n", "", 1))
    resolved = json.loads((pipeline / "resolved/phantom.json").read_text())["parameters"]
    assert resolved["models"] == ["squeezenet1_1"]
    assert resolved["audited_models"] == resolved["heatmapped_models"] == []
    assert resolved["retrained_models"] == ["squeezenet1_1"]
    assert not resolved["nets"]["resnet18"]["runs"]
    assert set(Parameters.model_validate(resolved).runs) == {
        "squeezenet1_1-paper",
        "squeezenet1_1-failed-reproduction",
    }


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("audited_models", ""),
        ("heatmapped_models", "heatmaps"),
        ("replayed_models", "replay"),
        ("replays", "replay"),
        ("test_sets", "external-features"),
    ],
)
def test_an_empty_list_switches_its_part_off(edited, pipeline, name, gone):
    edited("params.yaml", lambda text: re.sub(rf"^{name}:.*\n(- .*\n)+", f"{name}: []\n", text, flags=re.MULTILINE))
    with Repo(pipeline) as repository:
        names = {stage.addressing.rsplit(":", 1)[-1].split("@")[0] for stage in repository.index.stages}
    assert gone not in names
    assert {"resolve", "train", "evaluate", "report"} <= names


@pytest.fixture
def faked(pipeline, tmp_path, monkeypatch):
    """A function that makes a package seem to be installed with other metadata."""

    def fake(package, metadata):
        folder = tmp_path / f"{package}-99.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\n{metadata}")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    resolved = {path: path.read_text("utf-8") for path in (pipeline / "resolved").iterdir()}
    yield fake
    for path, text in resolved.items():
        path.write_text(text, "utf-8")


def test_a_new_version_of_a_package_reruns_the_stages_that_use_it(pipeline, faked):
    faked("captum", "Version: 99.0\n")
    assert without_matrix(stale(pipeline)) == {"heatmaps", "heatmaps-beside"} | ALWAYS


def test_a_package_without_a_version_is_refused_before_anything_runs(pipeline, faked):
    faked("captum", "")
    result = resolve(pipeline)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith("error: captum: not installed, or without a version; install it again")


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [("parameters", "seeds", [7, 8]), ("code", "split", "0"), ("packages", "split", "0")],
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
        read = {key for module in ours for part in parameters_read(module) for key in behind(part)}
        (tracked,) = (keys for entry in stage["params"] for path, keys in entry.items() if "images" not in path)
        keys = {key.split(".")[1] for key in tracked if key.startswith("parameters.")}
        # A net's line is tracked by the stages that look it up in the zoo.
        # How the stage dials filters and splits is read by the name of a data set, of two.
        apart = {"nets"} | ({"filter", "split"} if name == "dials" else set())
        assert keys - apart == read - apart, name
        assert {f"code.{script}", f"packages.{script}"} <= set(tracked), name


def behind(part):
    """The keys that a part of the parameters is made from: itself, unless it is a property."""
    made = getattr(Parameters, part, None)
    if not isinstance(made, property):
        return {part}
    return {key for own in re.findall(r"\bself\.(\w+)", inspect.getsource(made.fget)) for key in behind(own)}


def parameters_read(module):
    return re.findall(r"\bparameters\.(\w+)", (ROOT / f"{module.replace('.', '/')}.py").read_text("utf-8"))


def test_fingerprints_follow_every_import():
    """An import that the walk cannot follow would leave results stale."""
    modules = {module for stage in _fingerprints.stages() for module in _fingerprints.modules_of(stage)}
    assert len(modules) > 50
    for module in modules:
        path = _fingerprints._file(module)
        text = path.read_text("utf-8")
        assert not re.search(r"(?<!\.)\b(import_module|__import__|exec|eval)\(|importlib\.import|runpy", text), path


def resolved_with(folder, name, line):
    """Return what `resolve` says while the file `name` ends with another line."""
    path = folder / name
    text = path.read_text("utf-8")
    try:
        path.write_text(f"{text}\n{line}\n", "utf-8")
        return resolve(folder)
    finally:
        path.write_text(text, "utf-8")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x = (", "not Python that can be read"),
        ("from . import paths", "not Python that can be read (relative import)"),
        ("from deepcovid.nope import x", "imports deepcovid.nope, which does not exist"),
    ],
)
def test_code_that_cannot_be_followed_is_refused_before_anything_runs(pipeline, code, message):
    result = resolved_with(pipeline, "deepcovid/splitting.py", code)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert f"deepcovid/splitting.py: {message}" in result.stderr


@pytest.mark.parametrize("value", ["2020-13-45", "!!int x", '!!int ""', "!!bool x", "{[[1], 2]: 3}"])
def test_a_value_that_yaml_cannot_read_is_refused_in_one_line(pipeline, value):
    result = resolved_with(pipeline, "params.yaml", f"extra: {value}")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith("error: params.yaml: holds a value that YAML cannot read")

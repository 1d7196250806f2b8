"""The real `dvc` on a small phantom, in a repository of its own: what users live in."""

import html
import io
import json
import os
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from ruamel.yaml import YAML

from deepcovid import catalogue
from deepcovid.nets.zoo import title_of
from deepcovid.report.sentences import finding
from tests.checkouts import copy_of_checkout, edit_params, run, smaller
from tests.radiographs import dicom

# `python` and `dvc` are to be those that run the tests.
ENVIRONMENT = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A git repository in which the small pipeline ran once and its results are committed."""
    folder = copy_of_checkout(tmp_path_factory.mktemp("pipeline"))
    edit_params(folder, smaller)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "start")
    result = dvc(folder, "repro")
    assert result.returncode == 0, result.stderr
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "results")
    return folder


def git(folder, *arguments):
    result = run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments], folder)
    assert result.returncode == 0, result.stderr
    return result.stdout


def dvc(folder, *arguments):
    return run([sys.executable, "-m", "dvc", *arguments], folder, **ENVIRONMENT)


def ran(result):
    """Return the stages that a `dvc` command ran."""
    assert result.returncode == 0, result.stderr
    return {line.split("'")[1] for line in result.stdout.splitlines() if line.startswith("Running stage")}


def test_a_second_repro_runs_nothing(repository):
    assert ran(dvc(repository, "repro")) == set()


def test_a_comment_in_the_readme_reruns_nothing(repository):
    with (repository / "README.md").open("a") as readme:
        readme.write("\n<!-- a comment -->\n")
    assert ran(dvc(repository, "repro")) == set()
    git(repository, "checkout", "-q", "README.md")


def test_the_same_commands_twice_give_the_same_bytes(repository):
    before = {path: path.read_bytes() for path in results(repository)}
    assert len(before) > 10
    assert "train@phantom-resnet18-paper" in ran(dvc(repository, "repro", "--force"))
    assert {path: path.read_bytes() for path in results(repository)} == before
    assert git(repository, "status", "--porcelain", "dvc.lock") == ""


def results(repository):
    return sorted(path for name in ("metrics", "plots") for path in (repository / name).rglob("*") if path.is_file())


def test_another_recipe_reruns_its_heads_only_and_the_change_shows(repository):
    result = dvc(repository, "exp", "run", "-S", "recipe.paper.epochs=2")
    assert ran(result) == {
        *(f"{stage}@phantom-{net}-paper" for stage in ("train", "evaluate") for net in ("squeezenet1_1", "resnet18")),
        *(f"{stage}@phantom" for stage in ("compare", "ladder", "plots", "report")),
        *(f"{stage}@phantom-resnet18" for stage in ("heatmaps", "overlays")),
        "localisation@phantom",
        *(f"{stage}@phantom" for stage in ("baselines", "hidden", "calibration", "audit")),  # no net runs again
    }
    changed = json.loads(dvc(repository, "metrics", "diff", "--json").stdout)
    runs = {name for name in changed if "paper" in name}
    assert "metrics/phantom/audit.json" in changed
    assert runs == {f"metrics/phantom/{net}-paper.json" for net in ("squeezenet1_1", "resnet18")}
    assert not any("failed-reproduction" in name for name in changed)
    shown = dvc(repository, "plots", "diff", "--json")
    assert shown.returncode == 0, shown.stderr
    drawn = json.loads(shown.stdout)["data"]
    losses = next(plots for name, plots in drawn.items() if name.endswith("Training loss"))
    assert {revision for plot in losses for revision in plot["revisions"]} == {"HEAD", "workspace"}
    git(repository, "checkout", "-q", ".")
    assert dvc(repository, "checkout").returncode == 0


def test_a_flipped_switch_shows_in_the_failures_confusion_matrix_in_both_diffs(repository):
    assert dvc(repository, "exp", "run", "-S", "recipe.failed-reproduction.cut_off=1.0").returncode == 0
    changed = json.loads(dvc(repository, "metrics", "diff", "--json").stdout)
    confusion = changed["metrics/phantom/resnet18-failed-reproduction.json"]
    assert (confusion["confusion.tp"]["new"], confusion["confusion.fn"]["new"]) == (0, 6)
    assert confusion["confusion.tp"]["old"] > 0
    drawn = json.loads(dvc(repository, "plots", "diff", "--json").stdout)["data"]
    matrices = next(plots for name, plots in drawn.items() if name.endswith("Confusion matrices"))
    rows = [row for plot in matrices for row in plot["content"]["data"]["values"]]
    found = {
        row["rev"]: row["images"]
        for row in rows
        if (row["model"], row["recipe"], row["actual"], row["predicted"])
        == ("resnet18", "failed-reproduction", "covid", "covid")
    }
    assert found == {"HEAD": str(confusion["confusion.tp"]["old"]), "workspace": "0"}
    git(repository, "checkout", "-q", ".")
    assert dvc(repository, "checkout").returncode == 0


def test_the_readmes_python_example_runs_on_what_the_pipeline_left(repository):
    text = (repository / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    result = run([sys.executable, "-c", f"{example}\nassert scores.shape == (8,) and len(table) == 8"], repository)
    assert result.returncode == 0, result.stderr
    assert "score_max" in result.stdout


def test_a_head_gives_the_scores_that_the_pipeline_reports(repository, tmp_path):
    """The command, on the raw files of the test images, beside what the train stage scored."""
    reported = pd.read_csv(repository / "data/phantom/scores/resnet18-paper.csv").set_index("image_id")
    table = catalogue.read(repository / "data/phantom/images.csv").set_index("image_id").loc[reported.index]
    with zipfile.ZipFile(repository / "data/phantom/raw/phantom.zip") as archive:
        for name, member in table["member"].items():
            (tmp_path / f"{name}.jpg").write_bytes(archive.read(member))
    head = "data/phantom/heads/resnet18-paper.safetensors"
    result = run([sys.executable, "-m", "deepcovid", "predict", str(tmp_path), "--head", head, "--json"], repository)
    assert result.returncode == 0, result.stderr
    assert "not for diagnosis" in result.stderr
    found = {Path(row["file"]).stem: row for row in json.loads(result.stdout)["results"]}
    assert set(found) == set(reported.index)
    for name, row in found.items():
        seeds = reported.loc[name, ["seed_0", "seed_1"]]
        assert row["score"] == pytest.approx(seeds["seed_0"], abs=1e-5)
        assert (row["score_min"], row["score_max"]) == pytest.approx((seeds.min(), seeds.max()), abs=1e-5)


def test_metrics_show_lists_every_run_with_the_keys_that_were_promised(repository):
    shown = json.loads(dvc(repository, "metrics", "show", "--json").stdout)
    files = shown[""]["data"]
    assert {f"metrics/phantom/{name}.json" for name in ("filter", "split", "images")} < set(files)
    for net in ("squeezenet1_1", "resnet18"):
        for recipe in ("paper", "failed-reproduction"):
            values = files[f"metrics/phantom/{net}-{recipe}.json"]["data"]
            assert 0 <= values["auc"]["low"] <= values["auc"]["value"] <= values["auc"]["high"] <= 1
            assert values["n_test"] == {"covid": 6, "non": 9}
            assert sum(values["confusion"].values()) == 15


def test_plots_show_writes_a_page_with_every_plot_of_dvc_yaml(repository, tmp_path):
    result = dvc(repository, "plots", "show", "-o", str(tmp_path / "page"))
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "page" / "index.html").read_text()
    for title in ("ROC curves of the nets", "ROC curves of the recipes", "Precision and recall", "Confusion matrices"):
        assert title in page
    for title in ("Score histograms", "Sensitivity and specificity over cut-offs", "Training loss", "Accuracy on the"):
        assert title in page
    for group in ("covid", "normal", "other"):
        assert f"{group}.png" in page


def test_the_report_shows_the_replay_and_the_hashes_that_dvc_recorded(repository):
    page = (repository / "data/phantom/report.html").read_text()
    recorded = YAML(typ="safe").load(repository / "dvc.lock")["stages"]
    for stage in ("ladder@phantom", "compare@phantom", "replay@phantom-resnet18-failed-reproduction-replayed"):
        for out in recorded[stage]["outs"]:
            assert out["md5"] in page
    ladder = json.loads((repository / "metrics/phantom/ladder.json").read_text())
    assert {rung["net"] for rung in ladder["resnet18"]["rungs"]} == {"replayed", "frozen"}
    assert {rung["net"] for rung in ladder["squeezenet1_1"]["rungs"]} == {"frozen"}
    for sentence in (finding(title_of(model), part) for model, part in ladder.items()):
        assert html.escape(sentence) in page


def test_heads_are_tested_on_a_users_folder_with_dicom_among_its_files(repository, tmp_path):
    """The user's images are those of the phantom's test patients under other names, so that the answer is known."""
    table = catalogue.read(repository / "data/phantom/images.csv")
    rows = table[catalogue.in_test(table)].reset_index(drop=True)
    lines = []
    with zipfile.ZipFile(repository / "data/phantom/raw/phantom.zip") as archive:
        for number, row in rows.iterrows():
            pixels = np.asarray(Image.open(io.BytesIO(archive.read(row["member"]))))
            name = f"image {number}.{'dcm' if number % 2 else 'png'}"
            if number % 2:
                (tmp_path / name).write_bytes(dicom(pixels, WindowCenter=128, WindowWidth=256))
            else:
                Image.fromarray(pixels).save(tmp_path / name)
            lines.append({"file": name, "label": row["label"], "patient": f"P{number}"})
    pd.DataFrame(lines).to_csv(tmp_path / "labels.csv", index=False)
    source = [f"dataset.folder.source.images={tmp_path}", f"dataset.folder.source.table={tmp_path}/labels.csv"]
    options = [part for value in ("test_sets=[folder]", *source) for part in ("-S", value)]
    before = json.loads((repository / "metrics/phantom/resnet18-paper.json").read_text())
    result = dvc(repository, "exp", "run", *options)
    try:
        assert ran(result) == {
            *(f"{stage}-test-set@folder" for stage in ("download", "filter", "split", "augment")),
            *(f"external@phantom-{net}-folder" for net in ("squeezenet1_1", "resnet18")),
            *(f"{stage}@phantom" for stage in ("audit", "report")),
        }
        test = json.loads((repository / "metrics/phantom/audit/external-folder-resnet18.json").read_text())
        assert test["left_out"]["images"] == 0
        found = test["recipes"]["paper"]
        assert (found["n_test"], found["confusion"]) == (before["n_test"], before["confusion"])
        assert found["auc"] == pytest.approx(before["auc"], abs=0.02)
        verdict = json.loads((repository / "metrics/phantom/audit.json").read_text())
        assert set(verdict["external"]["folder"]) == {"squeezenet1_1", "resnet18"}
        assert "On the images of folder" in (repository / "data/phantom/report.html").read_text()
    finally:
        git(repository, "checkout", "-q", ".")
        git(repository, "clean", "-qfd", "metrics", "provenance", "plots")
        assert dvc(repository, "checkout").returncode == 0


def test_the_reproduction_check_passes_on_equal_metrics_and_names_one_that_moved(repository):
    check = [sys.executable, "-m", "tools.check_reproduction"]
    path = repository / "metrics/phantom/resnet18-paper.json"
    passed = run(check, repository, **ENVIRONMENT)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"auc": values["auc"] - 0.3}))
    failed = run(check, repository, **ENVIRONMENT)
    assert failed.returncode == 1
    assert "metrics/phantom/resnet18-paper.json: auc: committed" in failed.stdout
    path.unlink()
    assert "reproduced (missing)" in run(check, repository, **ENVIRONMENT).stdout
    git(repository, "checkout", "-q", "metrics")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("recipe.paper.epochs", "0", "recipe.paper.epochs: Input should be greater than or equal to 1 (got 0)"),
        ("recipe.paper.optimiser.kind", "lbfgs", "recipe.paper.optimiser: Input tag 'lbfgs'"),
        ("dataset.phantom.seeds", "[1,1]", "dataset.phantom.seeds: each value may be named once"),
        ("dataset.phantom.ladder_seeds", "[1]", "dataset.phantom.ladder_seeds: List should have at least 2 items"),
        ("ladder.up", "[augmentation]", "ladder.up names augmentation; known are optimiser, learning_rate, schedule"),
        ("dataset.phantom.split.covid.train", "500", "split: covid wants 500 train"),
        ("dataset.phantom.filter.views", "[LL]", "no covid image is left"),
        ("dataset.phantom.weights.source", "none", "none/squeezenet1_1.pth: no such weight file"),
        ("features.device", "cuda:7", "features.device is cuda:7"),
    ],
)
def test_a_wrong_parameter_stops_with_one_line_and_leaves_nothing_half_written(repository, key, value, message):
    result = dvc(repository, "exp", "run", "-S", f"{key}={value}")
    try:
        assert result.returncode != 0
        errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
        assert message in errors[0]
        assert "Traceback" not in result.stderr
        assert not list(repository.rglob("*.part"))
    finally:
        git(repository, "checkout", "-q", ".")
        assert dvc(repository, "checkout").returncode == 0

"""The real `dvc` on a small phantom, in a repository of its own: what users live in. `make check` runs these tests."""

import io
import json
import re
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markupsafe import escape
from PIL import Image
from ruamel.yaml import YAML

from deepcovid import catalogue
from deepcovid.audits.external import External
from deepcovid.ladder.measuring import Ladders
from deepcovid.nets.zoo import title_of
from deepcovid.report.sentences import finding
from deepcovid.statistics.estimate import Headline, read_result
from deepcovid.statistics.rates import Runs
from tests.checkouts import PATH, ROOT, copy_of_checkout, edit_params, run, smaller
from tests.radiographs import dicom

pytestmark = pytest.mark.pipeline

# `python` and `dvc` are to be those that run the tests.
ENVIRONMENT = {"PATH": PATH}
NETS = ("squeezenet1_1", "resnet18")
RUNS = {f"{net}-{recipe}" for net in NETS for recipe in ("paper", "failed-reproduction")}
RUNS |= {"resnet18-failed-reproduction-replayed"}
KEYS = set(Headline.model_fields)


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


@pytest.fixture
def put_back(repository):
    """Afterwards, the repository is as it was."""
    yield
    git(repository, "checkout", "-q", ".")
    git(repository, "clean", "-qfd")
    assert dvc(repository, "checkout").returncode == 0


def git(folder, *arguments):
    result = run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments], folder)
    assert result.returncode == 0, result.stderr
    return result.stdout


def dvc(folder, *arguments):
    return run([sys.executable, "-m", "dvc", *arguments], folder, **ENVIRONMENT)


def shown(folder, *arguments):
    """Return what a `dvc` command prints as JSON."""
    result = dvc(folder, *arguments, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def ran(result):
    """Return the stages that a `dvc` command ran, without `resolve`, which always runs."""
    assert result.returncode == 0, result.stderr
    stages = [line.split("'")[1] for line in result.stdout.splitlines() if line.startswith("Running stage")]
    assert "resolve" in stages
    return set(stages) - {"resolve"}


def kept_by_git(repository):
    """Return the content of all that the pipeline leaves for git."""
    folders = ("metrics", "plots", "provenance", "resolved", "results")
    files = [path for name in folders for path in (repository / name).rglob("*") if path.is_file()]
    return {path: path.read_bytes() for path in files}


def scores(repository):
    """Return what every run's heads score, by the path of its file."""
    folder = repository / "data/phantom/scores"
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.csv")}


def test_a_second_repro_runs_nothing_but_resolve(repository):
    assert ran(dvc(repository, "repro")) == set()


def test_a_comment_in_the_readme_reruns_nothing(repository, put_back):
    with (repository / "README.md").open("a") as readme:
        readme.write("\n<!-- a comment -->\n")
    assert ran(dvc(repository, "repro")) == set()


def test_the_default_matrix_starts_few_processes():
    result = dvc(ROOT, "stage", "list", "--name-only")
    assert result.returncode == 0, result.stderr
    assert 10 < len(result.stdout.split()) <= 30


def test_the_same_commands_twice_give_the_same_bytes(repository):
    before = kept_by_git(repository)
    assert len(before) > 10
    shutil.rmtree(repository / "data/phantom/remembered")  # so that heads are trained again
    assert "train@phantom" in ran(dvc(repository, "repro", "--force"))
    assert kept_by_git(repository) == before
    assert git(repository, "status", "--porcelain", "dvc.lock") == ""


def test_another_recipe_reruns_its_heads_only_and_the_change_shows(repository, put_back):
    before = scores(repository)
    result = dvc(repository, "exp", "run", "-S", "recipe.paper.epochs=2")
    assert ran(result) == {
        # no net sees all images again
        *(f"{stage}@phantom" for stage in ("train", "evaluate", "ladder", "audits", "report")),
        *(f"{stage}@phantom-resnet18" for stage in ("heatmaps", "localisation")),
        "heatmaps-beside@phantom-resnet18-phantom-external",
        *("collection@phantom-phantom-external", "plots"),
    }
    after = scores(repository)
    assert {path for path in before if before[path] != after[path]} == {f"frozen/{net}/paper.csv" for net in NETS}
    changed = shown(repository, "metrics", "diff")
    runs = {name for name in changed if not name.startswith("metrics/audits/")}
    assert set() < runs <= {f"metrics/phantom/{net}-paper.json" for net in NETS}
    parameters = shown(repository, "params", "diff")
    assert parameters["params.yaml"]["recipe.paper.epochs"] == {"old": 4, "new": 2, "diff": -2}
    drawn = shown(repository, "plots", "diff")["data"]
    losses = next(plots for name, plots in drawn.items() if name.endswith("Training"))
    assert {revision for plot in losses for revision in plot["revisions"]} == {"HEAD", "workspace"}


def test_a_switch_of_the_failed_reproduction_shows_its_runs_alone_in_the_metrics(repository, put_back):
    """On so few images the augmented copies alone may move no rate; a larger learning rate does."""
    switches = ("augmented=true", "learning_rate=0.1")
    options = [part for switch in switches for part in ("-S", f"++recipe.failed-reproduction.{switch}")]
    result = dvc(repository, "exp", "run", *options)
    assert "train@phantom" in ran(result)
    printed = dvc(repository, "metrics", "diff").stdout.splitlines()
    rows = [line.split()[0] for line in printed if line.startswith("metrics/")]
    assert 1 <= len(rows) <= len(printed) <= 50
    assert set(rows) <= {f"metrics/phantom/{net}-failed-reproduction.json" for net in NETS}


def test_a_flipped_switch_shows_in_the_failures_confusion_matrix_in_both_diffs(repository, put_back):
    assert dvc(repository, "exp", "run", "-S", "+recipe.failed-reproduction.cut_off=1.0").returncode == 0
    confusion = shown(repository, "metrics", "diff")["metrics/phantom/resnet18-failed-reproduction.json"]
    assert (confusion["tp"]["new"], confusion["fn"]["new"]) == (0, 6)
    assert confusion["tp"]["old"] > 0
    drawn = shown(repository, "plots", "diff")["data"]
    matrices = next(plots for name, plots in drawn.items() if name.endswith("Confusion matrices"))
    rows = [row for plot in matrices for row in plot["content"]["data"]["values"]]
    found = {
        row["rev"]: row["images"]
        for row in rows
        if (row["model"], row["recipe"], row["actual"], row["predicted"])
        == ("resnet18", "failed-reproduction", "covid", "covid")
    }
    assert found == {"HEAD": str(confusion["tp"]["old"]), "workspace": "0"}


def test_the_python_example_of_the_docs_runs_on_what_the_pipeline_left(repository):
    text = (repository / "docs/heads.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    result = run([sys.executable, "-c", f"{example}\nassert scores.shape == (8,) and len(table) == 8"], repository)
    assert result.returncode == 0, result.stderr
    assert "score_max" in result.stdout


def test_a_head_gives_the_scores_that_the_pipeline_reports(repository, tmp_path):
    """The command, on the raw files of the test images, beside what the train stage scored."""
    reported = pd.read_csv(repository / "data/phantom/scores/frozen/resnet18/paper.csv").set_index("image_id")
    table = catalogue.read(repository / "data/phantom/images.csv").set_index("image_id").loc[reported.index]
    with zipfile.ZipFile(repository / "data/phantom/raw/phantom.zip") as archive:
        for name, member in table["member"].items():
            (tmp_path / f"{name}.jpg").write_bytes(archive.read(member))
    head = "data/phantom/heads/frozen/resnet18/paper.safetensors"
    result = run([sys.executable, "-m", "deepcovid", "predict", str(tmp_path), "--head", head, "--json"], repository)
    assert result.returncode == 0, result.stderr
    assert "not for diagnosis" in result.stderr
    found = {Path(row["file"]).stem: row for row in json.loads(result.stdout)["results"]}
    assert set(found) == set(reported.index)
    for name, row in found.items():
        seeds = reported.loc[name, ["seed_0", "seed_1"]]
        assert row["score"] == pytest.approx(seeds["seed_0"], abs=1e-5)
        assert (row["score_min"], row["score_max"]) == pytest.approx((seeds.min(), seeds.max()), abs=1e-5)


def test_metrics_show_lists_every_run_with_the_same_few_keys(repository):
    files = shown(repository, "metrics", "show")[""]["data"]
    runs = {Path(name).stem: part["data"] for name, part in files.items() if name.startswith("metrics/phantom/")}
    assert set(runs) == RUNS
    assert set(files) - {f"metrics/phantom/{name}.json" for name in runs} == {
        name for name in files if name.startswith("metrics/audits/phantom/")
    }
    for values in runs.values():
        assert set(values) == KEYS
        assert 0 <= values["auc_low"] <= values["auc"] <= values["auc_high"] <= 1
        assert (values["tp"] + values["fn"], values["fp"] + values["tn"]) == (6, 9)
    for part in files.values():
        assert set(part["data"]) <= KEYS


@pytest.mark.parametrize("committed", [False, True])
def test_metrics_show_fits_a_terminal_of_150_columns(repository, committed):
    result = dvc(ROOT if committed else repository, "metrics", "show")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) > len(RUNS)
    assert max(map(len, lines)) <= 150


def test_a_run_has_more_results_than_a_headline_and_they_agree(repository):
    runs = read_result(repository / "results/phantom/runs.json", Runs).runs
    assert set(runs) == RUNS
    for name, own in runs.items():
        headline = read_result(repository / f"metrics/phantom/{name}.json", Headline)
        assert (headline.auc, headline.tp, headline.tn) == (own.auc.value, own.confusion.tp, own.confusion.tn)
        assert (own.n_test.covid, own.n_test.non) == (6, 9)


def test_plots_show_writes_a_page_with_every_plot_of_dvc_yaml(repository, tmp_path):
    result = dvc(repository, "plots", "show", "-o", str(tmp_path / "page"))
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "page" / "index.html").read_text()
    plots = YAML(typ="safe").load(repository / "dvc.yaml")["plots"]
    places = [page.index(f'"{next(iter(plot)).replace(" ", "_")}"') for plot in plots if isinstance(plot, dict)]
    assert places == sorted(places)
    for dataset in ("phantom", "phantom-external"):
        assert f"contact_sheets/{dataset}.png" in page


def test_every_table_that_is_drawn_was_gathered(repository):
    plots = [item for item in YAML(typ="safe").load(repository / "dvc.yaml")["plots"] if isinstance(item, dict)]
    drawn = {path for plot in plots for options in plot.values() for path in options["y"]}
    assert drawn == {path.relative_to(repository).as_posix() for path in (repository / "plots/tables").iterdir()}
    for path in drawn:
        assert set(pd.read_csv(repository / path)["dataset"]) == {"phantom"}


def test_the_report_shows_the_replay_and_the_hashes_that_dvc_recorded(repository):
    page = (repository / "data/phantom/report.html").read_text()
    recorded = YAML(typ="safe").load(repository / "dvc.lock")["stages"]
    for stage in ("ladder@phantom", "evaluate@phantom", "replay@phantom-resnet18-failed-reproduction-replayed"):
        for out in recorded[stage]["outs"]:
            assert out["md5"] in page
    ladders = read_result(repository / "results/phantom/ladder.json", Ladders).nets
    assert {rung.net for rung in ladders["resnet18"].rungs.values()} == {"replayed", "frozen"}
    assert set(ladders) == {"resnet18"}  # the other net is not audited
    for sentence in (sentence for model, part in ladders.items() for sentence in finding(title_of(model), part)):
        assert escape(sentence) in page


def test_heads_are_tested_on_a_users_folder_with_dicom_among_its_files(repository, tmp_path, put_back):
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
    source.append("+dataset.folder.image_size=80")  # as the phantoms', so that the same pixels reach the nets
    options = [part for value in ("test_sets=[folder]", *source) for part in ("-S", value)]
    before = read_result(repository / "metrics/phantom/resnet18-paper.json", Headline)
    result = dvc(repository, "exp", "run", *options)
    assert ran(result) == {
        "external-images@folder",
        *(f"{stage}@phantom-folder" for stage in ("external-features", "collection")),
        *("evaluate@phantom", "heatmaps-beside@phantom-resnet18-folder", "report@phantom", "plots"),
    }
    test = read_result(repository / "results/phantom/external/folder.json", External)
    assert test.left_out.images == 0
    assert set(test.nets) == set(NETS)
    found = read_result(repository / "metrics/audits/phantom/on/folder/resnet18.json", Headline)
    own = test.nets["resnet18"]["paper"].run
    assert (own.n_test.covid, own.n_test.non) == (6, 9)
    assert (found.auc, found.tp) == (own.auc.value, own.confusion.tp)
    for key in ("tp", "fn", "fp", "tn"):
        assert getattr(found, key) == getattr(before, key)
    assert found.auc == pytest.approx(before.auc, abs=1e-6)
    assert "On the images of folder" in (repository / "data/phantom/report.html").read_text()
    changed = shown(repository, "metrics", "diff")
    # The test set of the default is no longer tested on.
    images = ("folder", "phantom-external")
    assert set(changed) == {f"metrics/audits/phantom/on/{name}/{net}.json" for name in images for net in NETS}


def test_the_reproduction_check_passes_on_equal_metrics_and_names_one_that_moved(repository, put_back):
    check = [sys.executable, "-m", "deepcovid", "check"]
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


def test_every_byte_of_every_output_is_as_recorded_and_the_doctor_finds_nothing_to_mend(repository, put_back):
    check = [sys.executable, "-m", "deepcovid", "check", "--bytes"]
    passed = run(check, repository, **ENVIRONMENT)
    assert passed.returncode == 0, passed.stdout + passed.stderr
    told = run([sys.executable, "-m", "deepcovid", "doctor"], repository, **ENVIRONMENT)
    assert told.returncode == 0, told.stdout + told.stderr
    path = repository / "data/phantom/pixels.npy"
    content = path.read_bytes()
    path.unlink()  # it may be a link to DVC's cache
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    failed = run(check, repository, **ENVIRONMENT)
    path.write_bytes(content)  # DVC would not put it back
    assert failed.returncode == 1
    assert failed.stdout.splitlines()[0] == "DIFFERS data/phantom/pixels.npy"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("recipe.paper.epochs", "0", "recipe.paper.epochs: Input should be greater than or equal to 1 (got 0)"),
        ("recipe.paper.optimiser.kind", "lbfgs", "recipe.paper.optimiser: Input tag 'lbfgs'"),
        ("dataset.phantom.seeds", "[1,1]", "dataset.phantom.seeds: each value may be named once"),
        ("dataset.phantom.ladder_seeds", "[1]", "dataset.phantom.ladder_seeds: write 2 to 1000 seeds"),
        ("ladder.up", "[augmentation]", "ladder.up names augmentation; known are optimiser, learning_rate, schedule"),
        ("dataset.phantom.split.covid.train", "500", "split: covid wants 500 train"),
        ("dataset.phantom.filter.views", "[LL]", "no covid image is left"),
        ("dataset.phantom.weights.source", "none", "none/squeezenet1_1.pth: no such weight file"),
        ("features.device", "cuda:7", "features.device is cuda:7"),
    ],
)
def test_a_wrong_parameter_stops_with_one_line_and_leaves_nothing_half_written(
    repository, put_back, key, value, message
):
    result = dvc(repository, "exp", "run", "-S", f"{key}={value}")
    assert result.returncode != 0
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert "Traceback" not in result.stderr
    assert not list(repository.rglob("*.part"))

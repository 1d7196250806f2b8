"""The stage evaluate: what it leaves of every run."""

import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from deepcovid import catalogue
from deepcovid.heads.halves import COLUMNS
from deepcovid.heads.head_files import write_head
from deepcovid.nets.zoo import NETS
from deepcovid.statistics.calibration import Calibrations
from deepcovid.statistics.comparison import AgainstPublished, metrics_of
from deepcovid.statistics.estimate import Headline, read_result
from deepcovid.statistics.paired import NetsCompared
from deepcovid.statistics.rates import Runs, headline
from deepcovid.statistics.review import Review
from deepcovid.statistics.uncertainty import Uncertainty
from stages import paths
from stages._resolved import read_settings
from stages.evaluate import evaluate_stage
from tests.checkouts import ROOT, edit_params, run
from tests.trained import random_head

DATASET = "covid-xray-5k"
PLOTS = {"roc", "precision_recall", "cut_offs", "histogram", "confusion", "training"}


def images_of(scored):
    """The catalogue of the scored images, with as many others to train on."""
    test = scored[["image_id", "label", "patient_id"]].assign(split="test", sex=np.where(scored.index % 3, "F", "M"))
    train = test.assign(image_id="train " + test["image_id"], split="train")
    both = pd.concat([train, test.sort_values("image_id")], ignore_index=True)
    return both.assign(archive="images.zip", member=both["image_id"], age="50", view="AP")


@pytest.fixture
def parameters(checkout, monkeypatch):
    """Parameters of the paper's images with scores of two nets that stages have left, in a checkout to run in.

    The images are shuffled, and one net's are in another order.
    """

    def edit(values):
        values["models"], values["recipes"] = ["squeezenet1_0", "resnet18"], ["paper"]
        values["replays"] = values["test_sets"] = []
        values["evaluate"]["bootstrap_samples"] = 100
        values["audit"]["calibration_bins"] = 4

    edit_params(checkout, edit)
    monkeypatch.chdir(checkout)
    parameters = read_settings().parameters(DATASET, NETS)
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"image_id": [f"image {number}" for number in range(3100)]})
    table["label"] = np.where(table.index < 100, "covid", "non")
    table = table.assign(group=table["label"], patient_id=table["image_id"]).sample(frac=1, random_state=0)
    catalogue.write(paths.data(DATASET, "images.csv"), images_of(table))
    log = pd.DataFrame({"seed": [4, 0, 4, 0], "epoch": [1, 1, 2, 2], "loss": [0.7, 0.6, 0.5, 0.4]})
    log = log.assign(train_accuracy=0.9, test_accuracy=0.8, test_auc=0.7)
    for own, strength in zip(parameters.runs.values(), (2.0, 1.0), strict=True):
        score = 1 / (1 + np.exp(-strength * (table["label"] == "covid") - rng.normal(size=len(table))))
        for path, written in (
            (paths.scores(DATASET, own), table.assign(seed_4=score, seed_0=score / 2)),
            (paths.training(DATASET, own), log),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            written.to_csv(path, index=False)
        paths.head(DATASET, own).parent.mkdir(parents=True)
        write_head(paths.head(DATASET, own), random_head(model=own.model, dataset=DATASET, recipe=own.recipe))
        table = table.sample(frac=1, random_state=1)
        on_splits = [
            {"recipe": own.recipe, "split": split} | metrics_of(rng.random(50) < 0.3, rng.random(50), own.cut_off)
            for split in (2, 0, 1)
        ]
        path = paths.resplit(DATASET, own.model, "splits")
        path.parent.mkdir(parents=True)
        pd.DataFrame(on_splits).to_csv(path, index=False)
        by_halves(own.model, [])
    by_halves("resnet18", [{"recipe": "paper", "same": 0.9, "other": 0.8}])
    return parameters


def by_halves(model, rows):
    pd.DataFrame(rows, columns=COLUMNS).to_csv(paths.resplit(DATASET, model, "halves"), index=False)


def scores_of(parameters, run):
    return pd.read_csv(paths.scores(DATASET, parameters.runs[run]))


def test_every_run_has_its_numbers_and_a_headline_in_the_folder_of_metrics(parameters):
    left_over = paths.metrics(DATASET) / "resnet18-a-recipe-that-was-removed.json"
    left_over.parent.mkdir(parents=True)
    left_over.write_text("{}")
    evaluate_stage(parameters, DATASET)
    runs = read_result(paths.results(DATASET, "runs"), Runs).runs
    assert list(runs) == ["squeezenet1_0-paper", "resnet18-paper"]
    assert {path.stem for path in left_over.parent.iterdir()} == set(runs)
    for name, result in runs.items():
        table = scores_of(parameters, name)
        covid = table["label"] == "covid"
        assert result.auc.value == pytest.approx(roc_auc_score(covid, table["seed_4"]), abs=1e-6)
        assert result.confusion.tp == (covid & (table["seed_4"] >= 0.5)).sum()  # the recipe's cut-off
        assert result.over_seeds.heads == 2
        assert read_result(paths.metrics(DATASET) / f"{name}.json", Headline) == headline(result)


def test_a_test_set_that_is_no_longer_named_leaves_no_result(parameters):
    folders = paths.elsewhere(DATASET), paths.audit_metrics(DATASET) / "on"
    for folder in folders:
        (folder / "cohen").mkdir(parents=True)
        (folder / "cohen/resnet18.csv").touch()
    evaluate_stage(parameters, DATASET)
    assert [list(folder.iterdir()) for folder in folders] == [[], []]


def test_what_a_reviewer_asks_for_is_of_the_median_heads_and_of_their_own_images(parameters):
    evaluate_stage(parameters, DATASET)
    found = read_result(paths.results(DATASET, "review"), Review)
    assert {name: own.images for name, own in found.who.items()} == {
        "train, COVID-19": 100,
        "train, others": 3000,
        "test, COVID-19": 100,
        "test, others": 3000,
    }
    table = scores_of(parameters, "resnet18-paper")
    women = catalogue.read(paths.data(DATASET, "images.csv")).set_index("image_id")["sex"][table["image_id"]] == "F"
    own = table[women.to_numpy()]
    area = roc_auc_score(own["label"] == "covid", own["seed_4"])
    assert found.nets["resnet18"].subgroups["sex: F"].auc.value == pytest.approx(area, abs=1e-6)
    assert found.nets["resnet18"].recalibration.trained == pytest.approx(100 / 3100, abs=1e-6)


def test_each_run_has_the_spread_over_its_own_splits_if_it_has_any(parameters):
    evaluate_stage(parameters, DATASET)
    found = read_result(paths.results(DATASET, "uncertainty"), Uncertainty).runs
    assert list(found) == list(parameters.runs)
    for name, choices in parameters.runs.items():
        if choices.model not in parameters.retrained_models:
            assert found[name].auc.splits is None
            continue
        own = pd.read_csv(paths.resplit(DATASET, choices.model, "splits"))["auc"]
        assert found[name].auc.splits.deviation == pytest.approx(own.std(), abs=1e-6)
        assert found[name].auc.splits.values == 3


def test_other_splits_may_be_left_out(parameters):
    for model in parameters.models:
        paths.resplit(DATASET, model, "splits").unlink(missing_ok=True)
    none = dict.fromkeys(parameters.on_other_splits, False)
    evaluate_stage(parameters.model_copy(update={"on_other_splits": none}), DATASET)
    found = read_result(paths.results(DATASET, "uncertainty"), Uncertainty).runs
    assert all("splits" not in own.varied for own in found.values())


def test_the_first_heads_stand_beside_published_numbers_and_net_against_net(parameters):
    evaluate_stage(parameters, DATASET)
    published = read_result(paths.results(DATASET, "published"), AgainstPublished)
    assert [(row.group, row.recipe) for row in published.numbers.values()] == [("paper", "paper")] * 2
    assert published.compared == 2
    table = scores_of(parameters, "resnet18-paper")
    pair = read_result(paths.results(DATASET, "nets"), NetsCompared).pairs["paper/squeezenet1_0-resnet18"]
    assert pair.auc_over_seeds.seeds == 2
    assert pair.auc.second == pytest.approx(roc_auc_score(table["label"] == "covid", table["seed_4"]), abs=1e-6)
    called = table["seed_4"] >= 0.5
    assert pair.sensitivity.second == pytest.approx(called[table["label"] == "covid"].mean(), abs=1e-6)


def test_each_nets_first_head_is_calibrated_under_the_audits_recipe(parameters):
    evaluate_stage(parameters, DATASET)
    found = read_result(paths.results(DATASET, "calibration"), Calibrations)
    assert found.recipe == "paper"
    assert list(found.nets) == ["squeezenet1_0", "resnet18"]
    table, own = scores_of(parameters, "resnet18-paper"), found.nets["resnet18"]
    assert own.brier.value == pytest.approx(brier_score_loss(table["label"] == "covid", table["seed_4"]), abs=1e-6)
    assert list(own.bins) == ["0", "0.25", "0.5", "0.75"]


def test_every_plot_has_one_table_with_the_first_heads_of_all_runs(parameters):
    evaluate_stage(parameters, DATASET)
    tables = {path.stem: pd.read_csv(path) for path in (paths.curves(DATASET) / "runs").iterdir()}
    assert set(tables) == PLOTS
    for table in tables.values():
        assert list(dict.fromkeys(table["model"])) == ["squeezenet1_0", "resnet18"]
        assert (table["dataset"] == DATASET).all()
    assert tables["training"]["loss"].tolist() == [0.7, 0.5] * 2
    assert tables["confusion"].groupby("model")["images"].sum().tolist() == [3100, 3100]


def test_what_other_stages_need_of_single_runs_is_handed_on(parameters):
    assert parameters.heatmapped_models == ["resnet18"]
    evaluate_stage(parameters, DATASET)
    run = parameters.runs["resnet18-paper"]
    folder = paths.handed_on(DATASET, "explained") / "resnet18"
    assert (folder / "head.safetensors").read_bytes() == paths.head(DATASET, run).read_bytes()
    assert (folder / "scores.csv").read_bytes() == paths.scores(DATASET, run).read_bytes()
    assert not list((folder.parent / "squeezenet1_0").iterdir())
    audited = paths.handed_on(DATASET, "audited")
    assert {path.name for path in audited.iterdir()} == {
        "resnet18-paper.csv",
        "resnet18-paper.safetensors",  # of the audited net alone
        "squeezenet1_0-paper.csv",
    }
    assert (audited / "resnet18-paper.safetensors").read_bytes() == paths.head(DATASET, run).read_bytes()
    assert (audited / "resnet18-paper.csv").read_bytes() == paths.scores(DATASET, run).read_bytes()
    assert not list(paths.handed_on(DATASET, "replayed").iterdir())  # this data set has no whole nets


def test_scores_of_other_images_are_refused_and_nothing_is_written(parameters, refused):
    path = paths.scores(DATASET, parameters.runs["resnet18-paper"])
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-5]))
    with refused(path, f"its 3095 rows do not match the 3100 test images of data/{DATASET}/images.csv", "`dvc repro`"):
        evaluate_stage(parameters, DATASET)
    assert not paths.metrics(DATASET).exists()
    assert not paths.results(DATASET, "runs").exists()


def test_torch_is_not_loaded():
    code = "import sys, stages.evaluate; sys.exit('torch' in sys.modules)"
    assert run([sys.executable, "-c", code], ROOT).returncode == 0

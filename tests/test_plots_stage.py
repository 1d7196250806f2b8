"""What the stage `plots` gathers: the published failure first, runs in the order of the story."""

import shutil

import pandas as pd
import pytest

from stages._resolved import read_published, read_settings
from stages.plots import in_the_order_of_the_story, plots, published_matrices
from tests.checkouts import ROOT


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_runs_are_told_from_the_failure_over_the_papers_recipe_to_the_others():
    recipes = ["paper", "released-code", "failed-reproduction", "failed-reproduction-balanced"]
    table = pd.DataFrame({"recipe": [*recipes, "failed-reproduction-replayed"]})
    told = in_the_order_of_the_story(table, read_published(), "paper")["recipe"].tolist()
    assert told == ["failed-reproduction-replayed", "failed-reproduction", "paper", *recipes[1::2]]


def test_a_table_without_recipes_stays_as_it_is():
    table = pd.DataFrame({"rung": ["b", "a"]})
    assert in_the_order_of_the_story(table, read_published(), "paper") is table


def test_the_published_matrix_stands_there_once_and_only_beside_as_many_images():
    settings = read_settings()
    two = settings.model_copy(update={"datasets": ["phantom", "covid-xray-5k"]})
    table = published_matrices(two, read_published(), "resnet18")
    assert table["images"].tolist() == [0, 100, 0, 3000]
    assert set(table["dataset"]) == {"published"}
    other = settings.model_copy(update={"datasets": ["cohen-chexpert"]})
    assert published_matrices(other, read_published(), "resnet18").empty
    assert published_matrices(two, read_published(), "resnet50").empty


@pytest.mark.parametrize(("test_sets", "told"), [([], set()), (["phantom-external"], {"phantom-external"})])
def test_a_former_test_set_whose_results_are_still_there_is_in_no_plot(test_sets, told, tmp_path, monkeypatch):
    for name in ("dvc.lock", "params.yaml"):
        shutil.copy(name, tmp_path)
    for name in ("reference", "resolved", "results/phantom"):
        shutil.copytree(name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    plots(read_settings().model_copy(update={"test_sets": test_sets}))
    table = pd.read_csv("plots/tables/reliability.csv", dtype=str)
    assert set(table.loc[table["images"] != "phantom", "images"]) == told

"""The pipeline's file: a table of contents in words, in which no code and no data set is named."""

import inspect
import re
from importlib import import_module

import pytest
from ruamel.yaml import YAML

from tests.checkouts import ROOT

TEXT = (ROOT / "dvc.yaml").read_text()
PIPELINE = YAML(typ="safe").load(TEXT)
# The one picture in git shows synthetic images or none: see tests/test_heatmap_stages.py.
PICTURES = (
    "plots/heatmaps/${item.dataset}/${item.model}.png",
    "plots/heatmaps/${item.dataset}/${item.model}-beside-${item.images}.png",
    "plots/dials/${item.dataset}.png",
)
RESOLVED = "resolved/${item.dataset}.json"
# Folders of JSON and CSV files, as all of metrics/ is.
FOLDERS = {
    "resolved",
    "plots/tables",
    "provenance/${item.dataset}/weights",
    "results/${item.dataset}/curves/runs",
    "results/${item.dataset}/resplit",
    "results/${item.dataset}/external",
}


def outputs(stage):
    """Return whether git keeps an output of a stage, by path."""
    kept = {}
    for out in PIPELINE["stages"][stage]["outs"]:
        ((path, options),) = out.items() if isinstance(out, dict) else [(out, {})]
        kept[path] = options == {"cache": False}
    return kept


ALL_OUTPUTS = {path for stage in PIPELINE["stages"] for path in outputs(stage)}


def test_it_is_short():
    assert len(TEXT.splitlines()) <= 380


@pytest.mark.parametrize("stage", PIPELINE["stages"])
def test_a_stage_says_what_it_does(stage):
    assert PIPELINE["stages"][stage]["desc"]


def test_it_names_no_file_of_code_and_no_data_set(params):
    assert not re.search(r"\.py\b|deepcovid/(?!report/templates)", TEXT)
    for dataset in params["dataset"]:
        assert not re.search(rf"\b{dataset}\b", re.sub("#.*", "", TEXT)), dataset


def test_a_command_takes_its_options_from_the_matrix_whole_so_that_dvc_quotes_them():
    for stage in PIPELINE["stages"].values():
        script = re.search(r"-m stages\.(\w+)", stage["cmd"])[1]
        assert stage["cmd"] == f"python -m stages.{script}" + " ${item}" * ("matrix" in stage)
        (function,) = re.findall(r"_run\.run\((\w+)\)", (ROOT / f"stages/{script}.py").read_text())
        options = list(inspect.signature(getattr(import_module(f"stages.{script}"), function)).parameters)[1:]
        assert list(stage.get("matrix", [])) == options


def test_every_other_stage_tracks_parameters_code_and_packages_of_its_own_data_set():
    for name, stage in PIPELINE["stages"].items():
        if name in ("resolve", "plots"):
            continue
        own = {path: keys for entry in stage.get("params", []) for path, keys in entry.items() if "images" not in path}
        if RESOLVED in stage.get("deps", []):  # all of it
            continue
        ((path, keys),) = own.items()
        assert path == RESOLVED
        script = re.search(r"-m stages\.(\w+)", stage["cmd"])[1]
        for part in ("code", "packages"):
            assert [key for key in keys if key.startswith(part)] == [f"{part}.{script}"]


@pytest.mark.parametrize("stage", PIPELINE["stages"])
def test_no_output_but_numbers_their_provenance_and_one_picture_is_kept_by_git(stage):
    for path, kept in outputs(stage).items():
        assert kept == path.startswith(("metrics/", "plots/", "provenance/", "resolved", "results/"))
        files = path in FOLDERS or path.startswith("metrics/") or path.endswith((".json", ".csv"))
        assert files or path in PICTURES or not kept


def test_what_a_plot_draws_is_the_output_of_a_stage():
    drawn = [
        path
        for plot in PIPELINE["plots"]
        if isinstance(plot, dict)
        for options in plot.values()
        for path in options["y"]
    ]
    assert len(drawn) == 10
    assert {re.sub(r"/\w+\.csv$", "", path) for path in drawn} == {"plots/tables"} <= ALL_OUTPUTS
    pictures = [plot for plot in PIPELINE["plots"] if isinstance(plot, str)]
    assert pictures
    for folder in pictures:
        assert any(path.startswith(f"{folder}/") for path in ALL_OUTPUTS)


def test_metrics_are_in_one_folder_that_stages_write():
    assert PIPELINE["metrics"] == ["metrics"]
    assert any(path.startswith("metrics/") for path in ALL_OUTPUTS)

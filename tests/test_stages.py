"""Stages as scripts: their options, and what they say when something is wrong."""

import errno
import os
import re
import sys

import pytest

from deepcovid.errors import UserError, describe
from tests.checkouts import edit_params, run, smaller

STAGES = ["download", "filter", "split", "augment", "weights", "features", "train", "replay", "evaluate", "ladder"]
AUDITS = ["leakage", "acquisition", "untrained", "baselines", "hide", "hidden", "calibration", "external", "audit"]
MAPS = ["heatmaps", "localisation", "overlays"]


def stage(folder, name, *options, **environment):
    return run([sys.executable, "-m", f"stages.{name}", *options], folder, **environment)


@pytest.mark.parametrize("name", [*STAGES, *AUDITS, *MAPS, "compare", "plots", "contact_sheets", "report"])
def test_help_says_what_a_stage_does_and_gives_an_example(checkout, name):
    result = stage(checkout, name, "--help")
    assert result.returncode == 0
    assert f"example: python -m stages.{name} --dataset phantom" in " ".join(result.stdout.split())


def test_a_missing_input_is_one_line_that_names_the_file_and_the_remedy(checkout):
    result = stage(checkout, "filter", "--dataset", "phantom")
    assert result.returncode == 1
    assert result.stderr.startswith("error: data/phantom/catalogue.csv: ")
    assert "dvc repro" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_traceback_comes_when_asked_for(checkout):
    result = stage(checkout, "filter", "--dataset", "phantom", DEEPCOVID_TRACEBACK="1")
    assert "Traceback" in result.stderr


@pytest.mark.parametrize(
    ("name", "recipe", "other"), [("train", "failed-reproduction-replayed", "replay"), ("replay", "paper", "train")]
)
def test_a_recipe_is_trained_by_the_stage_that_can_follow_it(checkout, name, recipe, other):
    result = stage(checkout, name, "--dataset", "phantom", "--model", "resnet18", "--recipe", recipe)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: --recipe {recipe}: ")
    assert result.stderr.endswith(f"use stages.{other}\n")


def test_an_unknown_data_set_is_named_with_the_known_ones(checkout):
    result = stage(checkout, "filter", "--dataset", "phantasm")
    assert result.returncode == 1
    assert "phantasm" in result.stderr
    assert "covid-xray-5k" in result.stderr
    assert "Traceback" not in result.stderr


def test_broken_yaml_is_an_error_that_names_the_file(checkout):
    (checkout / "params.yaml").write_text("datasets: [phantom\n")
    result = stage(checkout, "filter", "--dataset", "phantom")
    assert result.returncode == 1
    assert result.stderr.startswith("error: params.yaml: not valid YAML")


def test_a_key_named_twice_is_an_error(checkout):
    with (checkout / "params.yaml").open("a") as params:
        params.write("\nmodels: [resnet18]\n")
    result = stage(checkout, "filter", "--dataset", "phantom")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("name", ["filter", "train"])
def test_a_published_number_without_a_source_stops_every_stage_at_its_start(checkout, name):
    path = checkout / "reference/published.yaml"
    text = path.read_text()
    path.write_text(re.sub("source: .*", 'source: ""', text, count=1))
    options = ("--dataset", "phantom") + (("--model", "resnet18", "--recipe", "paper") if name == "train" else ())
    result = stage(checkout, name, *options)
    assert result.returncode == 1
    assert result.stderr.startswith("error: reference/published.yaml: groups.paper.source: is blank")
    assert result.stderr.count("\n") == 1


def test_a_full_disk_is_an_error_with_a_remedy_and_nothing_is_left(checkout, tmp_path):
    """A file-size limit stands in for a full disk: the write fails half-way."""
    edit_params(checkout, smaller)
    limit = "import resource, signal, runpy, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); sys.argv = ['x', '--dataset', 'phantom']; "
    limit += "runpy.run_module('stages.download', run_name='__main__')"
    result = run([sys.executable, "-c", limit], checkout)
    assert result.returncode == 1
    assert [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in result.stderr
    assert not (checkout / "data/phantom/raw").exists()
    assert not list(checkout.rglob("*.part"))


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EROFS, "the file system is read-only"),
        (errno.ENOSPC, "free some space"),
        (errno.EACCES, "permission is missing"),
    ],
)
def test_an_error_of_the_disk_names_the_file_and_the_remedy(number, remedy):
    text = describe(OSError(number, os.strerror(number), "data/x.npy"))
    assert text.startswith("data/x.npy: ")
    assert remedy in text
    assert "\n" not in text


def test_an_error_never_moves_the_cursor_of_the_terminal():
    assert describe(UserError("head: format \x1b[2J\x9b\u202e\nx")) == r"head: format \x1b[2J\x9b\u202e x"
    assert "\x1b" not in describe(OSError(2, "No such file", "\x1b[2J"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_an_error_with_a_remedy(checkout):
    edit_params(checkout, smaller)
    (checkout / "data").mkdir()
    (checkout / "data").chmod(0o500)
    result = stage(checkout, "download", "--dataset", "phantom")
    assert result.returncode == 1
    assert "permission is missing" in result.stderr

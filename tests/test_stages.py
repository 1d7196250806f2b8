"""Stages as scripts: their options, and what they say when something is wrong."""

import errno
import importlib
import inspect
import os
import re
import runpy
import sys

import pytest
from ruamel.yaml import YAML

from deepcovid.errors import UserError, describe
from deepcovid.nets.zoo import NETS
from stages import _fingerprints
from stages.replay import replay_stage
from tests.checkouts import ROOT, edit_params, resolve, run, settings_of, smaller, stage

STAGES = _fingerprints.stages()


@pytest.fixture
def resolved(checkout):
    """A checkout in which the stage `resolve` ran."""
    resolve(checkout)
    return checkout


def test_the_stages_are_the_scripts_that_the_pipeline_runs():
    pipeline = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"].values()
    assert {re.search(r"-m stages\.(\w+)", stage["cmd"])[1] for stage in pipeline} == set(STAGES)


@pytest.mark.parametrize("name", STAGES)
def test_help_says_what_a_stage_does_and_gives_an_example(name, monkeypatch, capsys):
    """As `python -m` runs it, in this process."""
    monkeypatch.setattr("sys.argv", [f"stages/{name}.py", "--help"])
    monkeypatch.delitem(sys.modules, f"stages.{name}", raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"stages.{name}", run_name="__main__", alter_sys=True)
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    options = "" if name in ("resolve", "plots") else " --dataset phantom"
    assert f"example: python -m stages.{name}{options}" in shown
    assert inspect.getdoc(importlib.import_module(f"stages.{name}")).split(".")[0] in shown


def test_a_stage_gives_help_in_its_own_process_too(checkout):
    result = stage(checkout, "split", "--help")
    assert result.returncode == 0
    assert "example: python -m stages.split --dataset phantom" in " ".join(result.stdout.split())


def test_a_missing_input_is_one_line_that_names_the_file_and_the_remedy(resolved):
    result = stage(resolved, "split", "--dataset", "phantom")
    assert result.returncode == 1
    assert result.stderr.startswith("error: provenance/phantom/data.json: ")
    assert "dvc repro" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_stage_that_starts_before_the_parameters_are_resolved_names_the_remedy(checkout):
    result = stage(checkout, "split", "--dataset", "phantom")
    assert result.returncode == 1
    assert result.stderr.startswith("error: resolved/phantom.json: not there yet; run `dvc repro`")
    assert result.stderr.count("\n") == 1


def test_a_traceback_comes_when_asked_for(resolved):
    result = stage(resolved, "split", "--dataset", "phantom", DEEPCOVID_TRACEBACK="1")
    assert "Traceback" in result.stderr


@pytest.mark.parametrize(
    ("replays", "named"),
    [
        ([], "none"),
        (
            ["failed-reproduction-replayed", "released-code-replayed"],
            "failed-reproduction-replayed, released-code-replayed",
        ),
    ],
)
def test_a_replay_of_a_recipe_that_replays_does_not_name_is_refused(params, refused, replays, named):
    params["replays"] = replays
    parameters = settings_of(params).parameters("phantom", NETS)
    with refused(f"--recipe paper: replays names {named}; name it there"):
        replay_stage(parameters, "phantom", "resnet18", "paper")


def test_an_unknown_data_set_is_named_with_the_known_ones(checkout):
    result = stage(checkout, "split", "--dataset", "phantasm")
    assert result.returncode == 1
    assert "phantasm" in result.stderr
    assert "covid-xray-5k" in result.stderr
    assert "Traceback" not in result.stderr


def test_broken_yaml_is_an_error_that_names_the_file(checkout):
    (checkout / "params.yaml").write_text("datasets: [phantom\n")
    result = stage(checkout, "split", "--dataset", "phantom")
    assert result.returncode == 1
    assert result.stderr.startswith("error: params.yaml: not valid YAML")


def test_a_key_named_twice_is_an_error(checkout):
    with (checkout / "params.yaml").open("a") as params:
        params.write("\nmodels: [resnet18]\n")
    result = stage(checkout, "split", "--dataset", "phantom")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr


def test_a_published_number_without_a_source_stops_the_pipeline_at_its_start(checkout):
    path = checkout / "reference/published.yaml"
    text = path.read_text()
    path.write_text(re.sub("source: .*", 'source: ""', text, count=1))
    result = stage(checkout, "resolve")
    assert result.returncode == 1
    assert result.stderr.startswith("error: reference/published.yaml: groups.paper.source: is blank")
    assert result.stderr.count("\n") == 1
    assert not (checkout / "resolved").exists()


def test_a_full_disk_is_an_error_with_a_remedy_and_nothing_is_left(checkout, tmp_path):
    """A file-size limit stands in for a full disk: the write fails half-way."""
    edit_params(checkout, smaller)
    resolve(checkout)
    limit = "import resource, signal, runpy, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); sys.argv = ['x', '--dataset', 'phantom']; "
    limit += "runpy.run_module('stages.download', run_name='__main__', alter_sys=True)"
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
    resolve(checkout)
    (checkout / "data").mkdir()
    (checkout / "data").chmod(0o500)
    result = stage(checkout, "download", "--dataset", "phantom")
    assert result.returncode == 1
    assert "permission is missing" in result.stderr

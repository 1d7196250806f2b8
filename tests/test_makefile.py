"""What `make real` and `make lock` run, with stubs in place of dvc and Python: nothing is trained or downloaded."""

import shutil
import subprocess
import tomllib

import pytest

from tests.checkouts import ROOT

DVC = """#!/bin/sh
echo "$*" >> ../commands
echo "edited: $*" >> params.yaml
[ "$*" != "${FAILS_ON:-}" ]
"""
# `python -m venv FOLDER` leaves a Python that records what it is asked for and knows of one package.
PYTHON = """#!/bin/sh
echo "$*" >> ../commands
for folder; do :; done
case "$*" in
    *"-m venv"*) mkdir -p "$folder/bin" && cp "$0" "$folder/bin/python" ;;
    *freeze) echo anyio==9.9 ;;
esac
"""
MODELS = "models=[resnet18,squeezenet1_0,resnet50]"
COMMON = f"-S {MODELS} -S audited_models=[resnet18,squeezenet1_0,resnet50] -S test_sets=[cohen]"
REPLAYS = (
    "-S replays=[failed-reproduction-replayed,failed-reproduction-balanced,released-code-replayed,"
    "failed-reproduction-cropped]"
)
RUNS = [
    f"exp run -S datasets=[covid-xray-5k] {REPLAYS} {COMMON}",
    f"exp run -S datasets=[cohen-chexpert] {COMMON}",
]


@pytest.fixture
def folder(tmp_path):
    """The Makefile and what it reads, in an environment that is ready and whose dvc and Python are stubs."""
    folder = tmp_path / "checkout"
    (folder / ".venv/bin").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", folder)
    for name in ("requirements.txt", "requirements-dev.txt", "constraints.txt", "pyproject.toml", "params.yaml"):
        (folder / name).write_text(f"{name} as it was\n")
    for path, script in (
        (folder / ".venv/bin/dvc", DVC),
        (folder / ".venv/bin/python", PYTHON),
        (folder / "python", PYTHON),
    ):
        path.write_text(script)
        path.chmod(0o755)
    (folder / ".venv/.ready").touch()
    return folder


def make(folder, *arguments, **environment):
    """Run make, and return its status and the commands that the stubs recorded."""
    done = subprocess.run(["make", *arguments], cwd=folder, capture_output=True, check=False, env=environment or None)
    commands = folder.parent / "commands"
    return done.returncode, commands.read_text().splitlines() if commands.exists() else []


def test_check_runs_the_pipeline_compares_its_results_and_runs_the_tests_of_the_pipeline(folder):
    assert make(folder, "check") == (
        0,
        ["repro", "-m deepcovid check --since .venv/.check", "-m pytest -n 2 --dist loadfile -m pipeline"],
    )


def test_a_repro_that_fails_ends_check(folder):
    status, commands = make(folder, "check", FAILS_ON="repro", PATH="/usr/bin:/bin")
    assert status != 0
    assert commands == ["repro"]


def test_test_leaves_out_the_tests_of_the_pipeline(folder):
    assert make(folder, "test") == (0, ["-m pytest -n 2 --dist loadfile"])
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["addopts"]
    assert options.endswith("-m 'not pipeline'")


@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("replays", f"exp run -S datasets=[phantom-whole] -S models=[resnet18] -S test_sets=[] {REPLAYS}"),
        ("dials", "exp run -S dialled=[phantom] dials"),
    ],
)
def test_what_the_default_leaves_out_has_a_target_that_leaves_the_parameters_as_they_were(folder, target, command):
    assert make(folder, target) == (0, [command])
    assert (folder / "params.yaml").read_text() == "params.yaml as it was\n"


def test_real_makes_the_committed_results_and_leaves_the_parameters_as_they_were(folder):
    assert make(folder, "real") == (0, RUNS)
    assert (folder / "params.yaml").read_text() == "params.yaml as it was\n"


def test_a_run_that_fails_ends_real_and_leaves_the_parameters_as_they_were(folder):
    status, commands = make(folder, "real", FAILS_ON=RUNS[0], PATH="/usr/bin:/bin")
    assert status != 0
    assert commands == RUNS[:1]
    assert (folder / "params.yaml").read_text() == "params.yaml as it was\n"


def test_lock_resolves_everything_afresh(folder):
    status, commands = make(folder, "lock", "PYTHON=./python")
    assert status == 0
    (install,) = [command for command in commands if "install" in command]
    assert "-r requirements.txt -r requirements-dev.txt" in install
    assert "constraints.txt" not in install
    assert (folder / "constraints.txt").read_text() == "anyio==9.9\n"
    assert not (folder / ".venv/lock").exists()

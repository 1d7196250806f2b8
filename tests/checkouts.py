"""Copies of the project to run commands in, with parameters for seconds instead of minutes."""

import os
import shutil
import subprocess
import sys
from contextlib import chdir
from functools import cache
from pathlib import Path

from ruamel.yaml import YAML

from deepcovid.nets.zoo import NETS
from deepcovid.parameters import validate
from stages._resolved import read_settings
from stages.resolve import resolve as resolve_stage

ROOT = Path(__file__).parent.parent
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # with `dvc` and `python` of this environment
MADE = ("metrics/", "plots/", "provenance/", "resolved/", "results/", "dvc.lock")  # by the pipeline


def run(command, cwd, **environment):
    """Run a command line as a user would, in `cwd`."""
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=os.environ | environment, check=False)


def stage(folder, name, *options, **environment):
    """Run a stage as DVC does."""
    return run([sys.executable, "-m", f"stages.{name}", *options], folder, **environment)


@cache
def _names():
    listed = run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], ROOT).stdout.splitlines()
    return [name for name in listed if not name.startswith(MADE) and (ROOT / name).is_file()]


def copy_of_checkout(target):
    """Copy the working tree's tracked and new files, no ignored ones; nothing that the pipeline makes."""
    for name in _names():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target / name)
    return target


def edit_params(folder, edit):
    """Change params.yaml in `folder` with the function `edit`."""
    yaml = YAML()
    values = yaml.load(folder / "params.yaml")
    edit(values)
    yaml.dump(values, folder / "params.yaml")


def resolve(folder):
    """Run the stage `resolve` in `folder`, a copy whose code is unchanged."""
    with chdir(folder):
        resolve_stage(read_settings())


def settings_of(values):
    """Return the settings that plain values of params.yaml come to."""
    return validate(values, "params.yaml", NETS)


def parameters(dataset="phantom"):
    """Return what a data set runs with, by params.yaml in the current folder."""
    return read_settings().parameters(dataset, NETS)


def smaller(values):
    """Make params.yaml one for seconds: few phantoms, two light nets, short recipes."""
    values["models"] = ["squeezenet1_1", "resnet18"]
    values["recipes"] = ["paper", "failed-reproduction"]
    phantom = values["dataset"]["phantom"]
    phantom["source"]["images"] = {
        "train": {"covid": 4, "normal": 3, "other": 6},
        "test": {"covid": 6, "normal": 5, "other": 4},
    }
    values["dataset"]["phantom-external"]["source"]["images"]["test"] = {"covid": 3, "normal": 2, "other": 2}
    phantom["split"] |= {"covid": {"train": 4, "test": 6}, "non": {"train": 9, "test": 9}}
    phantom["augment"] = {"copies": 1}
    phantom["weights"]["calibration_images"] = 8
    phantom["seeds"] = phantom["ladder_seeds"] = phantom["resplits"] = 2
    phantom["heatmaps"] |= {"window": 64, "stride": 64, "images": {"true_positives": 2, "sample": 2, "worst": 1}}
    values["replays"] = ["failed-reproduction-replayed"]
    for recipe in values["recipe"].values():
        recipe["epochs"] = 4
    values["evaluate"]["bootstrap_samples"] = 100

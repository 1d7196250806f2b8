"""What pip installs: ranges for those who use the library beside other packages, pins for the pipeline."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement

from stages import _fingerprints
from tests.checkouts import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NEEDED = {own.name: own for own in map(Requirement, PROJECT["dependencies"])}
OF_THE_PIPELINE = {own.name: own for own in map(Requirement, PROJECT["optional-dependencies"]["pipeline"])}
OF_A_CLUSTER = {own.name: own for own in map(Requirement, PROJECT["optional-dependencies"]["cluster"])}


def pins(file):
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / file).read_text(), re.MULTILINE))


PINS = pins("requirements.txt")


def test_what_is_pinned_is_what_is_needed_within_its_range():
    ranges = NEEDED | OF_THE_PIPELINE
    assert PINS.keys() == ranges.keys()
    assert not NEEDED.keys() & OF_THE_PIPELINE.keys()
    assert [name for name, version in PINS.items() if version not in ranges[name].specifier] == []


def test_what_a_cluster_needs_is_pinned_where_its_tests_find_it():
    pinned = pins("requirements-dev.txt")
    assert [name for name, own in OF_A_CLUSTER.items() if pinned.get(name) not in own.specifier] == []


@pytest.mark.parametrize("command", ["predict", "test", "show", "check"])
def test_a_command_imports_no_package_that_only_the_pipeline_brings(command):
    found, waiting = set(), {f"deepcovid.commands.{command}"}
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= _fingerprints.module_at(name).ours - found - {"deepcovid.commands.outputs"}  # of `check --bytes`
    packages = {package for name in found for package in _fingerprints.module_at(name).packages}
    assert packages - {"pydantic_core"} <= NEEDED.keys()  # which comes with pydantic


def test_who_checks_types_finds_those_of_the_library():
    package_data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert "py.typed" in package_data["deepcovid"]
    assert (ROOT / "deepcovid/py.typed").is_file()

"""A stage's `deps` name exactly the project code that it imports, so that nothing runs too often or too seldom."""

import ast
import re

import pytest
from ruamel.yaml import YAML

from tests.checkouts import ROOT

PIPELINE = YAML(typ="safe").load(ROOT / "dvc.yaml")

# Code that reads, checks, writes and reports but does not shape results: a change in it reruns nothing.
PLUMBING = {
    "deepcovid/__init__.py",
    "deepcovid/errors.py",
    "deepcovid/files.py",
    "deepcovid/progress.py",
    "deepcovid/schema.py",
    "deepcovid/settings.py",
    "stages/__init__.py",
    "stages/_run.py",
    "stages/paths.py",
}


def imported_files(file):
    """Return the project's files that the module at `file` imports, directly or not."""
    found, waiting = set(), [file]
    while waiting:
        current = waiting.pop()
        if current in found:
            continue
        found.add(current)
        if current in PLUMBING:
            continue
        for node in ast.walk(ast.parse((ROOT / current).read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            else:
                continue
            for name in names:
                path = name.replace(".", "/")
                waiting += [f for f in (f"{path}.py", f"{path}/__init__.py") if (ROOT / f).is_file()]
    return found


def code_deps(stage):
    files = set()
    for dep in PIPELINE["stages"][stage]["deps"]:
        if not dep.startswith("data/"):
            path = ROOT / dep
            files |= {str(p.relative_to(ROOT)) for p in path.rglob("*.py")} if path.is_dir() else {dep}
    return {file for file in files if file.endswith(".py")}


@pytest.mark.parametrize("stage", sorted(set(PIPELINE["stages"]) - {"report"}))
def test_a_stage_depends_on_exactly_the_code_it_imports(stage):
    module = PIPELINE["stages"][stage]["cmd"].split()[2]
    assert code_deps(stage) == imported_files(module.replace(".", "/") + ".py") - PLUMBING


def test_the_report_depends_on_all_the_code_whose_hashes_it_shows():
    shown = set().union(*(code_deps(stage) for stage in PIPELINE["stages"]))
    assert code_deps("report") >= shown | imported_files("stages/report.py")
    assert {"deepcovid", "stages"} <= set(PIPELINE["stages"]["report"]["deps"])  # templates and style too


@pytest.mark.parametrize("stage", PIPELINE["stages"])
def test_a_stage_says_what_it_does(stage):
    assert PIPELINE["stages"][stage]["desc"]


def test_no_output_but_numbers_their_provenance_and_one_picture_is_kept_by_git():
    for stage in PIPELINE["stages"].values():
        for out in stage["outs"]:
            uncached = isinstance(out, dict)
            path = next(iter(out)) if uncached else out
            assert uncached == path.startswith(("metrics/", "plots/", "provenance/"))
            # The one picture shows synthetic images or none: see tests/test_heatmap_stages.py.
            picture = path == "plots/${item.dataset}/heatmaps/${item.model}.png"
            assert not uncached or picture or path.endswith((".json", ".csv"))


def test_what_a_plot_draws_is_the_output_of_a_stage():
    outs = [
        next(iter(out)) if isinstance(out, dict) else out
        for stage in PIPELINE["stages"].values()
        for out in stage["outs"]
    ]
    drawn = [
        path
        for plot in PIPELINE["plots"]
        if isinstance(plot, dict)
        for options in plot.values()
        for path in options["y"]
    ]
    assert len(drawn) > 10
    assert {re.sub("^plots/[^/]+/", "plots/${item.dataset}/", path) for path in drawn} <= set(outs)

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from deepcovid.commands.check import compare, flat
from tests.audits import external, found
from tests.checkouts import ROOT, run

TOLERANCES = {"*p_value": "any", "auc": 0.01, "*auc*": 0.05, "confusion.*": 3}


def passes(key, old, new):
    (result,) = compare({"m.json": {key: old}}, {"m.json": {key: new}}, TOLERANCES)
    return result.passes


def test_the_first_pattern_that_fits_decides():
    assert passes("auc", 0.9, 0.91)
    assert not passes("auc", 0.9, 0.911)
    assert passes("over_seeds.auc.mean", 0.9, 0.95)
    assert passes("confusion.tp", 10, 13)
    assert not passes("confusion.tp", 10, 14)


def test_a_pattern_may_name_the_file():
    old, new = ({file: {"auc": value} for file in ("metrics/audits/x.json", "metrics/x.json")} for value in (0.9, 0.92))
    results = compare(old, new, {"metrics/audits/*: auc*": 0.02, "auc": 0.005})
    assert {result.file: result.passes for result in results} == {
        "metrics/audits/x.json": True,
        "metrics/x.json": False,
    }


def test_every_number_of_an_audit_with_an_interval_has_room_to_move():
    tolerances = YAML(typ="safe", pure=True).load(ROOT / "reference/tolerances.yaml")
    for name, result in found(external()).items():
        keys = flat(result.model_dump(mode="json", exclude_none=True))
        ends = (".value", ".low", ".high")
        moved = {key: value + 1e-3 for key, value in keys.items() if key.endswith(ends) and isinstance(value, float)}
        assert moved
        old = {f"results/phantom/{name}.json": {key: keys[key] for key in moved}}
        assert all(made.passes for made in compare(old, {f"results/phantom/{name}.json": moved}, tolerances))
        assert all(made.tolerance <= 0.05 for made in compare(old, old, tolerances) if ".auc." in made.key)


def test_a_metric_without_a_tolerance_must_be_equal():
    assert passes("n_test.covid", 100, 100)
    assert not passes("n_test.covid", 100, 101)


def test_text_must_be_equal_unless_anything_goes():
    assert passes("auc", "high", "high")
    assert not passes("auc", "high", "low")
    assert not passes("auc", "high", 0.9)
    assert passes("auc.p_value", "high", "low")


@pytest.mark.parametrize("key", ["auc", "auc.p_value"])
def test_a_metric_that_is_missing_or_new_fails_even_where_anything_goes(key):
    for old, new in (({key: 1}, {}), ({}, {key: 1})):
        (result,) = compare({"m.json": old}, {"m.json": new}, TOLERANCES)
        assert not result.passes


def test_a_file_that_is_missing_or_new_fails():
    for old, new in (({"m.json": {"auc": 1}}, {}), ({}, {"m.json": {"auc": 1}})):
        (result,) = compare(old, new, TOLERANCES)
        assert not result.passes


leaves = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers())
names = st.text("abc", min_size=1)


@given(value=st.dictionaries(names, st.recursive(leaves, lambda inner: st.dictionaries(names, inner), max_leaves=12)))
def test_every_leaf_is_found_under_its_path(value):
    for key, leaf in flat(value).items():
        found = value
        for part in key.split("."):
            found = found[part]
        assert found is leaf
    assert len(flat(value)) == count(value)


def count(value):
    return sum(map(count, value.values())) if isinstance(value, dict) else 1


@pytest.fixture
def results(tmp_path):
    """A repository with a file in each folder of results, in a subfolder of a git repository."""
    folder = tmp_path / "project"
    (folder / "reference").mkdir(parents=True)
    (folder / "reference/tolerances.yaml").write_text((ROOT / "reference/tolerances.yaml").read_text())
    for name, value in FILES.items():
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(json.dumps(value))
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "results"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True)
    return folder


NETS = {
    "rungs": {"up-1": {"flipped": ["epochs", "augmented"], "auc": {"value": 0.9, "low": 0.85}}},
    "pairs": {"paper/a-b": {"auc": {"difference": {"value": 0.1}}, "sensitivity": {"only_first": 3, "p_value": 0.2}}},
}


FILES = {
    "results/phantom/nets.json": NETS,
    "metrics/phantom/resnet18-paper.json": {"auc": 0.9, "tp": 90, "fn": 0},
    "metrics/audits/phantom/leakage.json": {"sensitivity": 0.9},
}


def check(folder, *options):
    return run([sys.executable, "-m", "deepcovid", "check", *options], folder, PYTHONPATH=str(ROOT))


def test_results_are_compared_by_name_within_the_projects_own_tolerances(results):
    path = results / "results/phantom/nets.json"
    equal = check(results)
    assert equal.returncode == 0
    assert "10 metrics reproduced, 0 not" in equal.stdout
    moved = json.loads(json.dumps(NETS))
    moved["pairs"]["paper/a-b"]["auc"]["difference"]["value"] += 0.009
    moved["pairs"]["paper/a-b"]["sensitivity"] = {"only_first": 5, "p_value": 0.9}
    path.write_text(json.dumps(moved))
    assert check(results).returncode == 0
    moved["rungs"]["up-1"] = {"flipped": ["epochs"], "auc": {"value": 0.8, "low": 0.85}}
    moved["pairs"]["paper/a-c"] = {"first": "a"}
    path.write_text(json.dumps(moved))
    failed = check(results)
    assert failed.returncode == 1
    named = {line.split(": ")[1] for line in failed.stdout.splitlines() if line.startswith("NOT REPRODUCED")}
    assert named == {"rungs.up-1.flipped", "rungs.up-1.auc.value", "pairs.paper/a-c.first"}


def test_results_that_the_run_did_not_make_are_counted_and_after_a_stamp_named(results):
    path = results / "results/phantom/nets.json"
    assert "\n3 of 3 files equal those of HEAD: they were made again, or DVC skipped" in "\n" + check(results).stdout
    stamp = results / "before"
    stamp.write_text("")
    long_ago = stamp.stat().st_mtime - 60
    for name in FILES:
        os.utime(results / name, (long_ago, long_ago))
    path.write_text(json.dumps(NETS))
    os.utime(path, (long_ago + 120, long_ago + 120))
    (line,) = [line for line in check(results, "--since", "before").stdout.splitlines() if "not made by this" in line]
    assert line.startswith("2 of 3 files were not made by this run")
    named = line.split("themselves: ")[1].split(", ")
    assert sorted(named) == ["metrics/audits/phantom/leakage.json", "metrics/phantom/resnet18-paper.json"]
    for name in FILES:
        os.utime(results / name)
    assert "all 3 files were made by this run" in check(results, "--since", "before").stdout
    assert "error: --since nowhere: " in check(results, "--since", "nowhere").stderr


@pytest.mark.parametrize(
    ("name", "key", "near", "far"),
    [
        ("metrics/phantom/resnet18-paper.json", "auc", 0.904, 0.91),
        ("metrics/phantom/resnet18-paper.json", "tp", 112, 113),
        ("metrics/phantom/resnet18-paper.json", "fn", 22, 23),
        ("metrics/audits/phantom/leakage.json", "sensitivity", 0.91, 0.99),
    ],
)
def test_the_few_numbers_of_runs_and_audits_are_compared_too(results, name, key, near, far):
    for value, status in ((near, 0), (far, 1)):
        (results / name).write_text(json.dumps(FILES[name] | {key: value}))
        assert check(results).returncode == status


def test_an_unknown_revision_or_data_set_is_one_line(results):
    for options in (["--revision", "nowhere"], ["--dataset", "nowhere"]):
        result = check(results, *options)
        assert result.returncode == 1
        assert result.stderr.splitlines()[-1].startswith("error: ")
        assert result.stderr.count("\n") == 2  # the other line says that it is for research only


@pytest.mark.parametrize("wrong", ["evla.yaml", "nowhere", "eval.toml"])
def test_an_argument_without_metrics_is_named_though_others_have_some(results, wrong):
    done = check(results, "metrics/phantom", wrong)
    assert done.returncode == 1
    assert f"error: {wrong}: no metrics in HEAD, and none here" in done.stderr


def test_names_with_accents_and_whole_paths_are_compared(results):
    path = results / "metrics/phantom/Röntgen.json"
    path.write_text('{"auc": 0.5}')
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    for command in (["add", "-A"], ["commit", "-qm", "one more"]):
        subprocess.run([*git, *command], cwd=results, check=True)
    done = check(results, str(results / "metrics/phantom"))
    assert done.returncode == 0, done.stdout
    assert "4 metrics reproduced, 0 not" in done.stdout


def test_any_projects_metrics_are_compared_with_a_tolerance_file_of_its_own(tmp_path):
    (tmp_path / "eval.yaml").write_text("test: {auc: 0.8, n: 10}\n")
    (tmp_path / "allowed.yaml").write_text('"*auc": 0.05\n')
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "metrics"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True)
    (tmp_path / "eval.yaml").write_text("test: {auc: 0.84, n: 10}\n")
    done = check(tmp_path, "eval.yaml", "--tolerances", "allowed.yaml")
    assert done.returncode == 0, done.stderr
    assert "2 metrics reproduced, 0 not" in done.stdout
    (tmp_path / "eval.yaml").write_text("test: {auc: 0.8, n: 11}\n")
    done = check(tmp_path, "eval.yaml", "--tolerances", "allowed.yaml")
    assert done.returncode == 1
    assert "NOT REPRODUCED eval.yaml: test.n: committed 10, reproduced 11" in done.stdout


@pytest.mark.parametrize("text", ["[1, 2", "a: !!int x", "- 1", "'*auc': far", "'*auc': true", "2020: 1", "'*auc':"])
def test_a_tolerance_file_that_is_none_is_one_line(results, text):
    (results / "allowed.yaml").write_text(text)
    done = check(results, "--tolerances", "allowed.yaml")
    assert (done.returncode, done.stderr.count("\n")) == (1, 2)
    assert done.stderr.splitlines()[-1].startswith("error: allowed.yaml: ")


@pytest.mark.parametrize("text", ["[1, 2", "- 1\n- 2\n", "a: [1\n", "a: !!bool x"])
def test_a_file_without_metrics_and_a_missing_tolerance_file_are_one_line(results, text):
    done = check(results, "--tolerances", "nowhere.yaml")
    assert "error: --tolerances nowhere.yaml: no such file" in done.stderr
    (results / "results/phantom/more.yaml").write_text(text)
    done = check(results)
    assert done.returncode == 1
    assert "error: results/phantom/more.yaml: no metrics" in done.stderr.splitlines()[-1]

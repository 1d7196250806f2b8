"""docs/adding.md, followed in a temporary clone."""

import json
import re
import sys

import pytest

from deepcovid.parameters import Parameters
from tests.checkouts import ROOT, copy_of_checkout, run

pytestmark = pytest.mark.pipeline

PAGE = (ROOT / "docs/adding.md").read_text("utf-8")
SECTIONS = {part.split("\n")[0]: part for part in PAGE.split("\n## ")[1:]}
BLOCK = re.compile(r"^In `([^`]+)`(?:, (below|above) `([^`]+)`)?:\n\n```\w+\n(.*?)```$", re.DOTALL | re.MULTILINE)
REPLACED = re.compile(r"^In `([^`]+)`, replace `([^`]+)` by `([^`]+)`\.$", re.MULTILINE)


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """A checkout with all that the page adds."""
    folder = copy_of_checkout(tmp_path_factory.mktemp("adding") / "checkout")
    for file, where, anchor, block in BLOCK.findall(PAGE):
        path = folder / file
        if not where:
            assert not path.exists()
            path.write_text(block, "utf-8")
            continue
        lines = path.read_text("utf-8").splitlines(keepends=True)
        place = next(number for number, line in enumerate(lines) if line.startswith(anchor))
        lines.insert(place + (where == "below"), block)
        path.write_text("".join(lines), "utf-8")
    for file, old, new in REPLACED.findall(PAGE):
        text = (folder / file).read_text("utf-8")
        assert text.count(old) == 1
        (folder / file).write_text(text.replace(old, new), "utf-8")
    run(["git", "init", "-q"], folder)
    result = run([sys.executable, "-m", "stages.resolve"], folder)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.mark.parametrize(("what", "most"), [("A recipe", 2), ("A net", 2), ("A data set", 4), ("An audit", 6)])
def test_the_places_to_touch_are_few(what, most):
    own = SECTIONS[what]
    places = {file for file, *_ in BLOCK.findall(own)} | {file for file, *_ in REPLACED.findall(own)}
    assert 1 <= len(places) <= most - 2 * (what == "An audit")  # a line of a docstring and a test are not on the page


def test_the_net_and_the_recipe_are_run(followed):
    resolved = json.loads((followed / "resolved/phantom.json").read_text())["parameters"]
    assert resolved["nets"]["alexnet"]["net"]["title"] == "AlexNet"
    assert "alexnet-originals-only" in Parameters.model_validate(resolved).runs
    assert resolved["recipe"]["originals-only"] == resolved["recipe"]["paper"] | {"augmented": False}
    code = "from deepcovid.nets.trunks import build, trunk; import torch; net = build('alexnet'); "
    code += "print(trunk('alexnet', net.state_dict())(torch.zeros(2, 3, 224, 224)).shape)"
    result = run([sys.executable, "-c", code], followed)
    assert "[2, 9216]" in result.stdout, result.stderr


def test_the_data_set_and_the_audit_run_from_the_start_to_the_sentence(followed):
    for stage in ("download", "split", "augment", "brightness"):
        result = run([sys.executable, "-m", f"stages.{stage}", "--dataset", "noise"], followed)
        assert result.returncode == 0, result.stderr
    found = json.loads((followed / "results/noise/brightness.json").read_text())
    assert 0.5 <= found["auc"] <= 1
    assert json.loads((followed / "metrics/audits/noise/brightness.json").read_text()) == found
    code = "from pathlib import Path; from deepcovid.audits.registry import read_results, sentences; "
    code += "print(*sentences(read_results(Path('results/noise'))))"
    result = run([sys.executable, "-c", code], followed)
    assert f"The mean grey level alone reaches an AUC of {found['auc']:.3f}." in result.stdout, result.stderr


def test_dvc_knows_what_was_added(followed):
    result = run([sys.executable, "-m", "dvc", "stage", "list", "--name-only"], followed)
    names = result.stdout.split()
    assert {"features@phantom-alexnet", "brightness@phantom"} <= set(names), result.stderr

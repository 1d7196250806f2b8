"""The README says what the committed files say."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

from ruamel.yaml import YAML

from deepcovid.commands import parser
from tests.checkouts import ROOT
from tools.results_table import with_tables

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_results_tables_are_those_of_the_metrics_files(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert with_tables(TEXT) == TEXT, "run `python -m tools.results_table --write`"
    assert len(re.findall("<!-- results of ", TEXT)) == 3


def test_every_command_with_a_parameter_names_one_that_exists():
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    keys = re.findall(r"-S '?([\w.-]+)=", TEXT)
    assert len(keys) >= 4
    for key in keys:
        value = params
        for part in key.split("."):
            value = value[part]


def test_every_file_that_it_names_exists():
    names = set(re.findall(r"\]\(((?!http)[^)#]+)\)", TEXT))
    assert names
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_its_commands_are_understood():
    examples = re.findall(r"^    deepcovid (.*)$", TEXT, re.MULTILINE)
    assert len(examples) >= 3
    for example in examples:
        parser().parse_args(example.split())


def test_the_line_that_adds_a_folder_to_the_plots_adds_it_to_each_that_phantom_is_in(tmp_path):
    (command,) = re.findall(r"^    (sed .*) dvc.yaml$", TEXT, re.MULTILINE)
    copy = tmp_path / "dvc.yaml"
    shutil.copy(ROOT / "dvc.yaml", copy)
    subprocess.run([*shlex.split(command), copy], check=True)
    before, after = (YAML(typ="safe").load(path)["plots"] for path in (ROOT / "dvc.yaml", copy))
    drawn = 0
    for plot, changed in zip(before, after, strict=True):
        if isinstance(plot, dict):
            for own, new in zip(plot.values(), changed.values(), strict=True):
                added = {f"plots/folder/{Path(file).name}": y for file, y in own["y"].items() if "phantom" in file}
                assert added
                assert new["y"] == own["y"] | added
                drawn += 1
    assert drawn > 9


def test_it_says_that_it_is_no_medical_device():
    assert "not for diagnosis" in TEXT.lower()

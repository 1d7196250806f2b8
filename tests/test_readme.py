"""The README says what the committed files say."""

import re

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


def test_it_says_that_it_is_no_medical_device():
    assert "not for diagnosis" in TEXT.lower()

"""The README says what the committed files say."""

import re
import textwrap

from PIL import Image
from ruamel.yaml import YAML

from deepcovid.commands import parser
from tests.checkouts import ROOT
from tests.radiographs import dicom, noise
from tests.trained import trained_folder
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


def test_its_python_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained_folder(tmp_path, "resnet18")
    Image.fromarray(noise()).save("chest.png")
    (tmp_path / "chest.dcm").write_bytes(dicom(noise()))
    (example,) = re.findall(r"\n\n((?:    from deepcovid import .*\n)(?:    .*\n|\n(?=    ))+)", TEXT)
    code = textwrap.dedent(example)
    *lines, last = code.strip().splitlines()
    names = {}
    exec("\n".join(lines), names)
    table = eval(last, names)
    assert len(table) == len(names["head"].score(["chest.png", "chest.dcm"])) == 2
    told = last.partition("table: ")[2].split(", ")
    assert {"score", "called", "distance", "unlike"} <= set(told) & set(table)


def test_its_commands_are_understood():
    examples = re.findall(r"^    deepcovid (.*)$", TEXT, re.MULTILINE)
    assert len(examples) >= 3
    for example in examples:
        parser().parse_args(example.split())


def test_it_says_that_it_is_no_medical_device():
    assert "not for diagnosis" in TEXT.lower()

import json

import pytest

from tests.checkouts import ROOT
from tools.results_table import against_published, tables


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_published_numbers_stand_beside_results_on_the_papers_images_only():
    assert "AUC: 0.715" in tables("covid-xray-5k")
    assert "AUC: 0.993 (other test images)" in tables("covid-xray-5k")
    assert "published" not in tables("phantom")
    assert "0.715" not in tables("phantom")


def test_a_row_says_whether_the_published_value_is_inside_and_leaves_it_out_for_other_test_images():
    row = {
        "group": "paper",
        "name": "AUC of a net",
        "metric": "auc",
        "model": "resnet18",
        "recipe": "paper",
        "published": 0.9,
        "ours": 0.95,
        "low": 0.93,
        "high": 0.97,
        "difference": 0.05,
        "inside": 0,
        "same_test_counts": 1,
    }
    other = row | {"same_test_counts": 0, "over_seeds": {"heads": 2, "min": 0.89, "max": 0.95, "inside": 1}}
    count = row | {"metric": "confusion.tp", "published": 0, "ours": 2, "low": 0.5, "high": 7, "difference": 2}
    _, _, first, second, third = against_published(
        {"numbers": json.loads(json.dumps([row, other, count]))}
    ).splitlines()
    assert first == "| paper | AUC of a net | 0.9 | ResNet18 | paper | 0.950 (0.930 to 0.970) |  | +0.050 | no |"
    assert second.endswith("| 0.890 to 0.950 (inside) | +0.050 | other test images |")
    assert "| 2 (0 to 7) |  | +2 |" in third

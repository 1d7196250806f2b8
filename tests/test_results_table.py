import pytest

from deepcovid.audits.registry import AUDITS, sentences
from deepcovid.statistics.comparison import AgainstPublished, Beside, OverHeads
from deepcovid.statistics.estimate import Estimate, write_result
from tests.audits import Machines, external, found
from tests.checkouts import ROOT
from tools.results_table import against_published, audits, tables


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_published_numbers_stand_beside_results_on_the_papers_images_only():
    assert "AUC: 0.715" in tables("covid-xray-5k")
    assert "AUC: 0.993 (other test images)" in tables("covid-xray-5k")
    assert "published" not in tables("phantom")
    assert "AUC: 0.715" not in tables("phantom")


def test_a_row_says_whether_the_published_value_is_inside_and_leaves_it_out_for_other_test_images():
    row = Beside(
        group="paper",
        source="a source",
        name="AUC of a net",
        metric="auc",
        published_for="resnet18",
        model="resnet18",
        recipe="paper",
        published=0.9,
        ours=Estimate(value=0.95, low=0.93, high=0.97),
        difference=0.05,
        inside=False,
        same_test_counts=True,
        note="",
    )
    heads = OverHeads(heads=2, min=0.89, max=0.95, inside=True)
    other = row.model_copy(update={"same_test_counts": False, "over_heads": heads, "group": "other"})
    count = Estimate(value=2, low=0.5, high=7)
    count = row.model_copy(update={"metric": "confusion.tp", "published": 0, "ours": count, "difference": 2})
    numbers = {number.key: number for number in (row, other, count)}
    found = AgainstPublished(compared=2, inside=0, of_other_test_images=1, not_run=0, numbers=numbers)
    _, _, first, second, third = against_published(found).splitlines()
    assert first == "| paper | AUC of a net | 0.9 | ResNet18 | paper | 0.950 (0.930 to 0.970) |  | +0.050 | no |"
    assert second.endswith("| 0.890 to 0.950 (inside) | +0.050 | other test images |")
    assert "| 2 (0 to 7) |  | +2 |" in third


def test_what_the_audits_found_is_told_and_compared_those_that_a_test_adds_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert audits("phantom") == []
    monkeypatch.setitem(AUDITS, "machines", Machines)
    results = found(external("cohen")) | {"machines": Machines(auc=0.98)}
    for name, result in results.items():
        write_result(tmp_path / f"results/phantom/{name}.json", result)
    source, told, table = audits("phantom")
    assert source == "The audits, computed from `results/phantom`:"
    assert told.splitlines() == [f"- {sentence}" for sentence in sentences(results)]
    assert "The machine's maker tells 0.98" in told
    assert table.splitlines()[2:4] == [
        "| ResNet18, ImageNet weights | pipeline | 512 | 0.990 (0.970 to 1.000) |",
        "| maker of the machine | acquisition |  | 0.980 (0.960 to 1.000) |",
    ]

"""The stage that turns the phantoms' dials, on few images: what it leaves, and what it refuses."""

import pytest

from deepcovid.audits.dials import Dials, figure
from deepcovid.statistics.estimate import read_result
from stages.dials import dials
from tests.checkouts import copy_of_checkout, edit_params, parameters, smaller

SETTINGS = {"images": "phantom-external", "at": {"shortcut": [0.0, 2.0], "lesion": [0.0, 1.0]}, "share": 0.5}


@pytest.fixture(scope="module")
def turned(tmp_path_factory):
    """A checkout in which the stage ran on some thirty images a setting."""
    folder = copy_of_checkout(tmp_path_factory.mktemp("dials") / "checkout")

    def edit(values):
        smaller(values)
        values["audited_models"] = ["resnet18"]
        values["dataset"]["phantom"]["image_size"] = 64
        values["dataset"]["phantom"]["heatmaps"] |= {"window": 32, "stride": 32}
        values["evaluate"]["bootstrap_samples"] = 100
        values["dials"] = SETTINGS

    edit_params(folder, edit)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        dials(parameters(), "phantom")
    return folder


@pytest.mark.pipeline
def test_every_setting_has_a_cell_with_what_is_read_there(turned):
    found = read_result(turned / "results/phantom/dials.json", Dials)
    assert (found.model, found.recipe, found.hidden_share) == ("resnet18", "paper", 0.75)
    assert {(cell.shortcut, cell.lesion) for cell in found.cells.values()} == {
        (shortcut, lesion) for shortcut in SETTINGS["at"]["shortcut"] for lesion in SETTINGS["at"]["lesion"]
    }
    for cell in found.cells.values():
        areas = (cell.inside, cell.outside, cell.collection, cell.hidden, cell.shuffled, cell.without_covid)
        for area in (*areas, cell.simple["sharpness"].outside):
            assert 0 <= area.low <= area.value <= area.high <= 1
        expected = cell.inside.value - cell.shuffled.value + 0.5
        assert cell.expected.value == pytest.approx(expected, abs=2e-6)
        assert cell.within is None  # of so few patients
        assert (cell.lesions_visible is None) == (cell.lesion == 0)  # without disease nothing is to be seen
        assert cell.lesions_visible is None or 0 < cell.lesions_visible < 1


@pytest.mark.pipeline
def test_sharpness_tells_the_collections_where_the_shortcut_is_on(turned):
    cells = read_result(turned / "results/phantom/dials.json", Dials).cells
    assert cells["shortcut-2/lesion-0"].simple["sharpness"].inside.value > 0.8


@pytest.mark.pipeline
def test_the_figure_has_a_panel_a_reading_and_stands_in_a_file(turned):
    assert (turned / "plots/dials/phantom.png").read_bytes().startswith(b"\x89PNG")
    drawing = figure(read_result(turned / "results/phantom/dials.json", Dials))
    assert [axis.get_title(loc="left") for axis in drawing.axes][:3] == [
        "the heads, inside",
        "the heads, outside",
        "the heads, collection",
    ]
    for axis in drawing.axes:  # the settings at the right stand outside, and every interval inside
        low, high = axis.get_xlim()
        assert all(low <= x <= high for line in axis.lines for x in line.get_xdata())
        assert all(text.get_position()[0] > 1 for text in axis.texts)


def test_images_that_are_no_phantoms_have_no_dials(checkout, monkeypatch, refused):
    edit_params(checkout, lambda values: values["dials"].update({"images": "cohen"}))
    monkeypatch.chdir(checkout)
    with refused("cohen: its images are not phantoms", "name a data set of kind phantom"):
        dials(parameters(), "phantom")
    assert not (checkout / "results/phantom/dials.json.part").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"at": {"shortcut": [0.0, 2.5], "lesion": [0.0]}}, "dials.at.shortcut"),
        ({"at": {"shortcut": [0.0], "lesion": [0.5, 0.5]}}, "may be named once"),
        ({"share": 0}, "dials.share"),
    ],
)
def test_settings_out_of_range_are_refused(checkout, monkeypatch, refused, change, said):
    monkeypatch.chdir(checkout)
    edit_params(checkout, lambda values: values["dials"].update(change))
    with refused("params.yaml", said):
        parameters()

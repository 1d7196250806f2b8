"""Pictures of heat maps: what is drawn, to the same bytes."""

import io

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from deepcovid.heatmaps.overlays import HEAT, OUTLINE, Panel, map_grid, map_sheet, montage, note, overlay, reach


def drawn(figure: Figure):
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100, metadata={"Software": None})
    return np.asarray(Image.open(stream).convert("RGB")).astype(int)


def texts(figure):
    axes = [axis.get_title() for axis in figure.axes]
    return [text.get_text() for text in figure.texts] + axes + [figure.get_suptitle()]


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(60, 200, (60, 60), dtype=np.uint8)


@pytest.fixture
def maps():
    heat = np.zeros((60, 60), np.float32)
    heat[:20, :20], heat[40:, 40:] = 0.2, -0.4
    return {"occlusion": heat, "Grad-CAM": np.maximum(heat, 0)}


def coloured(pixels):
    """Pixels that are more red than blue, and the other way round."""
    difference = pixels[..., 0] - pixels[..., 2]
    return (difference > 30).sum(), (difference < -30).sum()


@pytest.mark.parametrize("channels", [None, 1, 3])
def test_heat_is_red_where_it_raises_the_score_blue_where_it_lowers_it_and_clear_at_nothing(image, maps, channels):
    shown = image if channels is None else np.repeat(image[..., None], channels, axis=-1)
    figure = overlay(shown, maps, "title")
    (plain, heat, cam), whole = [np.array(axis.get_position().bounds) for axis in figure.axes[:3]], drawn(figure)
    height, width = whole.shape[:2]

    def inside(bounds):
        left, bottom, across, up = bounds * (width, height, width, height)
        return whole[round(height - bottom - up) : round(height - bottom), round(left) : round(left + across)]

    assert coloured(inside(plain)) == (0, 0)
    red, blue = coloured(inside(heat))
    assert red > 1000
    assert blue > 1000
    red, blue = coloured(inside(cam))
    assert red > 1000
    assert blue == 0
    assert tuple(HEAT(0.5))[3] == pytest.approx(0, abs=0.01)
    assert tuple(HEAT(0.0))[3] == tuple(HEAT(1.0))[3] > 0.5


def test_the_scale_is_the_same_to_either_side_and_a_map_without_negatives_shows_half_of_it(image, maps):
    figure = overlay(image, maps, "title")
    bars = [inset for axis in figure.axes for inset in axis.child_axes]
    np.testing.assert_allclose([bar.get_xlim() for bar in bars], [(-0.4, 0.4), (0, 0.2)], rtol=1e-6)
    assert reach(np.zeros((3, 3), np.float32)) == 1


def test_the_picture_says_what_it_is_for_and_takes_a_title_as_it_is(image, maps):
    title = "a_$1^{-$.png: covid, score 0.9"
    panels = [Panel(image, maps, "covid $x_$", None)] * 3
    for figure in (overlay(image, maps, title), montage(panels, title), map_sheet(maps, title)):
        assert title in texts(figure)
        assert any("Research only, not for diagnosis" in text for text in texts(figure))
        assert any("raises the score" in text for text in texts(figure))
        drawn(figure)
    drawn(note("a $_$ b"))


def outline(figure):
    return (np.abs(drawn(figure) - 255 * np.array(to_rgb(OUTLINE))).sum(axis=-1) < 40).sum()


def test_a_mask_is_outlined_and_one_that_is_empty_or_full_is_not(image, maps):
    mask = np.zeros((60, 60), bool)
    assert outline(overlay(image, maps, "title", mask)) == outline(overlay(image, maps, "title", ~mask)) == 0
    mask[20:40, 20:40] = True
    assert outline(overlay(image, maps, "title", mask)) > 200


def test_the_key_of_a_grid_of_maps_stands_clear_of_the_last_row(maps):
    figure = map_grid({"one row": maps, "another": maps}, "a title")
    figure.canvas.draw()
    (key,) = [text for text in figure.texts if "raises the score" in text.get_text()]
    lowest = min(axis.get_window_extent().y0 for axis in figure.axes)
    assert key.get_window_extent().y1 < lowest - 5


def test_every_image_of_a_montage_is_there_with_its_own_scale(image, maps):
    panels = [Panel(image, {name: (n + 1) * heat for name, heat in maps.items()}, f"image {n}") for n in range(5)]
    figure = montage(panels, "title")
    assert len(figure.axes) == 15
    assert [f"image {n}" for n in range(5)] == [axis.get_title() for axis in figure.axes[::3]]
    assert [axis.get_title() for axis in figure.axes[1::3]] == [f"occlusion, {0.4 * n:.2g}" for n in range(1, 6)]


def test_the_same_maps_give_the_same_bytes_and_a_map_of_nothing_is_drawn(image, maps):
    cold = {name: np.zeros_like(heat) for name, heat in maps.items()}
    assert np.array_equal(drawn(overlay(image, maps, "title")), drawn(overlay(image, maps, "title")))
    assert not np.array_equal(drawn(overlay(image, maps, "title")), drawn(overlay(image, cold, "title")))

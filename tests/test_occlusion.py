"""Occlusion maps: captum's numbers, and what can be known of a map without a reference."""

import numpy as np
import pytest
import torch
from captum.attr import Occlusion
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from torch import nn

from deepcovid.heatmaps.occlusion import Window, check_window, occlusion, places
from deepcovid.nets.features import normalised
from deepcovid.settings.analyses import FeatureSettings


def settings(batch_size=7, precision="fp32"):
    return FeatureSettings(device="cpu", precision=precision, batch_size=batch_size)


def small_net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()).eval()


def score(features):
    return expit(features[:, :6].astype(np.float64) @ [3, -4, 5, -6, 7, -5])  # near a half, where drops are large


def captums(net, image, window):
    """The map of captum's Occlusion on the normalised image, windows filled with the normalised grey."""
    whole, grey = normalised(torch.from_numpy(np.stack([image, np.full_like(image, window.fill)]))).split(1)
    heat = Occlusion(lambda batch: torch.from_numpy(score(net(batch).numpy()))).attribute(
        whole,
        sliding_window_shapes=(3, window.size, window.size),
        strides=(3, window.stride, window.stride),
        baselines=grey,
        perturbations_per_eval=5,
    )
    assert torch.equal(heat[0, 0], heat[0, 2])
    return heat[0, 0].numpy()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("shape", "window"),
    [
        ((24, 24), Window(8, 4, 128)),
        ((24, 24), Window(8, 8, 0)),
        ((24, 24), Window(9, 4, 255)),  # the stride divides nothing
        ((25, 31), Window(10, 7, 128)),
        ((20, 30), Window(20, 3, 60)),
        ((20, 20), Window(20, 20, 60)),
        ((20, 21), Window(1, 1, 7)),
    ],
)
def test_maps_are_those_of_captum(shape, window, channels):
    images = np.random.default_rng(1).integers(0, 256, (3, *shape, channels), dtype=np.uint8)
    net = small_net()
    with torch.no_grad():
        expected = [captums(net, image, window) for image in images]
    found = list(occlusion(net, images, score, window, settings()))
    assert all(heat.shape == shape and heat.dtype == np.float32 for heat in found)
    assert np.abs(expected).max() > 1e-4  # far above the tolerance
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("batch_size", [1, 6, 50, 51, 200])
def test_a_map_is_that_of_its_own_image_whatever_the_batches(batch_size):
    images = np.random.default_rng(2).integers(0, 256, (3, 24, 24, 1), dtype=np.uint8)
    window, net = Window(6, 3, 128), small_net()
    together = list(occlusion(net, images, score, window, settings(batch_size)))
    alone = [heat for image in images for heat in occlusion(net, image[None], score, window, settings())]
    np.testing.assert_allclose(together, alone, atol=2e-6)
    assert np.abs(together[0] - together[1]).max() > 1e-3


def test_bf16_is_fp32_to_two_digits():
    images = np.random.default_rng(3).integers(0, 256, (1, 24, 24, 1), dtype=np.uint8)
    (exact,), (rough,) = (
        occlusion(small_net(), images, score, Window(8, 8, 0), settings(precision=precision))
        for precision in ("fp32", "bf16")
    )
    assert np.abs(rough - exact).max() < 0.02
    assert np.corrcoef(rough.ravel(), exact.ravel())[0, 1] > 0.98


@st.composite
def windows(draw, side=12):
    size = draw(st.integers(1, side))
    return Window(size, draw(st.integers(1, size)), draw(st.integers(0, 255)))


@given(window=windows(), height=st.integers(12, 20))
def test_windows_leave_out_no_pixel_and_only_the_last_is_cut_off(window, height):
    found = places(window, height)
    covered = {row for place in found for row in range(height)[place]}
    assert covered == set(range(height))
    assert [place.start for place in found] == [index * window.stride for index in range(len(found))]
    assert all(place.stop - place.start == window.size for place in found[:-1])
    assert found[-1].stop == height
    assert all(place.stop < height for place in found[:-1])


@given(window=windows(), seed=st.integers(0, 20))
def test_a_window_as_grey_as_the_image_takes_nothing_away(window, seed):
    images = np.full((2, 12, 14, 1), window.fill, np.uint8)
    images[1] = np.random.default_rng(seed).integers(0, 256, (12, 14, 1), dtype=np.uint8)
    plain, _ = occlusion(small_net(), images, score, window, settings())
    np.testing.assert_allclose(plain, 0, atol=1e-6)


@given(window=windows(), row=st.integers(0, 11), column=st.integers(0, 13))
def test_the_heat_of_a_score_of_one_pixel_is_where_windows_with_that_pixel_lie(window, row, column):
    image = np.full((1, 12, 14, 1), 255 - window.fill, np.uint8)
    pixel = row * 14 + column
    (heat,) = occlusion(nn.Flatten(), image, lambda features: features[:, pixel].astype(float), window, settings())
    reached = np.zeros((12, 14), bool)
    for top in range(0, 12, window.stride):
        for left in range(0, 14, window.stride):
            # A window that starts here is one of them unless the one before it reached the edge.
            if (top and top - window.stride + window.size >= 12) or (left and left - window.stride + window.size >= 14):
                continue
            covers = np.zeros((12, 14), bool)
            covers[top : top + window.size, left : left + window.size] = True
            if covers[row, column]:
                reached |= covers
    assert (reached == (heat != 0)).all()
    brighter = 255 - window.fill > window.fill
    assert (heat[reached] > 0).all() if brighter else (heat[reached] < 0).all()


def test_pixels_that_the_same_windows_cover_are_equal_to_the_bit():
    images = np.random.default_rng(4).integers(0, 256, (1, 22, 26, 1), dtype=np.uint8)
    (heat,) = occlusion(small_net(), images, score, Window(6, 4, 128), settings())
    for top in range(0, 20, 2):
        for left in range(0, 24, 2):
            assert np.ptp(heat[top : top + 2, left : left + 2]) == 0


def test_images_stay_as_they_are_and_none_at_all_is_no_map():
    images = np.random.default_rng(5).integers(0, 256, (1, 12, 12, 1), dtype=np.uint8)
    before = images.copy()
    assert len(list(occlusion(small_net(), images, score, Window(4, 4, 0), settings()))) == 1
    assert np.array_equal(images, before)
    assert list(occlusion(small_net(), images[:0], score, Window(4, 4, 0), settings())) == []


@pytest.mark.parametrize(
    ("window", "parts"),
    [
        (Window(33, 8, 0), ("33 pixels", "24 x 32", "smaller window")),
        (Window(25, 8, 0), ("25 pixels", "24 x 32")),
        (Window(8, 9, 0), ("stride is 9", "the window's side of 8", "smaller stride")),
        (Window(8, 40, 0), ("stride is 40", "the image's side of 24", "smaller stride")),
        (Window(8, 0, 0), ("at least 1 pixel",)),
        (Window(8, 8, 256), ("0 to 255",)),
        (Window(8, 8, -1), ("0 to 255",)),
    ],
)
def test_a_window_that_does_not_fit_is_refused(refused, window, parts):
    with refused(*parts):
        check_window(window, 24, 32)
    with refused(*parts):
        next(occlusion(small_net(), np.zeros((1, 24, 32, 1), np.uint8), score, window, settings()))

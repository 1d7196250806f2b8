import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from deepcovid.audits.keypoints import POINTS, keypoints, matched_points

SIDE = 224


def picture(seed):
    """A picture with something to recognise: SIDE x SIDE."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(SIDE, SIDE)), 3)
    return np.uint8(np.clip(128 + 50 * noise / noise.std(), 0, 255))


def zoomed(image):
    return np.asarray(Image.fromarray(image[30:190, 40:200]).resize((SIDE, SIDE)))


def written_on(image):
    changed = image.copy()
    changed[10:60, 20:200] = 255
    return changed


ALTERED = {
    "brighter": lambda image: image // 2 + 100,
    "turned": lambda image: np.asarray(Image.fromarray(image).rotate(12)),
    "zoomed": zoomed,
    "mirrored": lambda image: image[:, ::-1],
    "written on": written_on,
}


def saved(points, path):
    np.save(path, points)
    return path


def both(images):
    """The keypoints of images, and those of all of them mirrored."""
    return keypoints(images, np.ones(len(images), bool))


def compared(first, second, folder):
    """The points in which two images match, the first as it is or mirrored."""
    pair = np.array([[0, 0]])
    other = saved(both(second[None, ..., None])[0], folder / "other.npy")
    sides = (saved(side, folder / "side.npy") for side in both(first[None, ..., None]))
    return max(int(matched_points(side, other, pair, "")[0]) for side in sides)


@pytest.mark.parametrize("alter", ALTERED.values(), ids=ALTERED.keys())
def test_an_altered_picture_shares_many_points_and_another_one_hardly_any(alter, tmp_path):
    image, other = picture(0), picture(1)
    assert compared(image, alter(image), tmp_path) > 40
    assert compared(image, alter(other), tmp_path) < 10


def test_an_even_image_has_no_points_and_matches_nothing(tmp_path):
    even = np.full((SIDE, SIDE), 7, np.uint8)
    straight, mirrored = both(np.stack([even, picture(0)])[..., None])
    assert straight["number"][0] == mirrored["number"][0] == 0
    path = saved(straight, tmp_path / "points.npy")
    pairs = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    assert matched_points(path, path, pairs, "").tolist() == [0, 0, 0, straight["number"][1]]


def test_colour_and_grey_and_batches_and_one_by_one_are_the_same():
    images = np.stack([picture(seed) for seed in range(3)])
    together = both(images[..., None])
    coloured = [both(image[None, ..., None].repeat(3, axis=-1)) for image in images]
    for side, parts in zip(together, zip(*coloured, strict=True), strict=True):
        np.testing.assert_array_equal(side, np.concatenate(parts))
    assert together[0]["places"].shape == (3, POINTS, 2)


def test_only_the_images_that_are_named_are_looked_at_mirrored():
    images, some = np.stack([picture(seed) for seed in range(3)])[..., None], np.array([False, True, False])
    (straight, mirrored), (all_straight, all_mirrored) = keypoints(images, some), both(images)
    np.testing.assert_array_equal(straight, all_straight)
    np.testing.assert_array_equal(mirrored[some], all_mirrored[some])
    assert not mirrored["number"][~some].any()


def test_pairs_are_compared_in_their_order_whatever_the_chunks(monkeypatch, tmp_path):
    images = np.stack([picture(0), picture(1), picture(0) // 2])[..., None]
    points = saved(both(images)[0], tmp_path / "points.npy")
    pairs = np.array([[0, 1], [0, 2], [1, 2], [2, 0], [1, 1]])
    whole = matched_points(points, points, pairs, "")
    monkeypatch.setattr("deepcovid.audits.keypoints.CHUNK", 2)
    assert matched_points(points, points, pairs, "").tolist() == whole.tolist()
    assert matched_points(points, points, pairs[:0], "").tolist() == []


@pytest.mark.parametrize("least", [0, 5, 20, POINTS])
def test_pairs_that_can_match_in_enough_points_match_as_in_any_search(least, tmp_path):
    images = np.stack([picture(0), picture(1), picture(0) // 2, ALTERED["turned"](picture(0))])[..., None]
    points = saved(both(images)[0], tmp_path / "points.npy")
    pairs = np.stack(np.meshgrid(range(4), range(4)), axis=-1).reshape(-1, 2)
    exact, found = (matched_points(points, points, pairs, "", fewest) for fewest in (0, least))
    assert (found[exact >= least] == exact[exact >= least]).all()
    assert np.isin(found[exact < least], [0, *exact[exact < least]]).all()
    assert (found < least).any() == (least > 0)

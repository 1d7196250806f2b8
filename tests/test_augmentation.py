import numpy as np
import pytest
import torch

from deepcovid.images.augmentation import augmented, distortion, with_copies
from deepcovid.settings.datasets import AugmentSettings

SETTINGS = AugmentSettings(
    source="generated",
    copies=4,
    seed=1,
    flip_probability=0.5,
    rotation_degrees=10.0,
    elastic_alpha=20.0,
    elastic_sigma=4.0,
)


def rows(count):
    rng = np.random.default_rng(0)
    for number in range(count):
        label, split = [("covid", "train"), ("non", "train"), ("covid", "test")][number % 3]
        row = {"image_id": f"i{number}", "label": label, "split": split, "augmentation_of": ""}
        yield row, rng.integers(0, 256, (224, 224), dtype=np.uint8)


def test_only_covid_training_images_get_copies_each_behind_its_original():
    made = list(with_copies(rows(6), SETTINGS))
    assert [row["image_id"] for row, _ in made if row["augmentation_of"] == ""] == [f"i{n}" for n in range(6)]
    copies = [row for row, _ in made if row["augmentation_of"]]
    assert [row["augmentation_of"] for row in copies] == ["i0"] * 4 + ["i3"] * 4
    assert len({row["image_id"] for row, _ in made}) == len(made)


def test_a_copy_depends_on_its_name_and_seed_and_on_nothing_else():
    torch.manual_seed(7)
    first = {row["image_id"]: pixels for row, pixels in with_copies(rows(6), SETTINGS)}
    state = torch.get_rng_state()
    alone = [item for item in rows(6) if item[0]["image_id"] == "i3"]
    again = {row["image_id"]: pixels for row, pixels in with_copies(alone, SETTINGS)}
    assert torch.equal(state, torch.get_rng_state())
    assert all((first[name] == pixels).all() for name, pixels in again.items())
    other = {row["image_id"]: pixels for row, pixels in with_copies(alone, SETTINGS.model_copy(update={"seed": 2}))}
    assert any((first[name] != other[name]).any() for name in other if name != "i3")


def test_copies_differ_from_each_other_and_resemble_the_original():
    y, x = np.mgrid[:224, :224]
    smooth = (127 + 60 * np.sin(x / 40) + 60 * np.cos(y / 30)).astype(np.uint8)
    made = [pixels.astype(int) for _, pixels in with_copies([({**next(rows(1))[0]}, smooth)], SETTINGS)]
    for copy in made[1:]:
        assert (copy != made[0]).mean() > 0.3
        middle = np.s_[40:184, 40:184]
        likeness = max(
            np.corrcoef(version[middle].ravel(), made[0][middle].ravel())[0, 1] for version in (copy, copy[:, ::-1])
        )
        assert likeness > 0.6
    assert all((a != b).any() for i, a in enumerate(made) for b in made[:i])


@pytest.mark.parametrize("shape", [(224, 224), (224, 224, 3)])
def test_without_strength_a_copy_is_its_original(shape):
    still = SETTINGS.model_copy(update={"flip_probability": 0.0, "rotation_degrees": 0.0, "elastic_alpha": 0.0})
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert (augmented(pixels, distortion(still), seed=3) == pixels).all()

"""Other splits: who is on which side, and that heads trained on many at once are what each would be alone."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepcovid import catalogue
from deepcovid.heads import training
from deepcovid.heads.resplit import on_splits, resplit
from deepcovid.heads.scoring import score
from deepcovid.heads.sides import sides
from deepcovid.settings.recipes import Recipe
from tests.trained import PAPER

RELEASED = PAPER | {
    "optimiser": {"kind": "sgd", "momentum": 0.9},
    "learning_rate": 0.05,
    "selection": "best-accuracy",
    "augmented": False,
}


def table_of(covid=30, non=60, patients=3, seed=0):
    """A catalogue split in half by image; some patients have several images, and each COVID image has two copies."""
    rng = np.random.default_rng(seed)
    labels = ["covid"] * covid + ["non"] * non
    rows = pd.DataFrame({"image_id": [f"image {number}" for number in range(len(labels))], "label": labels})
    rows["patient_id"] = [f"{label} {rng.integers(len(labels) // patients)}" for label in labels]
    rows["split"] = np.where(np.arange(len(rows)) % 2, "train", "test")
    rows["augmentation_of"] = ""
    covid_rows = rows[rows["label"] == "covid"]
    copies = [
        covid_rows.assign(augmentation_of=covid_rows["image_id"], image_id=covid_rows["image_id"] + f"+{number}")
        for number in (1, 2)
    ]
    table = pd.concat([rows, *copies], ignore_index=True)
    return table.reindex(columns=[*catalogue.COLUMNS, "split"], fill_value="")


@given(seed=st.integers(0, 50), patients=st.integers(1, 3))
def test_a_split_has_the_counts_of_now_and_no_patient_on_both_sides(seed, patients):
    table = table_of(patients=patients, seed=seed)
    first, second, again = resplit(table, [seed, seed + 1, seed])
    pd.testing.assert_frame_equal(first, again)
    assert not first["split"].equals(second["split"])
    for split in (first, second):
        own, now = (part[catalogue.originals(part)] for part in (split, table))
        assert own.groupby(["label", "split"]).size().equals(now.groupby(["label", "split"]).size())
        sides_of = own.groupby("patient_id")["split"].nunique()
        assert sides_of.max() == 1
        copies = split[catalogue.copies(split)]
        of_original = split.set_index("image_id")["split"]
        expected = copies["augmentation_of"].map(of_original).where(lambda side: side == "train", "")
        assert copies["split"].tolist() == expected.tolist()


def test_too_few_patients_for_a_split_are_refused(refused):
    table = table_of()
    table["patient_id"] = table["label"]
    with refused("split: covid wants 15 train and 15 test images, strategy 'patient' has"):
        resplit(table, [0, 1])


@pytest.mark.parametrize("change", [{}, {"selection_on": "validation"}, {"sampling": "balanced"}])
@pytest.mark.parametrize("choices", [PAPER, RELEASED], ids=["paper", "released"])
def test_heads_of_all_splits_are_what_each_would_be_alone(choices, change):
    table = table_of(covid=60, non=90)
    rng = np.random.default_rng(1)
    covid = catalogue.covid(table).to_numpy()
    features = (rng.standard_normal((len(table), 6)) + 0.6 * covid[:, None]).astype(np.float32)
    recipe = Recipe.model_validate(choices | change)
    splits = dict(zip([3, 8, 5], resplit(table, [3, 8, 5]), strict=True))
    found = on_splits(features, splits, recipe, seed=4)
    assert set(found) == {3, 8, 5}
    for number, (positive, own) in found.items():
        rows = [side.to_numpy() for side in sides(splits[number], recipe)]
        train, test, selected_on = (training.Data.of(features[part], table["label"][part]) for part in rows)
        (alone,) = training.train(train, test, [recipe], [4], selected_on=selected_on)
        expected = score(features[rows[1]], alone.weight, alone.bias)[:, 0]
        np.testing.assert_allclose(own, expected, atol=1e-5)
        assert positive.tolist() == covid[rows[1]].tolist()


def test_a_fifth_of_the_training_patients_is_set_apart_for_validation():
    table = table_of(covid=100, non=300)
    recipe = Recipe.model_validate(PAPER | {"selection_on": "validation"})
    train, test, selected_on = sides(table, recipe)
    assert (test == (table["split"] == "test")).all()
    originals = table[(table["split"] == "train") & catalogue.originals(table)]
    assert 0.1 < selected_on.sum() / len(originals) < 0.3
    assert catalogue.originals(table[selected_on]).all()
    assert not set(table["patient_id"][train]) & set(table["patient_id"][selected_on])
    assert catalogue.copies(table[train]).any()
    assert table["label"][selected_on].nunique() == 2
    again = sides(table, recipe.model_copy(update={"augmented": False}))
    assert again.selected_on.equals(selected_on)


def test_too_few_patients_to_set_some_apart_are_refused(refused):
    recipe = Recipe.model_validate(PAPER | {"selection_on": "validation"})
    table = table_of(covid=8)
    with refused("selection_on: validation sets a fifth of the training patients apart", "selection_on: test"):
        sides(table, recipe)


def test_the_seeds_of_torch_are_left_alone():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    table = table_of()
    splits = dict(zip([0, 1], resplit(table, [0, 1]), strict=True))
    on_splits(np.zeros((len(table), 3), np.float32), splits, Recipe.model_validate(PAPER), 0)
    assert torch.equal(state, torch.get_rng_state())

"""Selection on one half of the test images and test on the other, against heads that are trained one by one."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from deepcovid import catalogue
from deepcovid.heads import training
from deepcovid.heads.halves import by_halves, halves
from deepcovid.heads.scoring import score
from deepcovid.heads.sweep import joined, training_jobs
from deepcovid.settings.recipes import Recipe
from tests.test_resplit import RELEASED, table_of
from tests.trained import PAPER


def test_no_patient_is_in_both_halves_and_both_have_as_many_images_of_each_class():
    table = table_of(covid=60, non=90, patients=3)
    first, second = (table.iloc[part] for part in halves(table, [Recipe.model_validate(RELEASED)]))
    assert (first["split"] == "test").all()
    assert (second["split"] == "test").all()
    assert not set(first["patient_id"]) & set(second["patient_id"])
    assert first["label"].value_counts().to_dict() == second["label"].value_counts().to_dict()
    assert len(first) > 0.8 * (table["split"] == "test").sum() / 2


def test_the_epoch_is_chosen_on_one_half_and_tested_on_each():
    table = table_of(covid=60, non=90)
    rng = np.random.default_rng(1)
    covid = catalogue.covid(table).to_numpy()
    features = (rng.standard_normal((len(table), 6)) + 0.4 * covid[:, None]).astype(np.float32)
    recipes = {"paper": Recipe.model_validate(PAPER), "released": Recipe.model_validate(RELEASED | {"epochs": 9})}
    recipes["apart"] = recipes["released"].changed({"selection_on": "validation"})
    both = halves(table, recipes.values())
    heads = joined(job() for job in training_jobs(features, table, recipes.values(), [4, 8], parts=both))
    found = by_halves(recipes, heads, features, table, both)
    assert found["recipe"].tolist() == ["released"]
    parts = [catalogue.in_training(table, augmented=False).to_numpy(), *both]
    train, first, second = (training.Data.of(features[part], table["label"].iloc[part]) for part in
                            (np.flatnonzero(parts[0]), *parts[1:]))  # fmt: skip
    areas = {"same": [], "other": []}
    for chosen_on in (0, 1):
        (heads,) = training.train(train, (first, second)[chosen_on], [recipes["released"]], [4, 8])
        for tested_on in (0, 1):
            rows = parts[1 + tested_on]
            own = score(features[rows], heads.weight, heads.bias)
            key = "same" if chosen_on == tested_on else "other"
            areas[key] += [roc_auc_score(covid[rows], column) for column in own.T]
    for key, values in areas.items():
        assert found[key][0] == pytest.approx(np.mean(values), abs=1e-5)


def test_without_a_recipe_that_chooses_on_the_test_images_there_is_nothing_to_say():
    recipes = {"paper": Recipe.model_validate(PAPER)}
    assert halves(table_of(), recipes.values()) is None
    found = by_halves(recipes, {}, np.zeros((9, 2), np.float32), table_of(), None)
    assert isinstance(found, pd.DataFrame)
    assert found.empty

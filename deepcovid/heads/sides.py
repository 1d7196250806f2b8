"""Which images a recipe trains on, which its selection looks at, and which are the test's."""

from typing import NamedTuple

import pandas as pd

from deepcovid import catalogue
from deepcovid.errors import UserError
from deepcovid.settings.recipes import Recipe

VALIDATION_FOLDS = 5  # one of them is set apart where selection looks at training images


class Sides(NamedTuple):
    """Masks over the catalogue's rows.

    Attributes:
        train: What is trained on.
        test: What the heads are tested on.
        selected_on: The images whose accuracy selects the epoch. If these are the test images, it is the same object as
            `test`.
    """

    train: "pd.Series[bool]"
    test: "pd.Series[bool]"
    selected_on: "pd.Series[bool]"


def sides(table: pd.DataFrame, recipe: Recipe) -> Sides:
    """Return which rows of the catalogue a recipe uses for what.

    If the recipe selects on `validation` images, a fifth of the training patients is set apart. The selection looks at
    their original images, and no image of theirs is trained on. The fifth is the same for every recipe and seed.

    Raises:
        UserError: There are too few training patients of a class to set some apart.
    """
    train, test = catalogue.in_training(table, augmented=recipe.augmented), catalogue.in_test(table)
    if recipe.selection_on == "test":
        return Sides(train, test, test)
    originals = table[catalogue.in_training(table, augmented=False)]
    patients, covid = catalogue.patients(originals), catalogue.covid(originals)
    fewest = patients.groupby(covid).nunique().min()
    if fewest < VALIDATION_FOLDS:
        raise UserError(
            f"selection_on: validation sets a fifth of the training patients apart, but of one class there are "
            f"{fewest}; train on more patients, or select on the test images (selection_on: test)"
        )
    from sklearn.model_selection import StratifiedGroupKFold

    folds = StratifiedGroupKFold(VALIDATION_FOLDS, shuffle=True, random_state=0)
    _, apart = next(folds.split(originals, covid, patients))
    held = catalogue.patients(table).isin(patients.iloc[apart]) & (table["split"] == "train")
    return Sides(train & ~held, test, held & catalogue.originals(table))

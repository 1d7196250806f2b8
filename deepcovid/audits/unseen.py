"""Which images of a test set heads may be tested on: originals that were not trained on."""

import pandas as pd

from deepcovid import catalogue
from deepcovid.errors import UserError
from deepcovid.schema import Strict


class LeftOut(Strict):
    """Test images that the heads were trained on.

    Attributes:
        images: How many there are.
        same_patient: How many of them are of a patient in training.
        same_image: How many of them are themselves in training; an image may be both.
    """

    images: int
    same_patient: int
    same_image: int


def candidates(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a test set's catalogue that heads may be tested on: original test images.

    The features of a test set are those of these rows, in this order.
    """
    return table[catalogue.in_test(table) & catalogue.originals(table)]


def trained_on(test: pd.DataFrame, train: pd.DataFrame) -> pd.DataFrame:
    """Return which test images the training has seen, and why: columns same_patient and same_image, one row an image.

    An image may be both. Its patient, its source with its name there, and its bytes are compared; blanks match nothing.

    Args:
        test: Catalogue rows to be tested on.
        train: Catalogue rows that were trained on.
    """

    def seen(column: str) -> "pd.Series[bool]":
        return (test[column] != "") & test[column].isin(train[column])

    names = [rows["source"] + "/" + rows["source_image"] for rows in (test, train)]
    same_name = (test["source_image"] != "") & names[0].isin(names[1])
    return pd.DataFrame({"same_patient": seen("patient_id"), "same_image": same_name | seen("sha256")})


def left_out(seen: pd.DataFrame) -> LeftOut:
    """Return how many images `trained_on` found."""
    return LeftOut(
        images=int(seen.any(axis=1).sum()),
        same_patient=int(seen["same_patient"].sum()),
        same_image=int(seen["same_image"].sum()),
    )


def check_images(rows: pd.DataFrame, without: LeftOut, origin: str) -> None:
    """Raise UserError if `rows` are empty or all of one class, so that no metric can be computed.

    Args:
        rows: What is left of the catalogue's rows of the test images.
        without: What was left out.
        origin: Where the images come from, for the error.
    """
    apart = f"without the {without.images} that the heads were trained on" if without.images else "in all"
    if rows.empty:
        raise UserError(f"{origin}: no test image, {apart}; name a data set with other images")
    if rows["label"].nunique() == 1:
        raise UserError(
            f"{origin}: {len(rows)} test images, {apart}, and every one {rows['label'].iloc[0]}; "
            "name a data set with images of both classes"
        )

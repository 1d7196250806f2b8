"""CheXpert (Irvin et al. 2019): its label table, the source of every non-COVID image."""

from pathlib import Path

import pandas as pd

from deepcovid.catalogue import NORMAL, read_text_table, require_columns

FINDINGS = (
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
NEEDED = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", NORMAL, *FINDINGS)
UNLABELLED = "Unlabelled"  # neither "No Finding" nor any finding is marked positive
LICENCE = "CheXpert: research use only, no redistribution"


def labels(path: Path) -> pd.DataFrame:
    """Return train.csv as catalogue columns (finding, view, patient_id, sex, age), by `patient/study/view` path.

    `finding` is "No Finding", or the first positive finding in the table's order; most images have several.

    Raises:
        UserError: A column is missing.
    """
    table = read_text_table(path)
    require_columns(table, NEEDED, str(path))
    table = table.drop_duplicates("Path")
    positive = table[[NORMAL, *FINDINGS]].isin(["1.0", "1"])
    finding = positive.idxmax(axis="columns").where(positive.any(axis="columns"), UNLABELLED)
    place = table["Path"].str.split("/").str[-3:]
    lateral = table["Frontal/Lateral"] == "Lateral"
    return pd.DataFrame(
        {
            "finding": finding,
            "view": table["AP/PA"].where(~lateral, "L"),
            "patient_id": "chexpert-" + place.str[0],
            "sex": table["Sex"].map({"Male": "M", "Female": "F"}).fillna(""),
            "age": table["Age"],
        }
    ).set_axis(place.str.join("/"))

"""covid-chestxray-dataset (Cohen et al. 2020): its metadata, the source of every COVID-19 image."""

import io

import pandas as pd

from deepcovid.archives import Archive
from deepcovid.catalogue import read_text_table, require_columns
from deepcovid.errors import UserError

NEEDED = ("patientid", "finding", "view", "modality", "filename", "sex", "age", "license")


def metadata(archive: Archive) -> pd.DataFrame:
    """Return metadata.csv as catalogue columns (finding, view, modality, patient_id, sex, age, licence) by filename.

    A file that stands in several rows (a patient seen again) keeps the first.

    Raises:
        UserError: There is no metadata.csv, or a column is missing.
    """
    names = [name for name in archive.members() if name.rsplit("/", 1)[-1] == "metadata.csv"]
    if not names:
        raise UserError(f"{archive.path}: no metadata.csv; get the repository's own archive")
    origin = f"{archive.path}: metadata.csv"
    table = read_text_table(io.BytesIO(archive.read(min(names, key=len))), origin)
    require_columns(table, NEEDED, origin)
    table = table.drop_duplicates("filename").set_index("filename")
    return pd.DataFrame(
        {
            "finding": table["finding"],
            "view": table["view"].replace({"?": ""}),
            "modality": table["modality"],
            "patient_id": "cohen-" + table["patientid"],
            "sex": table["sex"],
            "age": table["age"],
            "licence": table["license"],
        }
    )

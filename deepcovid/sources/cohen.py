"""covid-chestxray-dataset (Cohen et al. 2020), the source of every COVID-19 image; and, alone, as a data set.

Alone, its COVID-19 X-rays stand against those with another finding: what tells them apart cannot be the collection.
"""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from deepcovid.archives import Archive, own_files
from deepcovid.catalogue import read_text_table, require_columns
from deepcovid.errors import UserError
from deepcovid.fetching import fetch_all, remote_files
from deepcovid.images.masks import ARCHIVE, SOURCE
from deepcovid.progress import track
from deepcovid.settings.datasets import CohenSource
from deepcovid.sources import edition

NEEDED = ("patientid", "finding", "view", "modality", "filename", "sex", "age", "license")
UNDECIDED = ("", "todo", "unknown")  # findings, in lower case


def fetch(source: CohenSource, folder: Path, reference: Path, mirrors: Sequence[Path]) -> list[dict[str, Any]]:
    """Get the repository's archive."""
    return fetch_all(remote_files(reference / "sources.yaml", source.kind), folder, mirrors)


def catalogue(folder: Path, reference: Path) -> pd.DataFrame:
    """Return one row per X-ray whose finding is known and whose file is in the archive."""
    return xrays(folder)


def xrays(folder: Path) -> pd.DataFrame:
    """Return the catalogue of the repository's archive in `folder`: X-rays whose finding is known and file is there.

    The label is covid where COVID-19 is among the findings ("COVID-19, ARDS"; in later editions
    "Pneumonia/Viral/COVID-19"), non otherwise.

    Raises:
        UserError: There is no metadata.csv, or a column is missing.
    """
    path = folder / ARCHIVE
    with Archive(path) as archive:
        facts = metadata(archive)
        images = [name for name in own_files(archive.members()) if "/images/" in f"/{name}"]
        members = {name.rsplit("/", 1)[-1]: name for name in images}
        known = ~facts["finding"].str.lower().isin(UNDECIDED)
        table = facts[known & (facts["modality"] == "X-ray") & facts.index.isin(members)].copy()
        table["member"] = table.index.map(members)
        names = track(table["member"], "checking images", total=len(table))
        table["sha256"] = [archive.digest(name) for name in names]
    named = [set(re.split(r"[/,]\s*", finding)) for finding in table["finding"]]
    table["label"] = ["covid" if "COVID-19" in findings else "non" for findings in named]
    table["image_id"] = "cohen/" + table.index
    table = table.assign(archive=ARCHIVE, source=SOURCE, source_image=table.index).reset_index(drop=True)
    # COVID-Xray-5k took COVID-19 images from here and kept their names.
    return edition.with_original_sizes(table, table["source_image"], folder)


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

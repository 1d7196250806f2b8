"""CheXpert (Irvin et al. 2019): its label table and its images, the source of every non-COVID image."""

import gzip
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from deepcovid.archives import Archive, add_member, opened
from deepcovid.catalogue import NORMAL, read_text_table, require_columns
from deepcovid.errors import UserError
from deepcovid.fetching import RemoteFile, fetch, find, packaged, record_of, where_looked
from deepcovid.files import replacing
from deepcovid.progress import track

NAME = "CheXpert-v1.0-small"  # of the folder, and of the zip
ARCHIVE = "chexpert.zip"
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
TABLE = "train.csv"
NEEDED = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", NORMAL, *FINDINGS)
UNLABELLED = "Unlabelled"  # neither "No Finding" nor any finding is marked positive
LICENCE = "CheXpert: research use only, no redistribution"


def labels(path: Path) -> pd.DataFrame:
    """Return train.csv as catalogue columns, by `patient/study/view` path: finding, view, modality, patient_id, sex,
    age, source, source_image, licence.

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
    image = place.str.join("/")
    lateral = table["Frontal/Lateral"] == "Lateral"
    return pd.DataFrame(
        {
            "finding": finding,
            "view": table["AP/PA"].where(~lateral, "L"),
            "modality": "X-ray",
            "patient_id": "chexpert-" + place.str[0],
            "sex": table["Sex"].map({"Male": "M", "Female": "F"}).fillna(""),
            "age": table["Age"],
            "source": "CheXpert",
            "source_image": image,
            "licence": LICENCE,
        }
    ).set_axis(image)


def fetch_table(remote: RemoteFile, folder: Path, mirrors: Sequence[Path], sources: Path) -> dict[str, Any]:
    """Write train.csv into `folder` and return what to record of it.

    It is taken from a mirror, as a file or in the whole zip, or else from the package torchxrayvision.

    Args:
        remote: Where it is below a mirror.
        folder: Where it goes.
        mirrors: Folders that are asked for it.
        sources: reference/sources.yaml, which knows the package's file.
    """
    if find(mirrors, remote.path):
        return fetch(remote, folder / TABLE, mirrors)
    whole = find(mirrors, f"{NAME}.zip")
    if not whole:
        own = packaged(sources, "chexpert-labels")
        with gzip.open(own.path) as packed, replacing(folder / TABLE) as partial, partial.open("wb") as table:
            shutil.copyfileobj(packed, table)
        return record_of(folder / TABLE, own.path.name, "package", f"of the package torchxrayvision; {own.licence}")
    with Archive(whole) as archive, replacing(folder / TABLE) as partial:
        partial.write_bytes(archive.read(remote.path))
    return record_of(folder / TABLE, f"{whole.name}: {TABLE}", "mirror", "not seen before")


def fetch_images(remote: RemoteFile, folder: Path, mirrors: Sequence[Path], number: int, seed: int) -> dict[str, Any]:
    """Write a seeded sample of CheXpert's frontal images into one archive in `folder`, which holds train.csv already.

    The sample is of the rows of train.csv whose file is there, and does not depend on their order.

    Args:
        remote: The folder of images below a mirror; a zip of all of CheXpert beside it does too.
        folder: Where the archive goes.
        mirrors: Folders that are asked for the images.
        number: Images wanted; fewer where there are fewer.
        seed: Seed of the sample.

    Returns:
        What is to be recorded: of the archive as of any file, and how many rows there are and how many have no file.

    Raises:
        UserError: There are no images, or none that train.csv names.
    """
    path = find(mirrors, remote.path) or find(mirrors, f"{NAME}.zip")
    if not path:
        raise UserError(f"{remote.path}: {where_looked(mirrors)}; {remote.remedy}")
    table = labels(folder / TABLE)
    frontal = set(table.index[table["view"] != "L"])
    with opened(path) as source:
        inside = "" if path.is_dir() else f"{remote.path}/"
        there = {name.removeprefix(inside): name for name in source.members() if name.startswith(inside)}
        available = np.array(sorted(frontal & set(there)))
        if not len(available):
            raise UserError(
                f"{path}: has none of the {len(frontal)} frontal images that {TABLE} names, "
                f"as {remote.path}/patientNNNNN/studyN/viewN_frontal.jpg; {remote.remedy}"
            )
        chosen = sorted(np.random.default_rng(seed).permutation(available)[:number].tolist())
        with replacing(folder / ARCHIVE) as partial, zipfile.ZipFile(partial, "w") as archive:
            for name in track(chosen, "copying CheXpert's images", total=len(chosen)):
                add_member(archive, name, source.read(there[name]))
    counts = {"frontal_rows": len(frontal), "without_file": len(frontal) - len(available), "images": len(chosen)}
    edition = f"{len(chosen)} of {len(available)} frontal images, drawn with seed {seed}"
    return record_of(folder / ARCHIVE, remote.path, "mirror", "not seen before") | {"edition": edition} | counts

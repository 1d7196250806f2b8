"""The catalogue: one row per image, handed from stage to stage until pixels become features.

Every value is text; a blank means not known. Columns:
    image_id         unique name
    archive, member  where its bytes are: a zip in the raw folder, and the name inside it
    mask             name of the lesion mask inside the same zip, where there is one
    label            covid (the positive class) or non
    finding          as the source names it; "No Finding" is a normal image
    view             AP, AP Supine, PA, L, ...
    modality         X-ray or CT
    patient_id       unique over sources
    sex, age         of the patient
    source, licence  of the image
    source_image     its name there, whatever it is called here
    published_split  train or test in the authors' lists
    augmentation_of  image_id of the original, for a published or generated copy
    width, height    of the original file, pixels, where the source's edition is a reduced one
    sha256           of the file's bytes
    collection       which of a source's collections the image is from; in the table only where there are several
    split            train or test; the split stage sets it
"""

import csv
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import pandas as pd

from deepcovid.errors import REMAKE, UserError
from deepcovid.files import read_csv, write_csv

# In the order of a head's outputs, as the released code sorts them; the positive class is covid.
LABELS = ("covid", "non")
SIDES = ("train", "test")  # of a split
NORMAL = "No Finding"
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # control characters: C0, DEL and C1
COLUMNS = (
    "image_id",
    "archive",
    "member",
    "mask",
    "label",
    "finding",
    "view",
    "modality",
    "patient_id",
    "sex",
    "age",
    "source",
    "source_image",
    "licence",
    "published_split",
    "augmentation_of",
    "width",
    "height",
    "sha256",
)
OPTIONAL = ("collection", "split")


def checked(table: pd.DataFrame, origin: str) -> pd.DataFrame:
    """Return `table` with the catalogue's columns in order, blanks where the source knows nothing.

    Raises:
        UserError: A column that every image needs is missing or blank, a name is repeated, a label is unknown, a copy
            names no original, or a value holds a line break or another control character.
    """
    for column in ("image_id", "archive", "member", "label"):
        if column not in table:
            raise UserError(f"{origin}: column {column!r} is missing; every image needs one")
    table = (
        table.reindex(columns=[*COLUMNS, *(c for c in OPTIONAL if c in table)], fill_value="").fillna("").astype(str)
    )
    for column in ("image_id", "archive", "member", "label"):
        blank = table.index[table[column] == ""]
        if len(blank):
            raise UserError(f"{origin}: row {blank[0]} has no {column}; fill it in")
    repeated = table["image_id"][table["image_id"].duplicated()]
    if len(repeated):
        raise UserError(f"{origin}: image {repeated.iloc[0]!r} is named twice; names must be unique")
    unknown = table[~table["label"].isin(LABELS)]
    if len(unknown):
        row = unknown.iloc[0]
        raise UserError(f"{origin}: image {row.image_id!r} has label {row.label!r}; allowed are {', '.join(LABELS)}")
    orphans = table[copies(table) & ~table["augmentation_of"].isin(table["image_id"][originals(table)])]
    if len(orphans):
        row = orphans.iloc[0]
        raise UserError(
            f"{origin}: image {row.image_id!r} is a copy of {row.augmentation_of!r}, which is no original in the table"
        )
    for column in table.columns.astype(str):
        control = table[table[column].str.contains(CONTROL)]
        if len(control):
            name = control["image_id"].iloc[0]
            raise UserError(f"{origin}: image {name!r}, column {column}: holds control characters; remove them")
    return table


def read(path: Path, rows: int | None = None) -> pd.DataFrame:
    """Read and check a catalogue that `write` wrote.

    Raises:
        UserError: It is damaged, or does not have so many `rows`.
    """
    table = read_csv(path, COLUMNS, rows=rows, dtype=str, keep_default_na=False)
    unknown = [column for column in table if column not in (*COLUMNS, *OPTIONAL)]
    if unknown:
        raise UserError(f"{path}: damaged (no catalogue has a column {unknown[0]!r}); {REMAKE}")
    try:
        return checked(table, str(path))
    except UserError as error:
        raise UserError(f"{error}; or {REMAKE}") from None


class Forward:
    """The rows of a catalogue that `write` wrote, read on demand and not kept: memory does not grow with their number.

    A row is a dict from column to value. Ask for rows in order: to go back, the file is read again from its beginning.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start()

    def _start(self) -> None:
        self._lines, self._next = _rows_of(self._path), 0

    def __call__(self, start: int, stop: int) -> list[dict[str, str]]:
        """Return the rows from `start`, counted from 0, to before `stop`."""
        if start < self._next:
            self._start()
        rows = list(islice(self._lines, start - self._next, stop - self._next))
        self._next = stop
        return rows


def _rows_of(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        yield from csv.DictReader(stream)


def write(path: Path, table: pd.DataFrame) -> None:
    """Check and write a catalogue."""
    write_csv(path, checked(table, str(path)))


def read_text_table(source: Path | BinaryIO, origin: str = "") -> pd.DataFrame:
    """Read a CSV with every value as text and blanks as empty strings; `origin` names an open file in errors.

    Raises:
        UserError: The file is no CSV in UTF-8.
    """
    try:
        table = pd.read_csv(source, dtype=str, keep_default_na=False, encoding="utf-8")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{origin or source}: not a readable CSV ({reason}); write it as comma-separated UTF-8"
        ) from None
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes surplus leading values for row names
        raise UserError(
            f"{origin or source}: the rows have more values than the header has columns; write a name for each"
        )
    return table


def require_columns(table: pd.DataFrame, columns: tuple[str, ...], origin: str) -> None:
    """Raise UserError if `table`, read from `origin`, lacks one of `columns`."""
    missing = [column for column in columns if column not in table]
    if missing:
        raise UserError(f"{origin}: column {missing[0]!r} is missing; get the table from its official source")


def group_of(table: pd.DataFrame) -> pd.Series:
    """Return the paper's three groups per row: covid, normal or other (non-COVID with another disease)."""
    group = pd.Series("other", index=table.index, name="group")
    group[table["finding"] == NORMAL] = "normal"
    group[covid(table)] = "covid"
    return group


def covid(table: pd.DataFrame) -> "pd.Series[bool]":
    """Return which rows are of the positive class."""
    return table["label"] == "covid"


def originals(table: pd.DataFrame) -> "pd.Series[bool]":
    """Return which rows are no augmented copies."""
    return table["augmentation_of"] == ""


def copies(table: pd.DataFrame) -> "pd.Series[bool]":
    """Return which rows are augmented copies."""
    return ~originals(table)


def original_of(table: pd.DataFrame) -> pd.Series:
    """Return the image_id of each row's original, which is its own where it is no copy."""
    return table["augmentation_of"].where(copies(table), table["image_id"])


def patients(table: pd.DataFrame) -> pd.Series:
    """Return who each image is of; an image of an unknown patient is of a patient of its own, with its copies."""
    return named_patients(table["patient_id"], original_of(table))


def named_patients(patient: pd.Series, image: pd.Series) -> pd.Series:
    """Return `patient` with each blank, an unknown patient, replaced by a name made of the image's."""
    return patient.where(patient != "", "image " + image.astype(str))


def in_test(table: pd.DataFrame) -> "pd.Series[bool]":
    """Return which rows are test images."""
    return table["split"] == "test"


def in_training(table: pd.DataFrame, *, augmented: bool) -> "pd.Series[bool]":
    """Return which rows are trained on: the originals, and their augmented copies if wanted."""
    return (table["split"] == "train") & (augmented | originals(table))
